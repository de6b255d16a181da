"""What each rule lets in, to the edge and no further (R238, R239, R245-R250, D6, D7, D47)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from db.wanted_firewall import WantedGroup, WantedRule
from tests.agent.network import frames
from tests.agent.network.packets import (
    ELSEWHERE,
    ESP,
    GRE,
    ICMP,
    SCTP,
    UDP,
    Kind,
    Sides,
    arrived,
    passing,
    sides_of,
    syn,
    token,
    udp,
)
from tests.agent.network.world import (
    FLAT_MAC,
    GATEWAY_MAC,
    OUTSIDE,
    Guest,
    Wire,
    World,
    connects,
    listener,
    ping,
    server,
)

TARGET, NEIGHBOUR, THIRD = server(1), server(2), server(3)
ANYWHERE = "0.0.0.0/0"
EVERY_PROTOCOL = (syn(5), udp(5), Kind(ICMP, 8), Kind(GRE), Kind(ESP), Kind(SCTP, 5), Kind(253))


def rule(
    protocol: str | None = None,
    first: int | None = None,
    last: int | None = None,
    *,
    cidr: str | None = None,
    source: int | None = None,
    number: int = 1,
) -> WantedRule:
    return WantedRule(number, protocol, first, last, cidr, source)


def group(number: int, *rules: WantedRule, members: tuple[str, ...] | None = None) -> WantedGroup:
    return WantedGroup(number, 1, rules, members)


@dataclass
class Place:
    """One guest that is tried and its surroundings, where all can answer."""

    world: World
    target: Guest
    neighbour: Guest
    wire: Wire
    sides: Sides

    def allowed(self, *groups: WantedGroup) -> None:
        """The target has these groups, and only them."""
        assert self.world.protect(*groups) == {}
        self.world.join(TARGET, *(group.id for group in groups))

    def lets_in(self, *kinds: Kind) -> set[Kind]:
        """Which of the kinds the target gets from its neighbour."""
        return passing(self.sides.neighbour, self.wire, TARGET.fixed_address, kinds)

    def hears(self, *senders: str) -> set[str]:
        """Which of the senders, guests of other hosts, the target hears."""
        marks = {token(): sender for sender in senders}
        for mark, sender in marks.items():
            self.sides.flat.send(TARGET.fixed_address, udp(53), mark, sender)
        return {marks[mark] for mark in arrived(self.wire, marks)}


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    neighbour = world.guest(NEIGHBOUR, groups=())
    target = world.guest(TARGET, groups=())
    made = Place(world, target, neighbour, target.wire(), sides_of(world, target, neighbour))
    yield made
    made.wire.close()
    made.sides.close()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("first", "last", "inside", "beyond"),
    [
        (22, 22, (22,), (21, 23)),
        (1000, 2000, (1000, 1500, 2000), (999, 2001)),
        (1, 1, (1,), (2, 65535)),
        (65535, 65535, (65535,), (65534, 1)),
        (1, 65535, (1, 66, 32768, 65535), ()),
        (256, 511, (256, 511), (255, 512, 1)),
    ],
)
def test_r248_ports_to_the_edge(
    place: Place,
    protocol: str,
    first: int,
    last: int,
    inside: tuple[int, ...],
    beyond: tuple[int, ...],
) -> None:
    place.allowed(group(5, rule(protocol, first, last, cidr=ANYWHERE)))
    this, other = (syn, udp) if protocol == "tcp" else (udp, syn)
    wanted = {this(port) for port in inside}
    others = {this(port) for port in beyond} | {other(port) for port in inside}
    assert place.lets_in(*wanted, *others, Kind(ICMP, 8), Kind(SCTP, first)) == wanted


ICMPS = (
    Kind(ICMP, 8, 0),
    Kind(ICMP, 8, 1),
    Kind(ICMP, 3, 4),
    Kind(ICMP, 3, 3),
    Kind(ICMP, 0, 0),
    Kind(ICMP, 13, 0),
    Kind(ICMP, 13, 4),
    Kind(ICMP, 255, 255),
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(-1, -1), (8, -1), (8, 0), (3, 4), (-1, 4), (-1, 0), (0, 0), (255, 255), (3, -1)],
)
def test_r249_icmp_types_and_codes(place: Place, kind: int, code: int) -> None:
    place.allowed(group(5, rule("icmp", kind, code, cidr=ANYWHERE)))
    wanted = {each for each in ICMPS if kind in (-1, each.first) and code in (-1, each.second)}
    assert wanted
    assert place.lets_in(*ICMPS, syn(8), udp(8), Kind(253)) == wanted


def test_r247_a_rule_without_protocol_lets_in_every_protocol(place: Place) -> None:
    for given in (
        group(5, rule(cidr=ANYWHERE)),
        group(5, rule(cidr=f"{NEIGHBOUR.fixed_address}/32")),
        group(5, rule(source=6)),
    ):
        place.allowed(given, group(6, members=(NEIGHBOUR.fixed_address,)))
        assert place.lets_in(*EVERY_PROTOCOL) == set(EVERY_PROTOCOL), given
    place.allowed(group(5, rule(cidr="10.0.0.99/32")))
    assert place.lets_in(*EVERY_PROTOCOL) == set()


@pytest.mark.parametrize(
    ("cidr", "inside", "beyond"),
    [
        (ANYWHERE, ("10.0.0.2", "10.0.7.7", "10.0.255.254"), ()),
        ("0.0.0.0/1", ("10.0.0.2", "10.0.255.254"), ()),
        ("128.0.0.0/1", (), ("10.0.0.2", "10.0.255.254")),
        ("10.0.7.7/32", ("10.0.7.7",), ("10.0.7.6", "10.0.7.8")),
        ("10.0.7.6/31", ("10.0.7.6", "10.0.7.7"), ("10.0.7.5", "10.0.7.8")),
        ("10.0.7.0/24", ("10.0.7.0", "10.0.7.255"), ("10.0.6.255", "10.0.8.0")),
        ("10.0.4.0/22", ("10.0.4.0", "10.0.7.255"), ("10.0.3.255", "10.0.8.0")),
        ("10.0.64.0/18", ("10.0.64.0", "10.0.127.255"), ("10.0.63.255", "10.0.128.0")),
        ("10.0.0.0/8", ("10.0.0.2", "10.0.255.254"), ()),
        ("15.185.0.0/16", (), ("10.0.7.7",)),
    ],
)
def test_r245_networks_to_the_edge(
    place: Place, cidr: str, inside: tuple[str, ...], beyond: tuple[str, ...]
) -> None:
    place.allowed(group(5, rule("udp", 53, 53, cidr=cidr)))
    assert place.hears(*inside, *beyond) == set(inside)


@pytest.mark.parametrize(
    ("cidr", "passes"),
    [
        (ANYWHERE, True),
        (f"{OUTSIDE}/32", True),
        ("15.185.0.0/31", True),
        ("15.185.0.2/31", False),
        ("0.0.0.0/1", True),
        ("128.0.0.0/1", False),
        ("10.0.0.0/8", False),
    ],
)
def test_r245_networks_outside(place: Place, cidr: str, passes: bool) -> None:
    place.allowed(group(5, rule("tcp", 80, 80, cidr=cidr)))
    address = TARGET.public_addresses[0]
    reached = passing(place.sides.outside, place.wire, address, [syn(80), syn(81), udp(80)])
    assert reached == ({syn(80)} if passes else set())


def test_r250_all_criteria_of_one_rule(place: Place) -> None:
    """Not the port of one rule from the network of another."""
    place.allowed(
        group(
            5,
            rule("udp", 53, 53, cidr="10.0.9.9/32", number=1),
            rule("tcp", 54, 54, cidr=f"{NEIGHBOUR.fixed_address}/32", number=2),
            rule("icmp", 8, 1, cidr=ANYWHERE, number=3),
            rule("icmp", 13, 0, cidr="10.0.9.9/32", number=4),
        )
    )
    tried = (udp(53), udp(54), syn(53), syn(54), Kind(ICMP, 8, 0), Kind(ICMP, 13, 0))
    assert place.lets_in(*tried) == {syn(54)}


def test_rules_of_several_groups_add_up(place: Place) -> None:
    """Equal and overlapping ones too, within a group and across groups."""
    place.allowed(
        group(
            5,
            rule("tcp", 10, 20, cidr=ANYWHERE, number=1),
            rule("tcp", 10, 20, cidr=ANYWHERE, number=2),
            rule("tcp", 15, 25, cidr="10.0.0.0/8", number=3),
        ),
        group(6, rule("tcp", 10, 20, cidr=ANYWHERE, number=4)),
        group(7, rule("tcp", 20, 30, cidr="10.0.0.0/16", number=5)),
    )
    ports = {syn(port) for port in (10, 20, 25, 30)}
    assert place.lets_in(*ports, syn(9), syn(31)) == ports
    place.world.join(TARGET, 7)
    assert place.lets_in(*ports) == {syn(20), syn(25), syn(30)}
    place.world.join(TARGET, 6)
    assert place.lets_in(*ports) == {syn(10), syn(20)}


def test_none_one_and_ten_groups(place: Place) -> None:
    groups = [group(5 + n, rule("udp", 100 + n, 100 + n, cidr=ANYWHERE)) for n in range(10)]
    ports = [udp(100 + n) for n in range(10)]
    for count in (10, 1, 0, 10):
        place.allowed(*groups[:count])
        assert place.lets_in(*ports, udp(110), udp(99)) == set(ports[:count])


def test_a_group_without_rules_lets_nothing_in(place: Place) -> None:
    place.allowed(group(5))
    assert place.lets_in(*EVERY_PROTOCOL) == set()
    place.allowed(group(5), group(6, rule("udp", 5, 5, cidr=ANYWHERE)))
    assert place.lets_in(*EVERY_PROTOCOL) == {udp(5)}


def test_r239_members_of_a_group_are_strangers_without_a_rule(place: Place) -> None:
    both = (TARGET.fixed_address, NEIGHBOUR.fixed_address)
    place.allowed(group(5, members=both))
    place.world.join(NEIGHBOUR, 5)
    assert place.lets_in(*EVERY_PROTOCOL) == set()
    place.allowed(group(5, rule("tcp", 5, 5, source=5), members=both))
    assert place.lets_in(*EVERY_PROTOCOL) == {syn(5)}


def test_a_group_as_source_is_its_members_alone(place: Place) -> None:
    """Those on other hosts are known by address; who is no member is a stranger."""
    place.allowed(
        group(5, rule("udp", 53, 53, source=6), rule("udp", 54, 54, source=7, number=2)),
        group(6, members=(ELSEWHERE, "10.0.200.200")),
        group(7, members=()),
    )
    assert place.hears(ELSEWHERE, "10.0.200.200", "10.0.7.8") == {ELSEWHERE, "10.0.200.200"}
    assert place.lets_in(udp(53), udp(54)) == set()
    place.allowed(
        group(5, rule("udp", 53, 53, source=6), rule("udp", 54, 54, source=7, number=2)),
        group(7, members=(NEIGHBOUR.fixed_address,)),
    )
    assert place.lets_in(udp(53), udp(54)) == {udp(54)}


def test_a_group_as_source_of_which_nothing_is_known_matches_nobody(place: Place) -> None:
    place.allowed(group(5, rule("udp", 53, 53, source=99)))
    assert place.lets_in(udp(53)) == set()


def test_a_member_by_the_public_address_is_seen_by_its_own_public_address(place: Place) -> None:
    """As from another host: the group's rule does not match, one for that address does."""
    public, shown = TARGET.public_addresses[0], NEIGHBOUR.public_addresses[0]
    members = (NEIGHBOUR.fixed_address,)
    place.sides.neighbour.next_hop = GATEWAY_MAC

    def reached() -> set[Kind]:
        return passing(place.sides.neighbour, place.wire, public, [udp(53), syn(53)])

    place.allowed(group(5, rule(source=6)), group(6, members=members))
    assert reached() == set()
    place.allowed(group(5, rule("udp", 53, 53, cidr=f"{NEIGHBOUR.fixed_address}/32")))
    assert reached() == set()
    place.allowed(group(5, rule("udp", 53, 53, cidr=f"{shown}/32")))
    assert reached() == {udp(53)}


