"""Running the programs that build images."""

import os
import subprocess


def run(*argv: object, cwd: str | None = None, timeout: float = 300, **environment: str) -> None:
    """Run a program; it ends the build when it fails."""
    words = [str(word) for word in argv]
    subprocess.run(words, cwd=cwd, env={**os.environ, **environment}, check=True, timeout=timeout)


def output(*argv: object) -> str:
    """Run a program; returns what it prints, "" when it fails."""
    words = [str(word) for word in argv]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, timeout=300).stdout
