"""Help comes without loading the database, the settings or any noun."""

from __future__ import annotations

import subprocess
import sys


def test_help_loads_little() -> None:
    program = (
        "import sys; from deploy.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit: pass\n"
        "loaded = {'sqlalchemy', 'pydantic', 'deploy.cli.server', 'db'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "timeline" not in done.stdout
    assert "operation" in done.stdout
