"""Two hosts of a zone: their guests reach each other (R219), what is a host's own stays there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.agent.network import frames
from tests.agent.network.fabric import Fabric
from tests.agent.network.frames import BROADCAST, REPLY
from tests.agent.network.test_isolation import FORGED, marked, seen
from tests.agent.network.test_public import peer_seen
from tests.agent.network.world import (
    GATEWAY_MAC,
    OUTSIDE,
    Guest,
    Wire,
    connects,
    http,
    lease,
    listener,
    ping,
    server,
    sh,
)

A, B, C = server(1), server(2), server(3)
PUBLIC_A, PUBLIC_B, PUBLIC_C = (each.public_addresses[0] for each in (A, B, C))


@dataclass
class Across:
    """A on one host, B on the other, with raw wires to both and to the switch between them."""

    a: Guest
    b: Guest
    wire_a: Wire
    wire_b: Wire
    wire_flat: Wire


@pytest.fixture
def across(fabric: Fabric) -> Iterator[Across]:
    a, b = fabric.one.guest(A), fabric.other.guest(B)
    wires = a.wire(), b.wire(), Wire(fabric.flat)
    yield Across(a, b, *wires)
    for wire in wires:
        wire.close()


def test_r219_fixed_addresses_reach_each_other_untranslated(across: Across) -> None:
    assert peer_seen(across.b.namespace, across.a.namespace, B.fixed_address) == A.fixed_address
    assert peer_seen(across.a.namespace, across.b.namespace, A.fixed_address) == B.fixed_address


def test_r218_a_public_address_is_reached_from_everywhere(fabric: Fabric, across: Across) -> None:
    """From outside, from each host, from its own host's guests, from another's and from itself."""
    neighbour = fabric.one.guest(C)
    a, b = across.a.namespace, across.b.namespace
    assert peer_seen(a, fabric.out, PUBLIC_A) == OUTSIDE
    assert peer_seen(a, fabric.one.host, PUBLIC_A) == "10.0.0.1"
    assert peer_seen(a, fabric.other.host, PUBLIC_A) == fabric.other.address
    assert peer_seen(a, b, PUBLIC_A) == PUBLIC_B
    assert peer_seen(a, neighbour.namespace, PUBLIC_A) == PUBLIC_C
    assert peer_seen(a, a, PUBLIC_A) == PUBLIC_A
    for namespace in (fabric.out, fabric.one.host, fabric.other.host, b, neighbour.namespace, a):
        assert ping(namespace, PUBLIC_A), namespace


def test_a_floating_address_is_reached_from_everywhere(fabric: Fabric) -> None:
    """R226-R229, D41: outgoing traffic goes on showing the automatic, first, address."""
    floating = "15.185.17.1"
    a = fabric.one.guest(server(1, public_addresses=(PUBLIC_A, floating))).namespace
    b, c = fabric.other.guest(B).namespace, fabric.one.guest(C).namespace
    assert peer_seen(a, fabric.out, floating) == OUTSIDE
    assert peer_seen(a, fabric.one.host, floating) == "10.0.0.1"
    assert peer_seen(a, fabric.other.host, floating) == fabric.other.address
    assert peer_seen(a, b, floating) == PUBLIC_B
    assert peer_seen(a, c, floating) == PUBLIC_C
    assert peer_seen(a, a, floating) == PUBLIC_A
    assert peer_seen(fabric.out, a, OUTSIDE) == PUBLIC_A
    assert peer_seen(b, a, PUBLIC_B) == PUBLIC_A
    for host in fabric.hosts:
        assert floating not in sh(f"ip -n {host.host} address")


def test_an_address_is_answered_for_by_its_own_host_only(fabric: Fabric, across: Across) -> None:
    for public, owner in ((PUBLIC_A, fabric.one), (PUBLIC_B, fabric.other)):
        assert answering(fabric, public) == {owner.public_mac}
    assert answering(fabric, "15.185.16.99") == set()


def answering(fabric: Fabric, address: str) -> set[str]:
    """MACs of all that answer the outside's question for an address."""
    own = sh(f"ip -n {fabric.out} -br link show eth0").split()[2]
    found = set()
    wanted = bytes((0, REPLY)), bytes(int(part) for part in address.split("."))
    with contextlib.closing(Wire(fabric.out)) as wire:
        wire.send(frames.arp(own, own, OUTSIDE, address))
        while mac := wire.wait(
            lambda got: got[22:28] if (got[20:22], got[28:32]) == wanted else None,
            0.3,
        ):
            found.add(mac.hex(":"))
    return found


