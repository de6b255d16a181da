"""From what a host has and what a server wants to the commands that make both the same. Pure.

An empty plan is the proof that a server is plugged; the same plan, made again after a kill -9 at
any point, holds what is still missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from compute_agent.network import bandwidth
from compute_agent.network.names import ROUTE_PROTOCOL, server_of, tap_of
from compute_agent.network.rules import UNSPECIFIED, Element, Interfaces, elements_of
from compute_agent.network.state import Firewall, Route
from db.wanted import WantedServer


@dataclass(frozen=True, slots=True)
class Observed:
    """What concerns one server on its host."""

    firewall: Firewall
    routes: frozenset[Route]
    proxied: frozenset[str]
    tap_exists: bool
    tap_plugged: bool
    limits: bandwidth.Limits = bandwidth.UNLIMITED


@dataclass(frozen=True, slots=True)
class Plan:
    """What must change, in the order of the fields; false when nothing must."""

    remove: frozenset[Element] = frozenset()
    add: frozenset[Element] = frozenset()
    make_tap: bool = False
    links: tuple[str, ...] = ()  # lines of ``ip -batch``
    limit: bandwidth.Change = bandwidth.UNCHANGED
    announce: frozenset[str] = frozenset()  # public addresses that are new here
    cut_fixed: frozenset[str] = frozenset()  # addresses whose connections end
    cut_lost: frozenset[str] = frozenset()
    cut_gained: frozenset[tuple[str, str]] = frozenset()  # public, fixed

    def __bool__(self) -> bool:
        return bool(self.remove or self.add or self.make_tap or self.links or self.limit)


def to_plug(server: WantedServer, port: int, seen: Observed, nics: Interfaces) -> Plan:
    """Plan that makes the server plugged, its metadata served at ``port``.

    An address belongs to one server: whoever else has it here is out of date and loses it.
    """
    wanted = elements_of(server, port)
    keys = {(element.container, element.key) for element in wanted}
    here = seen.firewall.of(server.id)
    here |= {e for e in seen.firewall.elements if (e.container, e.key) in keys}
    here |= {e for e in seen.firewall.elements if _shows(e, server.public_addresses)}
    for other in _holders(seen.firewall, server):
        here |= seen.firewall.of(other)
    remove, add = here - wanted, wanted - seen.firewall.elements
    own = (tap_of(server.id), server.fixed_address)
    lost = frozenset(e for e in remove if (e.tap, e.key[-1]) != own)
    links, fresh = _routes(server, seen, nics)
    return Plan(
        remove=remove,
        add=add,
        make_tap=not seen.tap_exists,
        links=tuple(links + ([] if seen.tap_plugged else _tap(server.id, nics.bridge))),
        limit=bandwidth.to_limit(server.id, server.rxtx_cap, seen.limits),
        announce=fresh,
        cut_fixed=_senders(lost),  # not of who only loses a public one
        cut_lost=_public(remove),
        cut_gained=frozenset(
            (public, server.fixed_address) for public in _public(add) - _public(remove)
        ),
    )


def to_unplug(
    server_id: int, record: WantedServer | None, seen: Observed, nics: Interfaces
) -> Plan:
    """Plan after which nothing of the server is on the host.

    Its addresses are those that rules, routes or the record name: any one of them is enough.
    """
    remove = seen.firewall.of(server_id)
    own = {route for route in seen.routes if route.server_id == server_id}
    publics = {route.address for route in own} | _public(remove)
    fixed = set(_fixed(remove))
    if record is not None:
        publics |= set(record.public_addresses)
        fixed.add(record.fixed_address)
    others = {route.address for route in seen.routes - own}
    others |= _public(seen.firewall.elements - remove)
    publics -= others
    links = [f"link del dev {tap_of(server_id)}"] if seen.tap_exists else []
    links += bandwidth.to_remove(server_id, seen.limits)
    links += [
        f"neigh del proxy {address} dev {nics.public}" for address in sorted(publics & seen.proxied)
    ]
    links += [_route("del", route) for route in sorted(own, key=lambda route: route.address)]
    return Plan(
        remove=remove,
        links=tuple(links),
        cut_fixed=frozenset(fixed),
        cut_lost=frozenset() if fixed else frozenset(publics),  # those end with the fixed one's
    )


def _shows(element: Element, publics: tuple[str, ...]) -> bool:
    """Whether by the element somebody's traffic shows one of the addresses."""
    return element.container == "public_of" and element.value in publics


def _holders(firewall: Firewall, server: WantedServer) -> set[int]:
    """Other servers that have this one's fixed address or MAC here."""
    own, mac, fixed = tap_of(server.id), server.mac.lower(), server.fixed_address
    taps = {
        e.tap
        for e in firewall.elements
        if e.container == "senders" and e.tap != own and (e.key[1] == mac or e.key[2] == fixed)
    }
    return {server_id for server_id in map(server_of, taps) if server_id is not None}


def _routes(
    server: WantedServer, seen: Observed, nics: Interfaces
) -> tuple[list[str], frozenset[str]]:
    """Commands for the public addresses, and which of them were not answered for before."""
    publics = frozenset(server.public_addresses)
    wanted = {Route(address, nics.bridge, server.id) for address in publics}
    stale = {
        route
        for route in seen.routes - wanted
        if route.server_id == server.id or route.address in publics
    }
    lines: list[str] = []
    for route in sorted(stale, key=lambda route: route.address):
        if route.address in seen.proxied - publics:
            lines.append(f"neigh del proxy {route.address} dev {nics.public}")
        lines.append(_route("del", route))
    new = wanted - seen.routes
    lines += [  # what the host itself sends there comes from the gateway's address
        f"{_route('add', route)} src {server.network.gateway}"
        for route in sorted(new, key=lambda route: route.address)
    ]
    unproxied = publics - seen.proxied
    lines += [f"neigh add proxy {address} dev {nics.public}" for address in sorted(unproxied)]
    return lines, unproxied | {route.address for route in new}


def _route(verb: str, route: Route) -> str:
    return (
        f"route {verb} {route.address}/32 dev {route.device}"
        f" proto {ROUTE_PROTOCOL} metric {route.server_id}"
    )


def _tap(server_id: int, bridge: str) -> list[str]:
    """A guest that names its own public address gets it back through its own port: hairpin."""
    tap = tap_of(server_id)
    return [
        f"link set dev {tap} master {bridge}",
        f"link set dev {tap} type bridge_slave hairpin on",
        f"link set dev {tap} up",
    ]


def _fixed(elements: frozenset[Element]) -> frozenset[str]:
    return _senders(elements) | {e.value for e in elements if e.container == "fixed_of"}


def _senders(elements: frozenset[Element]) -> frozenset[str]:
    senders = {e.key[2] for e in elements if e.container == "senders"}
    return frozenset(senders - {UNSPECIFIED})


def _public(elements: frozenset[Element]) -> frozenset[str]:
    return frozenset(e.key[0] for e in elements if e.container == "fixed_of")