def test_r238_the_default_group(place: Place) -> None:
    """Seven rules: ping, ssh, http and https from everywhere, more from members."""
    third = place.world.guest(THIRD, groups=())
    default = group(
        5,
        rule("icmp", -1, -1, cidr=ANYWHERE, number=1),
        rule("tcp", 22, 22, cidr=ANYWHERE, number=2),
        rule("tcp", 80, 80, cidr=ANYWHERE, number=3),
        rule("tcp", 443, 443, cidr=ANYWHERE, number=4),
        rule("icmp", -1, -1, source=5, number=5),
        rule("tcp", 1, 65535, source=5, number=6),
        rule("udp", 1, 65535, source=5, number=7),
        members=(TARGET.fixed_address, NEIGHBOUR.fixed_address, ELSEWHERE),
    )
    place.allowed(default)
    place.world.join(NEIGHBOUR, 5)
    tried = (
        *(syn(port) for port in (22, 80, 443, 21, 1, 65535)),
        *(udp(port) for port in (22, 1, 65535)),
        Kind(ICMP, 8),
        Kind(ICMP, 13),
        Kind(GRE),
    )
    everybody = {syn(22), syn(80), syn(443), Kind(ICMP, 8), Kind(ICMP, 13)}
    assert place.lets_in(*tried) == set(tried) - {Kind(GRE)}
    fixed, public = TARGET.fixed_address, TARGET.public_addresses[0]
    assert passing(place.sides.flat, place.wire, fixed, tried) == set(tried) - {Kind(GRE)}
    place.sides.flat.address = "10.0.7.8"
    assert passing(place.sides.flat, place.wire, fixed, tried) == everybody
    assert passing(place.sides.outside, place.wire, public, tried) == everybody

    assert ping(place.world.out, public)
    for port, opened in ((22, True), (80, True), (443, True), (8080, False)):
        with listener(place.target.namespace, port):
            assert connects(place.world.out, public, port) is opened, port
            assert connects(third.namespace, fixed, port) is opened, port
            assert connects(third.namespace, public, port) is opened, port
            assert connects(place.neighbour.namespace, fixed, port), port


