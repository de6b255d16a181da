"""Running the programs that build images."""

import os
import subprocess


def run(*argv: object, cwd: str | None = None, timeout: float = 300, **environment: str) -> None:
    """Run a program; it ends the build, and says why, when it fails."""
    words = [str(word) for word in argv]
    try:
        subprocess.run(
            words, cwd=cwd, env={**os.environ, **environment}, check=True, timeout=timeout
        )
    except FileNotFoundError:
        raise SystemExit(f"{words[0]} is not installed") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"the image is not built: {reason(words, error)}") from None


def reason(words: list[str], error: subprocess.SubprocessError) -> str:
    """What went wrong; the program has said more itself."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{words[0]} failed with status {error.returncode}"
    return f"{words[0]} did not end in time"


def output(*argv: object) -> str:
    """Run a program; returns what it prints, "" when it fails."""
    words = [str(word) for word in argv]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, timeout=300).stdout
