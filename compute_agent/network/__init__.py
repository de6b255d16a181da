"""Network of a compute host: bridge, anti-spoofing, NAT, groups, addresses, a tap per server."""

from compute_agent.network.groups import protect
from compute_agent.network.servers import (
    keep_plugged,
    local_ids,
    plug,
    plugged,
    prepare_host,
    restore,
    unplug,
)
from compute_agent.network.watch import on_loss

__all__ = [
    "keep_plugged",
    "local_ids",
    "on_loss",
    "plug",
    "plugged",
    "prepare_host",
    "protect",
    "restore",
    "unplug",
]
