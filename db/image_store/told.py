"""Who wants to know how far bytes have come."""

from collections.abc import Callable
from typing import TypeAlias

Told: TypeAlias = Callable[[int], None]  # with the bytes so far


def nobody(_: int) -> None:
    """Nobody does."""
