"""Without a rule nothing comes in (R237); what a guest begins itself works, whatever its groups."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.agent.network import frames
from tests.agent.network.packets import (
    ACK,
    ESP,
    GRE,
    ICMP,
    SCTP,
    SYN,
    TCP,
    UDP,
    Kind,
    Place,
    Side,
    arrived,
    closed_place,
    icmp,
    passing,
    send_raw,
    syn,
    tcp,
    token,
    udp,
)
from tests.agent.network.world import (
    FLAT_MAC,
    GATEWAY_MAC,
    OUTSIDE,
    World,
    connects,
    inside,
    listener,
    server,
    sh,
)

CLOSED, OPEN, OTHER = server(1), server(2), server(3)
PUBLIC = CLOSED.public_addresses[0]
EVERY = (
    syn(22),
    syn(1),
    udp(53),
    Kind(ICMP, 8),
    Kind(ICMP, 13),
    Kind(ICMP, 0),
    Kind(ICMP, 3, 3),
    Kind(TCP, 22, flags=ACK),
    Kind(TCP, 22, flags=SYN | ACK),
    Kind(GRE),
    Kind(ESP),
    Kind(SCTP, 80),
    Kind(253),
)
TRANSLATED = {kind for kind in EVERY if kind.protocol in (UDP, GRE, ESP, 253)} | {
    syn(22),
    syn(1),
    Kind(ICMP, 8),
    Kind(ICMP, 13),
}  # what can begin a connection: the rest has no public address


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    with closed_place(world, CLOSED, OPEN) as place:
        yield place


@pytest.mark.parametrize("origin", ["neighbour", "flat"])
def test_r237_nothing_by_the_fixed_address(place: Place, origin: str) -> None:
    side: Side = getattr(place.sides, origin)
    assert passing(side, place.wire, CLOSED.fixed_address, EVERY) == set()
    place.world.join(CLOSED, 1)
    assert passing(side, place.wire, CLOSED.fixed_address, EVERY) == set(EVERY)


def test_r237_nothing_from_outside(place: Place) -> None:
    assert passing(place.sides.outside, place.wire, PUBLIC, EVERY) == set()
    place.world.join(CLOSED, 1)
    assert passing(place.sides.outside, place.wire, PUBLIC, EVERY) == TRANSLATED


def test_r237_nothing_by_the_public_address_of_a_neighbour(place: Place) -> None:
    place.sides.neighbour.next_hop = GATEWAY_MAC
    assert passing(place.sides.neighbour, place.wire, PUBLIC, EVERY) == set()
    place.world.join(CLOSED, 1)
    assert passing(place.sides.neighbour, place.wire, PUBLIC, EVERY) == TRANSLATED


def test_r237_nothing_by_way_of_the_gateway(place: Place) -> None:
    """Routed by the host instead of bridged: the same rules."""
    place.sides.neighbour.next_hop = GATEWAY_MAC
    assert passing(place.sides.neighbour, place.wire, CLOSED.fixed_address, EVERY) == set()


@pytest.mark.parametrize("address", [CLOSED.fixed_address, PUBLIC], ids=["fixed", "public"])
def test_r237_nothing_from_the_host_itself(place: Place, address: str) -> None:
    def reached() -> set[bytes]:
        marks = {token(): kind for kind in (syn(22), udp(53), Kind(ICMP, 8), Kind(253))}
        for mark, kind in marks.items():
            send_raw(place.world.host, address, kind, mark)
        return arrived(place.wire, marks)

    assert reached() == set()
    place.world.join(CLOSED, 1)
    assert len(reached()) == 4


def test_r237_not_even_from_itself(place: Place) -> None:
    """By its public address a server is a stranger to itself, as it would be from elsewhere."""
    with listener(place.closed.namespace, 22):
        assert not connects(place.closed.namespace, PUBLIC, 22)
        place.world.join(CLOSED, 1)
        assert connects(place.closed.namespace, PUBLIC, 22)


def test_r237_fragments(place: Place) -> None:
    """None of a datagram in pieces comes in; all of one that is allowed."""
    whole = frames.udp(5000, 53, token() * 200)

    def send() -> None:
        for offset in range(0, len(whole), 1400):
            piece = whole[offset : offset + 1400]
            more = 0x2000 if offset + 1400 < len(whole) else 0
            packet = frames.ipv4_packet(
                OPEN.fixed_address,
                CLOSED.fixed_address,
                UDP,
                piece,
                fragment=more | offset // 8,
            )
            place.sides.neighbour.wire.send(
                frames.ethernet(CLOSED.mac, OPEN.mac, frames.IPV4, packet)
            )

    mark = whole[8:26]
    send()
    assert arrived(place.wire, [mark]) == set()
    place.world.join(CLOSED, 1)
    with inside(place.closed.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("0.0.0.0", 53))
        end.settimeout(2)
        send()
        assert end.recv(65536) == whole[8:]


def test_r237_single_fragments_without_a_beginning(place: Place) -> None:
    """What is not the first fragment has no ports: it passes by no rule about some, nor alone."""
    place.world.join(CLOSED, 1)
    mark = token()
    packet = frames.ipv4_packet(
        OPEN.fixed_address, CLOSED.fixed_address, UDP, mark, fragment=1400 // 8
    )
    place.sides.neighbour.wire.send(frames.ethernet(CLOSED.mac, OPEN.mac, frames.IPV4, packet))
    assert arrived(place.wire, [mark]) == set()


def test_forged_frame_with_an_open_neighbours_address(place: Place) -> None:
    """The MAC names the closed guest, the packet the open one, whose rules would let it in."""
    other = place.world.guest(OTHER)
    mark = token()
    payload = frames.udp(5000, 53, mark)
    for address in (OPEN.fixed_address, OTHER.fixed_address, OPEN.public_addresses[0]):
        frame = frames.ip(CLOSED.mac, OTHER.mac, OTHER.fixed_address, address, payload)
        with_wire = other.wire()
        with_wire.send(frame)
        with_wire.close()
        place.sides.flat.wire.send(frames.ip(CLOSED.mac, FLAT_MAC, "10.0.7.7", address, payload))
    assert arrived(place.wire, [mark]) == set()


def test_dhcp_answers_come_from_the_host_only(place: Place) -> None:
    """Packets that look like the host's DHCP, from everybody who might forge them."""
    mark = token()
    answer = frames.udp(67, 68, mark)
    for side, sender in (
        (place.sides.neighbour, OPEN.fixed_address),
        (place.sides.neighbour, "10.0.0.1"),
        (place.sides.flat, "10.0.7.7"),
        (place.sides.flat, "10.0.0.1"),
        (place.sides.flat, "169.254.169.254"),
    ):
        side.wire.send(frames.ip(CLOSED.mac, side.mac, sender, CLOSED.fixed_address, answer))
    for sender in (OUTSIDE, "10.0.0.1", "169.254.169.254", "15.185.0.11", "127.0.0.1"):
        place.sides.outside.wire.send(
            frames.ip(place.sides.outside.next_hop, place.sides.outside.mac, sender, PUBLIC, answer)
        )
    assert arrived(place.wire, [mark]) == set()


