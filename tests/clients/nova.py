"""The nova command, run as its users run it: settings in the environment, tables on its output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


class Nova:
    """The command in a tenant's hands. Every call is a process; a failed one fails the test."""

    def __init__(self, programs: Path, openrc: Mapping[str, str]) -> None:
        self._programs = programs
        self._environment = {f"OS_{name}": value for name, value in openrc.items()}
        self._environment["LC_ALL"] = "C.UTF-8"

    def __call__(self, *words: str) -> str:
        """Standard output of ``nova WORD ...``."""
        done = self.run(*words)
        assert done.returncode == 0, f"nova {words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same, however it ends."""
        return self._run("nova", *words)

    def python(self, program: str) -> str:
        """Standard output of a Python program that uses the command's library."""
        done = self._run("python", "-c", program)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / argv[0], *argv[1:]],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def rows(self, *words: str) -> list[dict[str, str]]:
        """The rows of a table that it prints, by column."""
        lines = [line for line in self(*words).splitlines() if line.startswith("|")]
        head, *body = ([cell.strip() for cell in line[1:-1].split(" | ")] for line in lines)
        return [dict(zip(head, cells, strict=True)) for cells in body]

    def properties(self, *words: str) -> dict[str, str]:
        """The one record that it prints, as property and value."""
        return {row["Property"]: row["Value"] for row in self.rows(*words)}
