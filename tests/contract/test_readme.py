"""The README says of every operation what the calls of this session showed."""

from __future__ import annotations

from tests.contract.results import FAILED
from tests.contract.table import parts, table


def test_the_readme_says_what_the_calls_showed() -> None:
    """In one session with ``test_operations.py``, that is; alone it only reads the table."""
    assert parts()[1] == table(FAILED), "run python -m tests.contract.table"
