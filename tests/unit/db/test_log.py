"""What logs never hold."""

from __future__ import annotations

import subprocess
import sys

DEFECT = """
from db import log

def fail(password):
    raise RuntimeError("a defect")

log.configure("test")
try:
    fail("correct" + " horse")
except RuntimeError as error:
    log.logger("x").error("defect", exc_info=error)
"""


def test_row11_a_traceback_shows_no_values_of_variables() -> None:
    """Security row 11: a password that a function was called with stays out of the log."""
    run = subprocess.run([sys.executable, "-c", DEFECT], capture_output=True, text=True, check=True)
    assert "RuntimeError: a defect" in run.stdout
    assert "correct horse" not in run.stdout + run.stderr
