"""What goes wrong lets nothing in and stops nobody else: bad rules, losses, order, a dead database.

Rows 16 and 25 of the security table; R237, R252.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from compute_agent import network
from compute_agent.network.groups import apply, kernel, rules
from compute_agent.network.groups.table import Rule
from db.settings import settings
from db.wanted import WantedServer
from db.wanted_firewall import WantedGroup, WantedRule
from tests.agent.network.packets import (
    ICMP,
    Kind,
    Sides,
    arrived,
    passing,
    send_raw,
    sides_of,
    syn,
    token,
    udp,
)
from tests.agent.network.world import Guest, World, inside, ping, server, sh

TARGET, NEIGHBOUR, LATER = server(1), server(2), server(3)
ANYWHERE = "0.0.0.0/0"
GOOD = WantedRule(1, "udp", 53, 53, ANYWHERE, None)
OTHER = WantedGroup(6, 1, (WantedRule(2, "tcp", 80, 80, ANYWHERE, None),), None)
TRIED = (udp(53), syn(80), udp(54), Kind(ICMP, 8), Kind(253))
ALLOWED = {udp(53), syn(80)}
TABLE = "ip undercast_groups"


@dataclass
class Place:
    """A guest with two groups, and its surroundings."""

    world: World
    target: Guest
    neighbour: Guest
    sides: Sides

    def lets_in(self) -> set[Kind]:
        """What of all kinds the target gets, from whatever side: each gives the same."""
        wire = self.target.wire()
        fixed, public = TARGET.fixed_address, TARGET.public_addresses[0]
        found = [
            passing(side, wire, address, TRIED)
            for side, address in (
                (self.sides.neighbour, fixed),
                (self.sides.flat, fixed),
                (self.sides.outside, public),
            )
        ]
        marks = {token(): kind for kind in TRIED}
        for mark, kind in marks.items():
            send_raw(self.world.host, fixed, kind, mark)
        found.append({marks[mark] for mark in arrived(wire, marks)})
        wire.close()
        assert all(each == found[0] for each in found), found
        return found[0]

    def nft(self, command: str) -> str:
        return sh(f"ip netns exec {self.world.host} nft {command}")


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    neighbour = world.guest(NEIGHBOUR)
    target = world.guest(TARGET, groups=())
    world.protect(WantedGroup(5, 1, (GOOD,), None), OTHER)
    world.join(TARGET, 5, 6)
    made = Place(world, target, neighbour, sides_of(world, target, neighbour))
    yield made
    made.sides.close()


BAD = {
    "no network": WantedRule(9, "tcp", 22, 22, "300.0.0.0/8", None),
    "host bits": WantedRule(9, "tcp", 22, 22, "10.0.0.1/8", None),
    "IPv6": WantedRule(9, None, None, None, "::/0", None),
    "text": WantedRule(9, None, None, None, "0.0.0.0/0 accept", None),
    "injection": WantedRule(9, "tcp; accept", 22, 22, ANYWHERE, None),
    "upper case": WantedRule(9, "TCP", 22, 22, ANYWHERE, None),
    "another protocol": WantedRule(9, "gre", 22, 22, ANYWHERE, None),
    "negative port": WantedRule(9, "tcp", -5, 22, ANYWHERE, None),
    "port 0": WantedRule(9, "udp", 0, 65535, ANYWHERE, None),
    "large port": WantedRule(9, "tcp", 1, 65536, ANYWHERE, None),
    "turned round": WantedRule(9, "tcp", 23, 22, ANYWHERE, None),
    "ICMP type": WantedRule(9, "icmp", 256, -1, ANYWHERE, None),
    "ICMP code": WantedRule(9, "icmp", -1, -2, ANYWHERE, None),
    "no ports": WantedRule(9, "tcp", None, None, ANYWHERE, None),
    "one port": WantedRule(9, "tcp", 22, None, ANYWHERE, None),
    "ports without protocol": WantedRule(9, None, 1, 65535, ANYWHERE, None),
    "both sources": WantedRule(9, None, None, None, ANYWHERE, 6),
    "no source": WantedRule(9, None, None, None, None, None),
}


@pytest.mark.parametrize("name", BAD)
def test_security_16_a_rule_that_makes_no_sense_is_left_out_alone(place: Place, name: str) -> None:
    also = replace(GOOD, id=10, from_port=55, to_port=55)
    errors = place.world.protect(WantedGroup(5, 2, (BAD[name], GOOD, also), None))
    assert set(errors) == {5}
    assert "rule 9 is left out" in errors[5]
    assert place.lets_in() == ALLOWED
    side, wire = place.sides.neighbour, place.target.wire()
    assert passing(side, wire, TARGET.fixed_address, [udp(55), syn(22)]) == {udp(55)}
    wire.close()
    assert place.world.protect(WantedGroup(5, 3, (GOOD,), None)) == {}


REFUSED = {
    "words that are none": "udp dport nonsense accept",
    "an open brace": "ip saddr { 10.0.0.1 accept",
    "a set that is not there": "ip saddr @members_99 accept",
    "a chain that is not there": "jump nowhere",
    "a match of another family": "ip6 saddr ::1 tcp dport 70000 accept",
}


@pytest.mark.parametrize("name", REFUSED)
def test_security_16_a_rule_that_the_kernel_refuses_is_left_out_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    known = rules.rule
    monkeypatch.setattr(
        rules,
        "rule",
        lambda wanted: Rule("broken", REFUSED[name]) if wanted.id == 9 else known(wanted),
    )
    broken = WantedGroup(5, 2, (replace(GOOD, id=9), GOOD), None)
    senseless = WantedGroup(7, 1, (BAD["port 0"],), None)
    errors = place.world.protect(broken, senseless)
    assert set(errors) == {5, 7}
    assert place.lets_in() == ALLOWED
    changed = replace(OTHER, rules=(replace(OTHER.rules[0], from_port=79),))
    assert set(place.world.protect(changed)) == {5, 7}
    assert place.lets_in() == ALLOWED
    assert place.world.protect(WantedGroup(5, 3, (), None), replace(senseless, rules=())) == {}
    assert place.lets_in() == {syn(80)}


def test_one_refused_rule_among_many_groups_is_found_soon(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By halves: the trials grow with the logarithm of the rules."""
    known, asked = rules.rule, []
    refuses = kernel.refuses
    monkeypatch.setattr(
        rules,
        "rule",
        lambda wanted: Rule("broken", "nonsense") if wanted.id == 9 else known(wanted),
    )
    monkeypatch.setattr(kernel, "refuses", lambda text: asked.append(text) or refuses(text))
    groups = [
        WantedGroup(100 + number, 1, (replace(GOOD, id=number, from_port=1 + number % 50),), None)
        for number in range(200)
    ]
    place.world.protect(*groups)
    place.world.join(TARGET, 5, 6, *(group.id for group in groups))
    errors = place.world.protect()
    assert set(errors) == {109}
    assert 5 < len(asked) < 80
    assert place.lets_in() == ALLOWED


