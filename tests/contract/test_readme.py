"""The README says of every operation what the calls of this session showed."""

from __future__ import annotations

from tests.contract.results import FAILED
from tests.contract.table import parts, table


def test_the_readme_says_what_the_calls_showed() -> None:
    """Alone, this compares with what is served; behind ``test_operations.py`` with its outcome."""
    assert parts()[1] == table(FAILED), "run python -m tests.contract.table"
