"""The one place of the agent that runs other programs.

What is guaranteed for every program run from here:

- it never outlives the agent: the kernel kills it when the agent dies (PDEATHSIG), and it does not
  begin when it is too late for that, so that a new agent finds nobody still writing to a disk or a
  rule set;
- it ends within ``timeout``, together with the children that it started;
- no shell interprets its arguments, and its locale is C.UTF-8, so that its words can be relied
  upon.

PDEATHSIG and limits are set by ``setpriv`` and ``prlimit`` (util-linux) ahead of the program: a
``preexec_fn`` would run Python between fork and exec, which may deadlock in a process of threads.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from compute_agent.errors import HostFault, Retry

_TAIL = 500  # characters of a failed program's last words that go into the error
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for a program that reads what a stranger wrote."""

    address_space: int  # bytes of memory
    cpu_seconds: int
    file_size: int | None = None  # bytes of the largest file that it writes


#: For qemu-img on images that came from outside (OSSA-2016-012). It starts up to 64 threads, whose
#: stacks alone may take 8 MiB each.
QEMU_IMG = Limits(address_space=2048 * _MIB, cpu_seconds=60)
#: For qemu-img that copies a whole disk.
COPY = Limits(address_space=4096 * _MIB, cpu_seconds=3600)
_LOOK = 1.0  # seconds between two looks whether a program is still wanted


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    input: str | None = None,
    limits: Limits | None = None,
    still: Callable[[str], None] | None = None,
) -> str:
    """Run ``argv`` and return what it wrote to its standard output.

    ``timeout`` is in seconds. ``still`` is called every second with what the program wrote
    to its standard output so far; what it raises ends the program.
    Raises Retry when time ran out, HostFault when the program is missing or ends with another
    status than 0; both carry the end of its standard error.
    """
    process = subprocess.Popen(
        _wrapped(argv, limits),
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=_environment(),
        start_new_session=True,
    )
    try:
        if still is None:
            output, complaint = process.communicate(input, timeout=timeout)
        else:
            output, complaint = _watched(process, timeout, still)
    except subprocess.TimeoutExpired:
        complaint = _kill(process)
        raise Retry(f"{_shown(argv)} did not end in {timeout:g} s{_tail(complaint)}") from None
    except BaseException:
        _kill(process)
        raise
    if process.returncode != 0:
        raise HostFault(f"{_shown(argv)} failed ({process.returncode}){_tail(complaint)}")
    return output


@contextmanager
def running(argv: Sequence[str], *, end_seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Have ``argv`` run beside the block, and tell it to end when the block ends well.

    Raises HostFault when it did not end well itself, Retry when it took longer than
    ``end_seconds`` to end. A block that raises has it killed.
    """
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            _wrapped(argv, None), stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints,
            text=True, env=_environment(), start_new_session=True,
        )  # fmt: skip
        try:
            yield process
            process.terminate()
            process.wait(end_seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise Retry(f"{_shown(argv)} did not end in {end_seconds:g} s") from None
        except BaseException as error:
            _kill(process)
            if isinstance(error, HostFault):
                complaints.seek(0)
                raise HostFault(f"{error}{_tail(complaints.read())}") from error
            raise
        if process.returncode != 0:
            complaints.seek(0)
            code = process.returncode
            raise HostFault(f"{_shown(argv)} failed ({code}){_tail(complaints.read())}")


def _watched(
    process: subprocess.Popen[str], timeout: float, still: Callable[[str], None]
) -> tuple[str, str]:
    """Output and complaint of a program, with a look every second whether it is still wanted."""
    end = time.monotonic() + timeout
    while True:
        try:
            return process.communicate(timeout=max(min(_LOOK, end - time.monotonic()), 0))
        except subprocess.TimeoutExpired as late:
            if time.monotonic() >= end:
                raise
            written: bytes = late.output or b""
        still(written.decode(errors="replace"))


def _environment() -> dict[str, str]:
    """Ours, in a known language; an arena of memory for each thread would exceed any limit."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


def tied(*privileges: str) -> list[str]:
    """What goes ahead of a program that must not outlive this process.

    ``privileges`` are options of setpriv. The kernel is told to kill the program with its parent;
    a parent that died before that was told is not this process any more, and nothing is run.
    """
    only_ours = ["sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
    return ["setpriv", *privileges, "--pdeathsig", "KILL", "--", *only_ours]


def _wrapped(argv: Sequence[str], limits: Limits | None) -> list[str]:
    """``argv`` behind the programs that tie it to the agent's life and to its limits."""
    wrapped = tied()
    if limits is not None:
        wrapped += ["prlimit", f"--as={limits.address_space}", f"--cpu={limits.cpu_seconds}"]
        if limits.file_size is not None:
            wrapped.append(f"--fsize={limits.file_size}")
        wrapped.append("--")
    return [*wrapped, *argv]


def _kill(process: subprocess.Popen[str]) -> str:
    """End the program and its children; returns what it had written to its standard error."""
    with contextlib.suppress(ProcessLookupError):  # it may have ended meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[1] or ""


def _shown(argv: Sequence[str]) -> str:
    """Name of the program and its first words, enough to know which call it was."""
    return " ".join(argv[:4])


def _tail(text: str) -> str:
    text = text.strip()
    return f": {text[-_TAIL:]}" if text else ""
