"""What the calls of this test session showed, for the README's table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.wire.call import Format

FAILED: set[tuple[str, Format]] = set()


@contextmanager
def noted(operation_id: str, form: Format) -> Iterator[None]:
    """Remember a failure inside."""
    try:
        yield
    except BaseException:
        FAILED.add((operation_id, form))
        raise
