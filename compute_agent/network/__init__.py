"""Network of a compute host: bridge, anti-spoofing, NAT, public addresses, a tap per server."""

from compute_agent.network.servers import local_ids, plug, plugged, prepare_host, unplug

__all__ = ["local_ids", "plug", "plugged", "prepare_host", "unplug"]
