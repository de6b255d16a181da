"""Security groups of a host: what they let in is all that comes in (R237-R254)."""

from compute_agent.network.groups.apply import (
    forget,
    known_servers,
    protect,
    restore,
    yield_address,
)

__all__ = ["forget", "known_servers", "protect", "restore", "yield_address"]