def test_gateways_share_their_mac_and_never_meet(fabric: Fabric, across: Across) -> None:
    """Both guests use the same gateway at once; no switch between hosts ever learns its MAC."""
    for _ in range(3):
        for guest in (across.a, across.b):
            assert ping(guest.namespace, OUTSIDE)
            neighbour = sh(f"ip -n {guest.namespace} neigh show 10.0.0.1")
            assert GATEWAY_MAC in neighbour
        assert ping(across.a.namespace, B.fixed_address)
    learnt = fabric.learnt("flat")
    assert {A.mac, B.mac} <= learnt
    assert GATEWAY_MAC not in learnt
    assert GATEWAY_MAC not in fabric.learnt("pub")


OWN = {
    "ARP for the gateway": frames.arp(A.mac, A.mac, A.fixed_address, "10.0.0.1"),
    "ARP for metadata": frames.arp(A.mac, A.mac, A.fixed_address, "169.254.169.254"),
    "to the gateway's MAC": marked(GATEWAY_MAC, A.mac, A.fixed_address, B.fixed_address),
    "DHCP": frames.dhcp(A.mac, A.mac),
}


@pytest.mark.parametrize("name", OWN)
def test_what_is_a_hosts_own_does_not_cross(across: Across, name: str) -> None:
    across.wire_a.send(OWN[name])
    assert not seen(across.wire_flat, OWN[name])
    assert not seen(across.wire_b, OWN[name], seconds=0.05)


def test_dhcp_is_answered_by_the_own_host_only(fabric: Fabric, across: Across) -> None:
    """R216. A lease of one host is unknown to the other, and each asks its own."""
    for wire, of in ((across.wire_a, A), (across.wire_b, B)):
        answer = lease(wire, of.mac, of.mac)
        assert answer is not None
        assert answer["address"] == bytes(int(part) for part in of.fixed_address.split("."))
    for name in ("one", "other"):
        fabric_host = getattr(fabric, name)
        leases = {path.name for path in (fabric_host.state / "dhcp/hosts").iterdir()}
        assert leases == {str(A.id if name == "one" else B.id)}
    assert lease(across.wire_flat, A.mac, A.mac) is None


def test_metadata_is_answered_by_the_own_host_only(fabric: Fabric, across: Across) -> None:
    """R196: while one host's service is away, no other host's answers for it."""
    path = "/latest/meta-data/local-ipv4"
    for guest in (across.a, across.b):
        assert http(guest.namespace, path) == (200, guest.server.fixed_address)
    fabric.one.stop_units()
    try:
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            http(across.a.namespace, path, seconds=0.5)
        assert http(across.b.namespace, path) == (200, B.fixed_address)
    finally:
        fabric.one.start_units()


def test_security_25_forged_frames_do_not_cross(across: Across) -> None:
    """Each frame of the one-host tests, looked for on the switch and at the other host's guest."""
    honest = marked(B.mac, A.mac, A.fixed_address, B.fixed_address)
    across.wire_a.send(honest)
    assert seen(across.wire_b, honest)
    crossed = []
    for name, frame in FORGED.items():
        across.wire_a.send(frame)
        if seen(across.wire_b, frame) or seen(across.wire_flat, frame, seconds=0.05):
            crossed.append(name)
    assert crossed == []


@pytest.mark.parametrize(
    "frame",
    [
        frames.arp(GATEWAY_MAC, GATEWAY_MAC, "10.0.0.1", "10.0.0.1"),
        frames.arp(A.mac, A.mac, "10.0.0.1", B.fixed_address, REPLY, B.mac),
        frames.arp(A.mac, A.mac, "169.254.169.254", B.fixed_address, REPLY, B.mac),
        frames.ip(BROADCAST, A.mac, "0.0.0.0", "255.255.255.255", frames.udp(67, 68, b"offer")),
        marked(B.mac, A.mac, "8.8.8.8", B.fixed_address),
        marked(BROADCAST, A.mac, A.fixed_address, "10.0.255.255"),
    ],
    ids=[
        "the gateway's announcement",
        "a reply for the gateway",
        "a reply for metadata",
        "a DHCP offer",
        "a foreign source",
        "the network's broadcast",
    ],
)
def test_a_host_that_lets_everything_out_harms_no_other(
    fabric: Fabric, across: Across, frame: bytes
) -> None:
    """What one host's rules stop, the others' would stop too: each guards its own guests."""
    across.wire_flat.send(frame)
    assert not seen(across.wire_b, frame)
    assert GATEWAY_MAC in sh(f"ip -n {fabric.other.host} -br link show br100")


def test_hosts_do_not_reach_each_other_by_the_guests_network(
    fabric: Fabric, across: Across
) -> None:
    """A guest of one host reaches nothing of the other host, by whatever address."""
    services = [listener(host.host, 9999) for host in fabric.hosts]
    for address in ("192.168.50.12", "192.168.50.11", "10.0.0.1", "169.254.169.254"):
        assert not connects(across.a.namespace, address, 9999, seconds=0.3), address
        assert not ping(across.a.namespace, address, seconds=0.3), address
    assert not ping(fabric.one.host, B.fixed_address, seconds=0.3)
    for service in services:
        service.close()
