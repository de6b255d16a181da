"""What a guest cannot send, reach or overhear: forged frames, tried and looked for on the wires."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.agent.network import frames
from tests.agent.network.frames import ARP, BROADCAST, IPV4, IPV6, REPLY, VLAN
from tests.agent.network.world import (
    FLAT_MAC,
    GATEWAY_MAC,
    MANAGER,
    Guest,
    Wire,
    World,
    connects,
    lease,
    listener,
    ping,
    server,
    sh,
)

A, B = server(1), server(2)
STRANGER_MAC, STRANGER = "02:16:3e:00:00:99", "10.0.0.99"
TOKEN = b"undercast-was-here"
OTHERS = "10.0.7.7"  # a fixed address on another host, behind the flat network


@dataclass
class Two:
    """Two guests on one host, with raw wires to each and to the flat network."""

    a: Guest
    b: Guest
    wire_a: Wire
    wire_b: Wire
    wire_flat: Wire


@pytest.fixture
def two(world: World) -> Iterator[Two]:
    a, b = world.guest(A), world.guest(B)
    wires = a.wire(), b.wire(), Wire(world.flat)
    yield Two(a, b, *wires)
    for wire in wires:
        wire.close()


def seen(wire: Wire, frame: bytes, *, seconds: float = 0.3) -> bool:
    """Whether the frame arrives; the kernel takes a VLAN's tag off before it shows it."""
    forms = {frame[12:42]}
    if frame[12:14] == struct.pack("!H", VLAN):
        forms.add(frame[16:46])
    return wire.wait(lambda got: True if got[12:42] in forms else None, seconds) is not None


def marked(target_mac: str, source_mac: str, sender: str, target: str, port: int = 4000) -> bytes:
    return frames.ip(target_mac, source_mac, sender, target, frames.udp(port, 4000, TOKEN))


def test_honest_frames_pass(two: Two) -> None:
    """The measure of the other tests: what is not forged does arrive."""
    for frame in (
        marked(B.mac, A.mac, A.fixed_address, B.fixed_address),
        frames.arp(A.mac, A.mac, A.fixed_address, B.fixed_address),
        frames.arp(A.mac, A.mac, "0.0.0.0", B.fixed_address),
    ):
        two.wire_a.send(frame)
        assert seen(two.wire_b, frame)
    for frame in (
        marked(FLAT_MAC, A.mac, A.fixed_address, OTHERS),
        frames.arp(A.mac, A.mac, A.fixed_address, OTHERS),
    ):
        two.wire_a.send(frame)
        assert seen(two.wire_flat, frame)


