"""A virtual environment for each pinned client, so that none is ever a dependency of ours.

It holds exactly what the client's lock file says, and lies in ``.venv-clients/`` under a name that
ends in the lock's hash. A stamp, written last, tells a whole one from one half made.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import venv
from pathlib import Path

from tests.lab import REPO

PLACE = REPO / ".venv-clients"


def programs(client: str) -> Path:
    """Directory of the programs of ``nova`` or ``libcloud``; installs the client if need be."""
    lock = Path(__file__).with_name(f"{client}.lock")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    environment = PLACE / f"{client}-{digest}"
    stamp = environment / "whole"
    if not stamp.exists():
        for other in PLACE.glob(f"{client}-*"):  # half made, or of another lock
            shutil.rmtree(other)
        venv.create(environment, with_pip=True)
        install = ["install", "--quiet", "--no-deps", "--require-hashes", "--requirement", lock]
        pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, *install], capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stderr
        stamp.touch()
    return environment / "bin"
