"""What ``up`` shows: a line per stage with its time, and a clear end when a stage fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deploy.lab.programs import LabError

console = Console(highlight=False)
_TAIL = 15  # lines of a log
# Escape sequences, and every other control character but the tab.
_STEERING = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@contextmanager
def stage(title: str) -> Iterator[None]:
    """One step of the work."""
    begin = time.monotonic()
    try:
        with console.status(f"{title} ..."):
            yield
    except BaseException:
        console.print(f"[red]✗[/] {title}")
        raise
    console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - begin:.1f} s[/]")


def wait(ready: Callable[[], bool], what: str, *, seconds: float, log: Path | None = None) -> None:
    """Poll until ``ready``. Raises LabError with the log that should say why not."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what} is not ready after {seconds:.0f} s", log)
        time.sleep(0.1)


def explain(error: LabError) -> None:
    """Say what went wrong, and what the log that knows more says last."""
    console.print(f"[red bold]Failed:[/] {escape(str(error))}")
    if error.log is None:
        return
    console.print(f"Look at [bold]{error.log}[/]; it ends with:")
    for line in tail(error.log, _TAIL):
        console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)


def tail(path: Path, lines: int) -> list[str]:
    """Last lines of a text file; what cannot be read is said instead.

    Guests and programs choose these bytes: what would steer the terminal is left out.
    """
    try:
        text = path.read_bytes()[-65536:].decode(errors="replace")
    except OSError as error:
        return [f"({error.strerror})"]
    printable = (_STEERING.sub("", line) for line in text.splitlines())
    found = [line.rstrip() for line in printable if line.strip()]
    return found[-lines:] or ["(it is empty)"]
