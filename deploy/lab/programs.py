"""Running other programs, with a time limit and an error that says what went wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_TAIL = 2000  # characters of a failed program's last words


class LabError(Exception):
    """Something of the lab does not work; the message tells the operator what, and where to look.

    ``log`` is the log file that most likely says why.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


def run(*argv: str | Path, timeout: float = 30, stdin: str = "", cwd: Path | None = None) -> str:
    """Run a program; returns its standard output. Raises LabError when it fails or hangs."""
    done = attempt(*argv, timeout=timeout, stdin=stdin, cwd=cwd)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-_TAIL:]
        raise LabError(f"{shown(argv)} failed ({done.returncode}): {words}")
    return done.stdout


def attempt(
    *argv: str | Path, timeout: float = 30, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program that may fail. Raises LabError when it cannot be started or hangs."""
    try:
        return subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{shown(argv)} did not end in {timeout:g} s") from None
    except OSError as error:
        raise LabError(f"{shown(argv)} cannot be started: {error}") from error


def shown(argv: Sequence[str | Path]) -> str:
    """A command as messages show it."""
    words = [str(word) for word in argv]
    return " ".join(words[:8]) + (" ..." if len(words) > 8 else "")
