"""How an image store fails."""

from __future__ import annotations


class StoreAway(Exception):  # noqa: N818
    """The store does not answer, or refuses us; the text is the operator's."""