class TestTricks:
    """What looks like a part of a conversation that the guest never began."""

    @pytest.mark.parametrize("origin", ["neighbour", "flat"])
    def test_answers_to_nothing(self, place: Place, origin: str) -> None:
        side: Side = getattr(place.sides, origin)
        kinds = (
            Kind(TCP, 40000, source=80, flags=SYN | ACK),
            Kind(TCP, 40000, source=80, flags=ACK),
            udp(40000, source=53),
            Kind(ICMP, 0, source=7),
            Kind(ICMP, 14, source=7),
        )
        for _ in range(2):  # not even when it was tried before
            assert passing(side, place.wire, CLOSED.fixed_address, kinds) == set()

    @pytest.mark.parametrize("origin", ["neighbour", "flat"])
    def test_errors_about_what_was_never_sent(self, place: Place, origin: str) -> None:
        side: Side = getattr(place.sides, origin)
        mark = token()
        inner = frames.ipv4_packet(
            CLOSED.fixed_address, side.address, UDP, frames.udp(40000, 53, mark)
        )
        for kind, code in ((3, 3), (3, 4), (11, 0), (12, 0), (5, 1)):
            payload = icmp(kind, code, bytes(4), inner)
            side.wire.send(
                frames.ip(
                    side.next_hop, side.mac, side.address, CLOSED.fixed_address, payload, ICMP
                )
            )
        assert arrived(place.wire, [mark]) == set()

    def test_errors_about_the_senders_own_conversation(self, place: Place) -> None:
        """A conversation that is tracked, but not the victim's, opens no way to the victim."""
        third = place.world.guest(OTHER)
        mark = token()
        place.sides.neighbour.next_hop = OTHER.mac
        far = third.wire()
        allowed = Kind(UDP, 53, source=5000)
        assert passing(place.sides.neighbour, far, OTHER.fixed_address, [allowed]) == {allowed}
        far.close()
        own = frames.udp(5000, 53, mark)
        for ends in (
            (OPEN.fixed_address, OTHER.fixed_address),
            (OTHER.fixed_address, OPEN.fixed_address),
        ):
            inner = frames.ipv4_packet(*ends, UDP, own)
            payload = icmp(3, 3, bytes(4), inner)
            place.sides.neighbour.wire.send(
                frames.ip(
                    CLOSED.mac, OPEN.mac, OPEN.fixed_address, CLOSED.fixed_address, payload, ICMP
                )
            )
        assert arrived(place.wire, [mark]) == set()

    def test_an_attempt_that_was_dropped_opens_nothing(self, place: Place) -> None:
        """Were it tracked, the sender's next packets would be its second half."""
        kind = Kind(UDP, 40000, source=53)
        side = place.sides.neighbour
        assert passing(side, place.wire, CLOSED.fixed_address, [kind] * 3) == set()
        listed = sh(f"ip netns exec {place.world.host} conntrack -L -d {CLOSED.fixed_address}")
        assert listed == ""
        mark = token()
        inner = frames.ipv4_packet(
            CLOSED.fixed_address, side.address, UDP, frames.udp(40000, 53, mark)
        )
        error = icmp(3, 3, bytes(4), inner)
        side.wire.send(
            frames.ip(side.next_hop, side.mac, side.address, CLOSED.fixed_address, error, ICMP)
        )
        assert arrived(place.wire, [mark]) == set()

    def test_an_attempt_from_outside_that_was_dropped_is_not_tracked(self, place: Place) -> None:
        """Or whoever asks fills the host's memory without being let in anywhere."""
        kinds = (syn(22), udp(53), Kind(ICMP, 8))
        for side in (place.sides.outside, place.sides.neighbour):
            side.next_hop = place.sides.outside.next_hop if side.address == OUTSIDE else GATEWAY_MAC
            assert passing(side, place.wire, PUBLIC, kinds) == set()
        listed = sh(f"ip netns exec {place.world.host} conntrack -L -d {PUBLIC}")
        assert listed == ""

    def test_other_ports_of_a_peer_that_the_guest_talks_to(self, place: Place) -> None:
        """An answer has the ports of the question, turned round; nothing else is one."""
        with inside(
            place.closed.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM
        ) as end:
            end.bind((CLOSED.fixed_address, 40000))
            end.sendto(b"question", (OPEN.fixed_address, 53))
            side = place.sides.neighbour
            kinds = (
                udp(40000, source=53),
                udp(40001, source=53),
                udp(40000, source=54),
                Kind(TCP, 40000, source=53, flags=SYN),
            )
            assert passing(side, place.wire, CLOSED.fixed_address, kinds) == {kinds[0]}


def test_tcp_checksums_are_right() -> None:
    """Or the kernel would drop the test's packets by itself, and the rules would look strict."""
    segment = tcp("10.0.0.1", "10.0.0.2", 1, 2, SYN, b"ab")
    pseudo = bytes((10, 0, 0, 1, 10, 0, 0, 2)) + struct.pack("!BBH", 0, TCP, len(segment))
    assert frames.checksum(pseudo + segment) == 0