def test_a_rule_is_for_its_guests_only(place: Place) -> None:
    """The neighbour's open group is no way to the target, and the other way round."""
    place.allowed(group(5, rule("udp", 53, 53, cidr=ANYWHERE)))
    place.world.protect(group(6, rule("udp", 54, 54, cidr=ANYWHERE)))
    place.world.join(NEIGHBOUR, 6)
    flat = place.sides.flat
    assert passing(flat, place.wire, TARGET.fixed_address, [udp(53), udp(54)]) == {udp(53)}
    marks = {token(): port for port in (53, 54)}
    wire = place.neighbour.wire()
    for mark, port in marks.items():
        payload = frames.udp(5000, port, mark)
        flat.wire.send(
            frames.ip(NEIGHBOUR.mac, FLAT_MAC, ELSEWHERE, NEIGHBOUR.fixed_address, payload)
        )
    assert {marks[mark] for mark in arrived(wire, marks)} == {54}
    wire.close()


def test_ports_are_those_of_the_whole_datagram(place: Place) -> None:
    """Fragments are put together before they are judged; those that overlap are none."""
    place.allowed(group(5, rule("udp", 53, 53, cidr=ANYWHERE)))

    def comes(identity: int, *pieces: tuple[bytes, int]) -> bool:
        for number, (piece, at) in enumerate(pieces):
            more = 0 if number == len(pieces) - 1 else 0x2000
            packet = frames.ipv4_packet(
                NEIGHBOUR.fixed_address,
                TARGET.fixed_address,
                UDP,
                piece,
                fragment=more | at // 8,
                identity=identity,
            )
            place.sides.neighbour.wire.send(
                frames.ethernet(TARGET.mac, NEIGHBOUR.mac, frames.IPV4, packet)
            )
        return arrived(place.wire, [mark]) == {mark}

    mark = token()
    right, wrong = (frames.udp(5000, port, mark.ljust(40)) for port in (53, 54))
    assert not comes(1, (wrong[:8], 0), (wrong[8:], 8))
    assert not comes(2, (right[:24], 0), (wrong[:32], 0), (right[32:], 32))
    assert comes(3, (right[:8], 0), (right[8:], 8))
