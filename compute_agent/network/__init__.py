"""Network of a compute host: bridge, anti-spoofing, NAT, groups, addresses, a tap per server."""

from compute_agent.network.groups import protect
from compute_agent.network.servers import local_ids, plug, plugged, prepare_host, restore, unplug

__all__ = ["local_ids", "plug", "plugged", "prepare_host", "protect", "restore", "unplug"]