FORGED = {
    "another's MAC": marked(B.mac, STRANGER_MAC, A.fixed_address, B.fixed_address),
    "another's address": marked(B.mac, A.mac, STRANGER, B.fixed_address),
    "the neighbour's identity": marked(B.mac, B.mac, B.fixed_address, B.fixed_address),
    "the gateway's address": marked(B.mac, A.mac, "10.0.0.1", B.fixed_address),
    "the gateway's MAC": marked(B.mac, GATEWAY_MAC, A.fixed_address, B.fixed_address),
    "no address": marked(B.mac, A.mac, "0.0.0.0", B.fixed_address),
    "a public address": marked(B.mac, A.mac, "15.185.16.11", B.fixed_address),
    "ARP for a stranger": frames.arp(A.mac, A.mac, STRANGER, B.fixed_address),
    "ARP with another sender MAC": frames.arp(
        A.mac, STRANGER_MAC, A.fixed_address, B.fixed_address
    ),
    "ARP from another MAC": frames.arp(STRANGER_MAC, A.mac, A.fixed_address, B.fixed_address),
    "ARP that claims the gateway": frames.arp(
        A.mac, A.mac, "10.0.0.1", B.fixed_address, REPLY, B.mac
    ),
    "ARP that claims the metadata address": frames.arp(
        A.mac, A.mac, "169.254.169.254", B.fixed_address, REPLY, B.mac
    ),
    "ARP that claims the neighbour": frames.arp(
        A.mac, A.mac, B.fixed_address, "10.0.0.1", REPLY, BROADCAST
    ),
    "a DHCP server": marked(B.mac, A.mac, A.fixed_address, B.fixed_address, port=67),
    "a DHCP server's broadcast": frames.ip(
        BROADCAST, A.mac, A.fixed_address, "255.255.255.255", frames.udp(67, 68, TOKEN)
    ),
    "IP broadcast": marked(BROADCAST, A.mac, A.fixed_address, "255.255.255.255"),
    "IP multicast": marked("01:00:5e:00:00:fb", A.mac, A.fixed_address, "224.0.0.251"),
    "the network's broadcast, to one MAC": marked(B.mac, A.mac, A.fixed_address, "10.0.255.255"),
    "multicast, to one MAC": marked(B.mac, A.mac, A.fixed_address, "224.0.0.251"),
    "unicast IP in a broadcast frame": marked(BROADCAST, A.mac, A.fixed_address, B.fixed_address),
    "IPv6": frames.ethernet(B.mac, A.mac, IPV6, b"\x60" + bytes(60)),
    "an IPv6 router's advertisement": frames.ethernet(
        "33:33:00:00:00:01",
        A.mac,
        IPV6,
        struct.pack("!IHBB", 0x60000000, 16, 58, 255)
        + bytes.fromhex("fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01")
        + bytes.fromhex("86000000400007080000000000000000"),
    ),
    "a VLAN": frames.ethernet(
        B.mac,
        A.mac,
        VLAN,
        struct.pack("!HH", 5, IPV4) + marked(B.mac, A.mac, A.fixed_address, B.fixed_address)[14:],
    ),
    "VLAN 0": frames.ethernet(
        B.mac,
        A.mac,
        VLAN,
        struct.pack("!HH", 0, ARP)
        + frames.arp(A.mac, A.mac, A.fixed_address, B.fixed_address)[14:],
    ),
    "LLDP": frames.ethernet("01:80:c2:00:00:0e", A.mac, 0x88CC, TOKEN),
    "another protocol": frames.ethernet(B.mac, A.mac, 0x88B5, TOKEN),
}


@pytest.mark.parametrize("name", FORGED)
def test_security_25_forged_frames_pass_nowhere(two: Two, name: str) -> None:
    frame = FORGED[name]
    two.wire_a.send(frame)
    assert not seen(two.wire_b, frame)
    assert not seen(two.wire_flat, frame, seconds=0.05)


def test_forged_source_of_a_link_local_frame_is_not_learnt(world: World, two: Two) -> None:
    """Frames to 01:80:c2:00:00:0x go round the bridge's rules; they must teach it nothing."""
    for group in ("0e", "03"):
        two.wire_a.send(frames.ethernet(f"01:80:c2:00:00:{group}", B.mac, 0x88CC, TOKEN))
    frame = marked(B.mac, FLAT_MAC, OTHERS, B.fixed_address)
    two.wire_flat.send(frame)
    assert seen(two.wire_b, frame)
    forwarding = sh(f"ip netns exec {world.host} bridge fdb show br br100")
    assert f"{B.mac} dev {A.tap}" not in forwarding


def test_unicast_to_others_is_not_overheard(two: Two) -> None:
    frame = marked("02:00:00:00:77:77", A.mac, A.fixed_address, OTHERS)
    two.wire_a.send(frame)
    assert seen(two.wire_flat, frame)
    assert not seen(two.wire_b, frame, seconds=0.1)


def test_own_broadcasts_do_not_come_back(two: Two) -> None:
    """Hairpin must not make a guest believe that somebody else has its address."""
    frame = frames.arp(A.mac, A.mac, A.fixed_address, A.fixed_address)
    two.wire_a.send(frame)
    assert seen(two.wire_b, frame)
    assert not seen(two.wire_a, frame, seconds=0.1)


@pytest.mark.parametrize(
    "frame",
    [
        frames.arp(A.mac, A.mac, A.fixed_address, "10.0.0.1"),
        frames.arp(A.mac, A.mac, A.fixed_address, "169.254.169.254"),
        marked(GATEWAY_MAC, A.mac, A.fixed_address, OTHERS),
        frames.dhcp(A.mac, A.mac),
    ],
    ids=["ARP for the gateway", "ARP for metadata", "to the gateway's MAC", "DHCP"],
)
def test_what_is_the_hosts_does_not_cross_the_flat_interface(two: Two, frame: bytes) -> None:
    two.wire_a.send(frame)
    assert not seen(two.wire_flat, frame)
    assert not seen(two.wire_b, frame, seconds=0.05)


