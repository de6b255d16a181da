"""What is really on this host, read from the kernel: the firewall's elements, links and routes.

The kernel is the only memory: each thing says whose it is (an element names its tap, a route's
metric is the server's id), so that a server is found and removed when every file about it is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_agent.network.names import ROUTE_PROTOCOL, TABLE, owner_of, server_of, tap_of
from compute_agent.network.rules import CONTAINERS, Element
from compute_agent.process import run

TIMEOUT = 20.0  # seconds for one program; each needs milliseconds
_INTERFACES = Path("/proc/sys/net/ipv4/conf")  # the caller's namespace, unlike /sys/class/net


@dataclass(frozen=True, slots=True)
class Firewall:
    """Elements of our table; ``complete`` is False when some of its sets are missing."""

    complete: bool
    elements: frozenset[Element]

    def of(self, server_id: int) -> frozenset[Element]:
        """Elements that are there for one server."""
        tap = tap_of(server_id)
        return frozenset(element for element in self.elements if element.tap == tap)

    def servers(self) -> set[int]:
        """Ids of the servers that the firewall knows."""
        taps = {element.tap for element in self.elements}
        return {server_id for server_id in map(server_of, taps) if server_id is not None}


def firewall() -> Firewall:
    """The firewall as it is."""
    found: set[str] = set()
    elements: set[Element] = set()
    for kind in ("sets", "maps"):
        for item in json.loads(run(["nft", "-j", "list", kind], timeout=TIMEOUT))["nftables"]:
            container = item.get(kind[:-1], {})
            name = container.get("name")
            if container.get("table") != TABLE or CONTAINERS.get(name) != container["family"]:
                continue
            found.add(name)
            elements |= {_element(name, entry) for entry in container.get("elem", ())}
    return Firewall(complete=found == set(CONTAINERS), elements=frozenset(elements))


def _element(container: str, entry: Any) -> Element:
    """One element from nft's JSON: a value, a concatenation, or a pair of key and value."""
    key, value = entry if isinstance(entry, list) else (entry, "")
    comment = ""
    if isinstance(key, dict) and "elem" in key:
        key, comment = key["elem"]["val"], key["elem"].get("comment", "")
    words = [str(word) for word in (key["concat"] if isinstance(key, dict) else [key])]
    tap = words[0] if CONTAINERS[container] == "bridge" else comment
    return Element(container, tuple(words), str(value), tap)


@dataclass(frozen=True, slots=True)
class Route:
    """A public address that this host answers for."""

    address: str
    device: str
    server_id: int


def routes() -> frozenset[Route]:
    """All public addresses routed by us."""
    text = run(["ip", "-j", "route", "show", "proto", str(ROUTE_PROTOCOL)], timeout=TIMEOUT)
    return frozenset(
        Route(entry["dst"], entry["dev"], entry.get("metric", 0)) for entry in json.loads(text)
    )


def proxied(interface: str) -> frozenset[str]:
    """Addresses for which ``interface`` answers ARP though no interface has them."""
    text = run(["ip", "-j", "neigh", "show", "proxy", "dev", interface], timeout=TIMEOUT)
    return frozenset(entry["dst"] for entry in json.loads(text))


def exists(interface: str) -> bool:
    """Whether the interface is there."""
    return (_INTERFACES / interface).is_dir()


def owners() -> set[int]:
    """Ids of the servers that have an interface of their own."""
    names = (path.name for path in _INTERFACES.iterdir())
    return {server_id for server_id in map(owner_of, names) if server_id is not None}


def is_plugged(tap: str, bridge: str) -> bool:
    """Whether the tap is up, a port of the bridge, and lets its guest reach its own addresses."""
    if not exists(tap):
        return False
    link = json.loads(run(["ip", "-j", "-d", "link", "show", "dev", tap], timeout=TIMEOUT))[0]
    port = link.get("linkinfo", {}).get("info_slave_data", {})
    return link.get("master") == bridge and "UP" in link["flags"] and port.get("hairpin", False)