DAMAGE = {
    "the server's chain is empty": "flush chain {table} server_{target:x}",
    "its groups are empty": "flush chain {table} group_5; flush chain {table} group_6",
    "no address is known": "flush map {table} guests",
    "its address and chain are gone": "delete element {table} guests {{ {address} }}; "
    "delete chain {table} server_{target:x}",
    "the rules that all pass are gone": "flush chain {table} postrouting",
    "the table is empty": "flush table {table}",
    "the table is gone": "delete table {table}",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_lost_is_closed_until_it_is_whole_again(place: Place, name: str) -> None:
    """Nothing comes in meanwhile. A round of reconcile looks afresh and finds it."""
    command = DAMAGE[name].format(table=TABLE, target=TARGET.id, address=TARGET.fixed_address)
    for each in command.split(";"):
        place.nft(each)
    assert place.lets_in() == set()
    place.world.protect(afresh=True)
    assert place.lets_in() == ALLOWED
    assert ping(place.target.namespace, NEIGHBOUR.fixed_address)


@pytest.mark.parametrize("name", DAMAGE)
def test_a_change_after_a_loss_is_in_force(place: Place, name: str) -> None:
    """The process believes to know the table; that it does not must not stop the change."""
    command = DAMAGE[name].format(table=TABLE, target=TARGET.id, address=TARGET.fixed_address)
    for each in command.split(";"):
        place.nft(each)
    assert place.world.protect(WantedGroup(5, 2, (replace(GOOD, to_port=54),), None)) == {}
    if "gone" in name and "table" in name:
        assert place.lets_in() == ALLOWED | {udp(54)}
    place.world.protect(afresh=True)
    assert place.lets_in() == ALLOWED | {udp(54)}


@pytest.mark.parametrize(
    "command",
    [
        f"insert rule {TABLE} postrouting accept",
        f"add rule {TABLE} group_5 accept",
        f"insert rule {TABLE} server_{TARGET.id:x} accept",
        f"add element {TABLE} guests {{ 10.0.0.99 : jump group_5 }}",
        f"add element {TABLE} guests {{ 10.0.0.99 : jump server_{TARGET.id:x} }}",
        f"add chain {TABLE} server_zz",
        f"add chain {TABLE} stray",
    ],
)
def test_what_others_added_goes(place: Place, command: str) -> None:
    place.nft(command)
    place.world.protect(afresh=True)
    assert place.lets_in() == ALLOWED
    left = place.nft(f"list table {TABLE}")
    assert "zz" not in left
    assert "stray" not in left
    assert "10.0.0.99" not in left


def test_without_the_kernels_call_bridged_packets_go_nowhere(place: Place) -> None:
    """bridge-nf-call-iptables at 0 would carry packets round the rules."""
    switch = "sysctl -qw net.bridge.bridge-nf-call-iptables={}"
    host = f"ip netns exec {place.world.host}"
    sh(f"{host} {switch.format(0)}")
    wire = place.target.wire()
    fixed, public = TARGET.fixed_address, TARGET.public_addresses[0]
    assert passing(place.sides.neighbour, wire, fixed, TRIED) == set()
    assert passing(place.sides.flat, wire, fixed, TRIED) == set()
    assert passing(place.sides.outside, wire, public, TRIED) == ALLOWED
    wire.close()
    place.world.prepare()
    assert place.lets_in() == ALLOWED


class TestOrder:
    """From the plug to the unplug, with everything between that can be missing."""

    @pytest.fixture
    def later(self, place: Place) -> Iterator[Guest]:
        guest = Guest(place.world, LATER)
        inside(place.world.host, network.plug, LATER)
        yield guest.configure()
        inside(place.world.host, network.unplug, LATER.id)

    def heard(self, place: Place, guest: Guest) -> set[Kind]:
        wire = guest.wire()
        place.sides.flat.next_hop = guest.mac
        found = passing(place.sides.flat, wire, guest.server.fixed_address, TRIED)
        wire.close()
        return found

    def test_a_plugged_server_of_which_the_table_knows_nothing(
        self, place: Place, later: Guest
    ) -> None:
        """Closed, and it can begin nothing less than another; nobody else is touched."""
        assert self.heard(place, later) == set()
        assert ping(later.namespace, NEIGHBOUR.fixed_address)
        place.world.protect()
        place.world.protect(afresh=True)
        assert self.heard(place, later) == set()

    def test_the_chain_is_there_before_the_first_packet(self, place: Place) -> None:
        """Rules come into force with the record: the tap may come any time later."""
        place.world.plug(LATER, groups=(5,))
        sh(f"ip -n {place.world.host} link del {LATER.tap}")
        guest = Guest(place.world, LATER)
        inside(place.world.host, network.plug, LATER)
        assert self.heard(place, guest.configure()) == {udp(53)}

    def test_a_server_that_is_wanted_no_more_keeps_its_rules_until_it_is_unplugged(
        self, place: Place
    ) -> None:
        source = WantedRule(3, "udp", 54, 54, None, 7)
        place.world.protect(
            WantedGroup(5, 1, (GOOD, source), None), WantedGroup(7, 1, None, ("10.0.7.7",))
        )
        for forsaken in ((), (5, 7), (6,)):
            place.world.forsake(TARGET, *forsaken)
            place.world.protect(afresh=True)
            wire = place.target.wire()
            found = passing(place.sides.flat, wire, TARGET.fixed_address, TRIED)
            assert found == ALLOWED | {udp(54)}
            wire.close()
        assert place.world.local_ids() == {TARGET.id, NEIGHBOUR.id}
        place.world.unplug(TARGET.id)
        left = place.nft(f"list table {TABLE}")
        for name in (f"server_{TARGET.id:x}", "group_5", "group_6", "members", "10.0.0.11"):
            assert name not in left
        assert ping(place.world.out, NEIGHBOUR.public_addresses[0])

    def test_unplug_when_the_table_is_gone(self, place: Place) -> None:
        place.nft(f"delete table {TABLE}")
        place.world.unplug(TARGET.id)
        assert place.world.local_ids() == {NEIGHBOUR.id}
        place.world.protect(afresh=True)
        assert ping(place.world.out, NEIGHBOUR.public_addresses[0])

    def test_an_address_of_another_server_comes_without_its_rules(self, place: Place) -> None:
        """The old one is still here, as after a host that was away; then it goes.

        Nor are answers the heir's that the old one asked for.
        """
        place.world.join(TARGET, 1)
        question, answer = token(), udp(40000, source=53)
        with inside(
            place.target.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM
        ) as end:
            end.bind((TARGET.fixed_address, 40000))
            end.sendto(question, (NEIGHBOUR.fixed_address, 53))
        assert arrived(place.sides.neighbour.wire, [question]) == {question}
        heir = server(7, fixed_address=TARGET.fixed_address, public_addresses=())
        guest = Guest(place.world, heir)
        inside(place.world.host, network.plug, heir)
        guest.configure()
        assert self.heard(place, guest) == set()
        wire = guest.wire()
        place.sides.neighbour.next_hop = heir.mac
        assert passing(place.sides.neighbour, wire, heir.fixed_address, [answer]) == set()
        wire.close()
        place.world.forsake(TARGET)
        place.world.plug(heir, groups=(6,))
        assert self.heard(place, guest) == {syn(80)}
        place.world.unplug(TARGET.id)
        assert self.heard(place, guest) == {syn(80)}
        place.world.protect(afresh=True)
        assert self.heard(place, guest) == {syn(80)}


class TestRestore:
    """The database is away; what the host has is its disk."""

    def lose(self, place: Place, *, restarted: bool) -> None:
        if restarted:
            apply._memories.clear()
        place.nft("flush ruleset")
        sh(f"ip -n {place.world.host} link del br100")
        inside(place.world.host, network.restore)

    def whole(self, place: Place, server: WantedServer) -> bool:
        return inside(place.world.host, network.plugged, server)

    @pytest.mark.parametrize("restarted", [True, False])
    def test_all_is_in_force_again(self, place: Place, restarted: bool) -> None:
        self.lose(place, restarted=restarted)
        assert place.lets_in() == ALLOWED
        assert self.whole(place, TARGET)
        assert ping(place.world.out, NEIGHBOUR.public_addresses[0])

    @pytest.mark.parametrize("contents", [None, b"", b"[]", b'{"guests": [{}], "groups": []}'])
    def test_without_a_memory_nothing_comes_in(self, place: Place, contents: bytes | None) -> None:
        """What guests begin themselves works; the first word of the database opens the rest."""
        file = settings().state_dir / apply.FILE
        file.unlink()
        if contents is not None:
            file.write_bytes(contents)
        self.lose(place, restarted=True)
        assert place.lets_in() == set()
        assert ping(place.target.namespace, "15.185.0.1")
        place.world.protect()
        assert place.lets_in() == ALLOWED

    def test_plug_alone_heals_all_that_is_lost(self, place: Place) -> None:
        """And nothing is open in between or after."""
        place.nft("flush ruleset")
        inside(place.world.host, network.plug, NEIGHBOUR)
        inside(place.world.host, network.plug, TARGET)
        assert place.lets_in() == ALLOWED