def test_the_host_itself_sends_nothing_by_the_flat_interface(world: World, two: Two) -> None:
    assert not ping(world.host, OTHERS, seconds=0.3)
    assert two.wire_flat.wait(lambda got: got if got[12:14] != b"\x88\xcc" else None, 0.3) is None


@pytest.mark.parametrize(
    "frame",
    [
        frames.arp(FLAT_MAC, FLAT_MAC, "10.0.0.1", A.fixed_address, REPLY, A.mac),
        frames.arp(GATEWAY_MAC, GATEWAY_MAC, "10.0.0.1", "10.0.0.1"),
        frames.arp(FLAT_MAC, FLAT_MAC, OTHERS, "10.0.0.1"),
        marked(A.mac, GATEWAY_MAC, OTHERS, A.fixed_address),
        marked(A.mac, FLAT_MAC, OTHERS, A.fixed_address, port=67),
        marked(A.mac, FLAT_MAC, "8.8.8.8", A.fixed_address),
        marked(BROADCAST, FLAT_MAC, OTHERS, "255.255.255.255"),
        frames.ethernet(A.mac, FLAT_MAC, IPV6, b"\x60" + bytes(60)),
        frames.ethernet(
            A.mac,
            FLAT_MAC,
            VLAN,
            struct.pack("!HH", 5, IPV4) + marked(A.mac, FLAT_MAC, OTHERS, A.fixed_address)[14:],
        ),
    ],
    ids=[
        "another gateway",
        "the gateway's MAC",
        "ARP for our gateway",
        "IP from the gateway's MAC",
        "DHCP answer",
        "foreign source",
        "broadcast",
        "IPv6",
        "a VLAN",
    ],
)
def test_the_flat_interface_lets_in_only_guests_of_other_hosts(two: Two, frame: bytes) -> None:
    honest = marked(A.mac, FLAT_MAC, OTHERS, A.fixed_address)
    two.wire_flat.send(honest)
    assert seen(two.wire_a, honest)
    two.wire_flat.send(frame)
    assert not seen(two.wire_a, frame)


def test_guests_reach_each_other_by_fixed_addresses(two: Two) -> None:
    assert ping(two.a.namespace, B.fixed_address)
    assert ping(two.b.namespace, A.fixed_address)


def test_host_reaches_guest_but_guest_does_not_reach_host(world: World, two: Two) -> None:
    services = [listener(world.host, 9999), listener(world.mgmt, 9999)]
    assert ping(world.host, A.fixed_address)
    for address in ("10.0.0.1", "192.168.50.11", "15.185.0.11", "169.254.169.254"):
        assert not connects(two.a.namespace, address, 9999, seconds=0.3), address
        assert not ping(two.a.namespace, address, seconds=0.3), address
    assert connects(world.host, MANAGER, 9999)
    for service in services:
        service.close()


def test_guest_does_not_reach_the_management_network(world: World, two: Two) -> None:
    """Not even where the manager knows a way back to the guest."""
    sh(f"ip -n {world.mgmt} route add 10.0.0.0/16 via 192.168.50.11")
    sh(f"ip -n {world.mgmt} route add 15.185.0.0/16 via 192.168.50.11")
    service = listener(world.mgmt, 9999)
    assert not connects(two.a.namespace, MANAGER, 9999)
    assert not ping(two.a.namespace, MANAGER, seconds=0.3)
    assert not ping(world.mgmt, A.fixed_address, seconds=0.3)
    assert not ping(world.mgmt, "15.185.0.1", seconds=0.3)
    service.close()


