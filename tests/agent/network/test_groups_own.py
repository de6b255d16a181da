"""What a guest without groups begins itself works, and what it needs of its host (R237)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.agent.network import frames
from tests.agent.network.packets import GRE, Kind, Place, arrived, closed_place, send_raw, token
from tests.agent.network.world import (
    GATEWAY_MAC,
    OUTSIDE,
    World,
    connects,
    http,
    inside,
    lease,
    listener,
    ping,
    server,
    sh,
)

CLOSED, OPEN = server(1), server(2)


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    with closed_place(world, CLOSED, OPEN) as place:
        yield place


def asked(serving: str, calling: str, address: str) -> bytes:
    """What a UDP service says to a caller."""
    with (
        inside(serving, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as service,
        inside(calling, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as caller,
    ):
        service.bind(("0.0.0.0", 7001))
        for end in (service, caller):
            end.settimeout(2)
        caller.sendto(b"question", (address, 7001))
        service.sendto(b"answer", service.recvfrom(100)[1])
        return caller.recv(100)


def test_tcp_udp_and_ping(place: Place) -> None:
    for namespace, address in (
        (place.opened.namespace, OPEN.fixed_address),
        (place.opened.namespace, OPEN.public_addresses[0]),
        (place.world.out, OUTSIDE),
    ):
        with listener(namespace, 7000):
            assert connects(place.closed.namespace, address, 7000), address
        assert ping(place.closed.namespace, address), address
        assert asked(namespace, place.closed.namespace, address) == b"answer", address


def test_of_another_host(place: Place) -> None:
    """The flat side answers by hand; the other host's rules are that host's."""
    sh(f"ip -n {place.world.flat} addr add 10.0.7.7/16 dev eth0")
    try:
        assert ping(place.closed.namespace, "10.0.7.7")
        assert not ping(place.world.flat, CLOSED.fixed_address, seconds=0.3)
        with listener(place.world.flat, 7000):
            assert connects(place.closed.namespace, "10.0.7.7", 7000)
    finally:
        sh(f"ip -n {place.world.flat} addr del 10.0.7.7/16 dev eth0")


def test_another_protocol(place: Place) -> None:
    side = place.sides.neighbour
    for protocol in (GRE, 253):
        question, answer = token(), token()
        send_raw(place.closed.namespace, OPEN.fixed_address, Kind(protocol), question)
        assert arrived(side.wire, [question]) == {question}
        side.send(CLOSED.fixed_address, Kind(protocol), answer)
        assert arrived(place.wire, [answer]) == {answer}, protocol


def test_port_unreachable(place: Place) -> None:
    for address in (OPEN.fixed_address, OPEN.public_addresses[0], OUTSIDE):
        with inside(
            place.closed.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM
        ) as end:
            end.settimeout(2)
            end.connect((address, 9))
            end.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                end.recv(100)


def test_refused_at_once(place: Place) -> None:
    for address in (OPEN.fixed_address, OUTSIDE):
        with pytest.raises(ConnectionRefusedError):
            inside(place.closed.namespace, socket.create_connection, (address, 9), 2)


def test_fragmentation_needed(place: Place) -> None:
    """The host's public side takes smaller packets than the guest sends: it learns that."""
    sh(f"ip -n {place.world.host} link set eth2 mtu 1300")
    try:
        with inside(
            place.closed.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM
        ) as end:
            end.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            end.connect((OUTSIDE, 9))
            end.send(bytes(1400))
            needed = place.wire.wait(
                lambda got: got[40:42] if got[34:36] == b"\x03\x04" else None, 1.0
            )
            assert needed == struct.pack("!H", 1300)
    finally:
        sh(f"ip -n {place.world.host} link set eth2 mtu 1500")


def test_time_exceeded(place: Place) -> None:
    """Traceroute sees the host: an error about a packet that never went on."""
    with inside(place.closed.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        end.sendto(b"how far?", (OUTSIDE, 33434))
        found = place.wire.wait(lambda got: got[26:30] if got[34:36] == b"\x0b\x00" else None, 1.0)
        assert found == bytes((10, 0, 0, 1))


def test_large_answers(place: Place) -> None:
    def sizes(namespace: str, address: str) -> bool:
        return "1 received" in sh(
            f"ip netns exec {namespace} ping -n -c 1 -W 2 -s 5000 {address}", check=False
        )

    assert sizes(place.closed.namespace, OPEN.fixed_address)
    assert sizes(place.closed.namespace, OUTSIDE)


def test_metadata_and_dhcp(place: Place) -> None:
    assert http(place.closed.namespace, "/latest/meta-data/local-ipv4")[1] == (CLOSED.fixed_address)
    wire = place.wire
    assert lease(wire, CLOSED.mac, CLOSED.mac) is not None
    answer = lease(
        wire,
        CLOSED.mac,
        CLOSED.mac,
        kind=frames.DHCP_REQUEST,
        requested=CLOSED.fixed_address,
    )
    assert answer is not None
    assert answer[53] == bytes((frames.ACK,))


def test_a_lease_is_renewed(place: Place) -> None:
    """RFC 2131, 4.3.2: to the server alone, from the address, which the answer goes to."""
    sh(f"ip netns exec {place.world.host} conntrack -F")
    message = bytearray(frames.dhcp_payload(frames.DHCP_REQUEST, CLOSED.mac, 77))
    message[10:12] = bytes(2)  # no answer to all
    message[12:16] = bytes(map(int, CLOSED.fixed_address.split(".")))
    place.wire.send(
        frames.ip(
            GATEWAY_MAC,
            CLOSED.mac,
            CLOSED.fixed_address,
            "10.0.0.1",
            frames.udp(68, 67, bytes(message)),
        )
    )
    found = place.wire.wait(lambda got: got if frames.dhcp_answer(got, 77) else None, 2.0)
    assert found is not None
    assert found[30:34] == bytes(map(int, CLOSED.fixed_address.split(".")))
