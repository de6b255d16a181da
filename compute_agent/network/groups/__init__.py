"""Security groups of a host: what they let in is all that comes in (R237-R254)."""

from compute_agent.network.groups.apply import forget, kept, known_servers, protect

__all__ = ["forget", "kept", "known_servers", "protect"]