def test_from_outside_the_host_is_its_public_address_only(world: World) -> None:
    """A machine outside that sends what is for the management address to the host anyway."""
    sh(f"ip -n {world.out} route add 192.168.50.11/32 via 15.185.0.11")
    sh(f"ip -n {world.out} route add 10.0.0.1/32 via 15.185.0.11")
    try:
        with listener(world.host, 9997):
            assert connects(world.out, "15.185.0.11", 9997)
            assert connects(world.mgmt, "192.168.50.11", 9997)
            assert not connects(world.out, "192.168.50.11", 9997)
            assert not connects(world.out, "10.0.0.1", 9997)
            assert not ping(world.out, "192.168.50.11", seconds=0.3)
    finally:
        sh(f"ip -n {world.out} route del 192.168.50.11/32")
        sh(f"ip -n {world.out} route del 10.0.0.1/32")


def test_the_host_answers_arp_for_the_bridges_addresses_only(two: Two) -> None:
    def answered(address: str) -> bool:
        wanted = bytes(int(part) for part in address.split("."))
        two.wire_a.send(frames.arp(A.mac, A.mac, A.fixed_address, address))
        return bool(
            two.wire_a.wait(
                lambda got: True if got[12:14] == b"\x08\x06" and got[28:32] == wanted else None,
                0.3,
            )
        )

    assert answered("10.0.0.1")
    assert answered("169.254.169.254")
    assert not answered("192.168.50.11")
    assert not answered("15.185.0.11")


class TestDhcp:
    def test_lease(self, two: Two) -> None:
        offer = lease(two.wire_a, A.mac, A.mac)
        assert offer is not None
        assert offer[53] == bytes((frames.OFFER,))
        answer = lease(
            two.wire_a, A.mac, A.mac, kind=frames.DHCP_REQUEST, requested=A.fixed_address
        )
        assert answer is not None
        assert answer[53] == bytes((frames.ACK,))
        assert answer["address"] == bytes((10, 0, 0, 11))
        assert answer[1] == bytes((255, 255, 0, 0))
        assert answer[3] == bytes((10, 0, 0, 1))
        assert answer[12] == b"server-1"
        assert answer[15] == b"novalocal"
        assert struct.unpack("!I", answer[51])[0] == 600
        assert 6 not in answer

    def test_security_25_a_guest_asks_for_itself_only(self, two: Two) -> None:
        assert lease(two.wire_a, A.mac, B.mac) is None
        assert lease(two.wire_a, B.mac, B.mac) is None
        assert lease(two.wire_a, A.mac, STRANGER_MAC) is None

    def test_unknown_guests_get_nothing(self, world: World, two: Two) -> None:
        (world.state / "dhcp" / "hosts" / str(A.id)).unlink()
        world.plug(B)
        sh(f"kill -HUP {(world.state / 'dhcp' / 'dnsmasq.pid').read_text().strip()}")
        deadline = time.monotonic() + 10  # dnsmasq reads the directory when it comes to it
        while lease(two.wire_a, A.mac, A.mac) is not None:
            assert time.monotonic() < deadline
        assert not world.plugged(A)

    def test_answers_are_seen_by_their_guest_only(self, two: Two) -> None:
        frame = frames.dhcp(A.mac, A.mac, transaction=7)
        two.wire_a.send(frame)
        assert two.wire_a.wait(lambda got: frames.dhcp_answer(got, 7), 1.0)
        assert two.wire_b.wait(lambda got: frames.dhcp_answer(got, 7), 0.1) is None

    def test_equal_host_names_of_two_tenants(self, world: World) -> None:
        for number in (5, 6):
            one = server(number, hostname="web")
            wire = world.guest(one).wire()
            answer = lease(
                wire, one.mac, one.mac, kind=frames.DHCP_REQUEST, requested=one.fixed_address
            )
            wire.close()
            assert answer is not None
            assert answer[12] == b"web"
        wire = Wire(f"{world.host.removesuffix('host')}g{server(5).id:x}")
        answer = lease(
            wire, server(5).mac, server(5).mac, kind=frames.DHCP_REQUEST, requested="10.0.0.15"
        )
        assert answer is not None
        assert answer[12] == b"web"
        wire.close()

    def test_lease_after_the_bridge_was_made_again(self, world: World, two: Two) -> None:
        sh(f"ip -n {world.host} link del br100")
        world.prepare()
        world.plug(A)
        for _ in range(3):
            if answer := lease(two.wire_a, A.mac, A.mac):
                break
        assert answer is not None
