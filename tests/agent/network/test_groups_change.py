"""Changes are in force at once, for what runs as for what begins, unnoticed by others (R252-R254).

What counts is whether packets come in at the guest that is tried; a cut stream stands still.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from compute_agent import network
from compute_agent.network.groups import kernel
from db.wanted_firewall import WantedGroup, WantedRule
from tests.agent.network.packets import Stream, token
from tests.agent.network.world import Guest, World, connects, inside, listener, ping, server, sh

TARGET, NEIGHBOUR, BYSTANDER = server(1), server(2), server(3)
ANYWHERE = "0.0.0.0/0"
RULES = (
    WantedRule(1, "tcp", 7000, 7099, ANYWHERE, None),
    WantedRule(2, "udp", 7000, 7099, ANYWHERE, None),
    WantedRule(3, "icmp", 8, 0, ANYWHERE, None),
)
KINDS = ("tcp", "udp", "icmp")
ALL = WantedGroup(5, 1, RULES, None)
_TCP_INFO, _TOTAL_RETRANSMITS = 11, slice(100, 104)


class Talk:
    """A TCP stream, a UDP exchange and a series of pings from one namespace to a guest."""

    def __init__(self, guest: Guest, calling: str, address: str, port: int) -> None:
        self._calling, self._address = calling, address
        self._open = ExitStack()
        self._stream = self._open.enter_context(Stream(guest.namespace, calling, address, port))
        self._callee, self._caller = (
            self._open.enter_context(inside(each, socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
            for each in (guest.namespace, calling)
        )
        for end in (self._callee, self._caller):
            end.bind(("0.0.0.0", port))
            end.settimeout(0.3)
        self._port = port

    def runs(self) -> set[str]:
        """Kinds of which the guest gets what is sent to it, and the caller the answer."""
        running = {
            "tcp": self._stream.runs,
            "udp": self._exchange,
            "icmp": lambda: ping(self._calling, self._address, seconds=0.3),
        }
        return {kind for kind, run in running.items() if run()}

    def _exchange(self) -> bool:
        mark = token()
        self._caller.sendto(mark, (self._address, self._port))
        try:
            while True:
                data, peer = self._callee.recvfrom(100)
                if data == mark:
                    break
            self._callee.sendto(mark, peer)
            return self._caller.recv(100) == mark
        except TimeoutError:
            return False

    def close(self) -> None:
        self._open.close()


class Witness:
    """Another server's connections during all that happens: each packet sent must come in."""

    def __init__(self, guest: Guest, calling: str, address: str, port: int) -> None:
        with ExitStack() as opened:
            self._stream = opened.enter_context(Stream(guest.namespace, calling, address, port))
            self._callee, self._caller = (
                opened.enter_context(inside(each, socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
                for each in (guest.namespace, calling)
            )
            self._callee.bind(("0.0.0.0", port))
            self._caller.connect((address, port))
            self._open = opened.pop_all()
        self._ended = threading.Event()
        self._sent = self._came = self._read = 0
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._ended.wait(0.002):
            number = struct.pack("!I", self._sent)
            self._stream.caller.sendall(number)
            self._caller.send(number)
            self._sent += 1
            self._receive(0.0)
        self._receive(1.0)

    def _receive(self, seconds: float) -> None:
        self._callee.settimeout(seconds)
        self._stream.callee.settimeout(seconds)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while self._came < self._sent:
                self._callee.recv(100)
                self._came += 1
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while self._read < 4 * self._sent:
                self._read += len(self._stream.callee.recv(65536))

    def lost(self) -> tuple[int, int, int]:
        """Datagrams and bytes that did not come in, and segments that had to be sent again."""
        self._ended.set()
        self._thread.join()
        assert self._sent
        info = self._stream.caller.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104)
        again = struct.unpack("=I", info[_TOTAL_RETRANSMITS])[0]
        return self._sent - self._came, 4 * self._sent - self._read, again

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._open.close()


@dataclass
class Place:
    """The guest that is tried, who talks to it, and what is open."""

    world: World
    target: Guest
    neighbour: Guest
    close: ExitStack

    def talk(self, origin: str, port: int) -> Talk:
        calling, address = {
            "neighbour": (self.neighbour.namespace, TARGET.fixed_address),
            "neighbour, public": (self.neighbour.namespace, TARGET.public_addresses[0]),
            "outside": (self.world.out, TARGET.public_addresses[0]),
            "flat": (self.world.flat, TARGET.fixed_address),
        }[origin]
        talk = Talk(self.target, calling, address, port)
        self.close.callback(talk.close)
        return talk


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    """With a witness on the same host, whose group is another one."""
    bystander = world.guest(BYSTANDER)
    neighbour = world.guest(NEIGHBOUR)
    target = world.guest(TARGET, groups=())
    sh(f"ip -n {world.flat} addr add 10.0.7.7/16 dev eth0")
    with ExitStack() as close:
        close.callback(sh, f"ip -n {world.flat} addr del 10.0.7.7/16 dev eth0")
        near = Witness(bystander, neighbour.namespace, BYSTANDER.fixed_address, 9000)
        close.callback(near.close)
        far = Witness(bystander, world.out, BYSTANDER.public_addresses[0], 9001)
        close.callback(far.close)
        yield Place(world, target, neighbour, close)
        assert (near.lost(), far.lost()) == ((0, 0, 0), (0, 0, 0))


ORIGINS = ("neighbour", "neighbour, public", "outside", "flat")


@pytest.mark.parametrize("origin", ORIGINS)
def test_r252_rules_taken_away_and_given_again(place: Place, origin: str) -> None:
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    talk = place.talk(origin, 7001)
    assert talk.runs() == set(KINDS)
    for rule in RULES:
        place.world.protect(replace(ALL, rules=tuple(each for each in RULES if each != rule)))
        assert talk.runs() == set(KINDS) - {rule.protocol}
        place.world.protect(ALL)
        talk = place.talk(origin, 7002 + rule.id)
        assert talk.runs() == set(KINDS)
    place.world.protect(replace(ALL, rules=()))
    assert talk.runs() == set()
    place.world.protect(ALL)
    assert place.talk(origin, 7010).runs() == set(KINDS)


@pytest.mark.parametrize("origin", ["neighbour", "outside"])
def test_r253_groups_taken_from_a_server_and_given_again(place: Place, origin: str) -> None:
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    talk = place.talk(origin, 7001)
    place.world.join(TARGET)
    assert talk.runs() == set()
    place.world.join(TARGET, 5)
    assert place.talk(origin, 7002).runs() == set(KINDS)


@pytest.mark.parametrize("origin", ["neighbour", "outside"])
def test_what_another_rule_allows_too_runs_on(place: Place, origin: str) -> None:
    """Another rule of the group, or of another group (2.3.2, on the deletion of a group)."""
    also = tuple(replace(rule, id=rule.id + 10, cidr="0.0.0.0/1") for rule in RULES)
    place.world.protect(replace(ALL, rules=RULES + also), WantedGroup(6, 1, RULES, None))
    place.world.join(TARGET, 5)
    talk = place.talk(origin, 7001)

    def runs(change: Callable[[], object]) -> None:
        change()
        assert talk.runs() == set(KINDS)

    runs(lambda: place.world.protect(replace(ALL, rules=also)))
    runs(lambda: place.world.protect(ALL))
    runs(lambda: place.world.join(TARGET, 5, 6))
    runs(lambda: place.world.join(TARGET, 6))
    runs(lambda: place.world.protect(replace(ALL, rules=())))


def test_r254_members_come_and_go(place: Place) -> None:
    sources = tuple(replace(rule, cidr=None, source=6) for rule in RULES)
    empty = WantedGroup(6, 1, (), ())
    some = replace(empty, members=(NEIGHBOUR.fixed_address, "10.0.9.9"))
    place.world.protect(replace(ALL, rules=sources), some)
    place.world.join(TARGET, 5)
    near = place.talk("neighbour", 7001)
    assert not ping(place.world.flat, TARGET.fixed_address, seconds=0.3)
    place.world.protect(replace(some, members=(NEIGHBOUR.fixed_address, "10.0.7.7")))
    far = place.talk("flat", 7002)
    assert (near.runs(), far.runs()) == (set(KINDS), set(KINDS))
    place.world.protect(replace(empty, members=("10.0.7.7",)))
    assert (near.runs(), far.runs()) == (set(), set(KINDS))
    place.world.protect(empty)
    assert (near.runs(), far.runs()) == (set(), set())
    place.world.protect(some)
    assert place.talk("neighbour", 7003).runs() == set(KINDS)


def test_one_change_of_all_at_once(place: Place) -> None:
    """Groups, members and rules of several servers in one go, as after an hour without news."""
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    talk = place.talk("neighbour", 7001)
    place.world.join(NEIGHBOUR, 1, 5)
    place.world.protect(
        replace(ALL, rules=(replace(RULES[1], cidr=None, source=7),)),
        WantedGroup(7, 1, (RULES[0],), (NEIGHBOUR.fixed_address,)),
        WantedGroup(8, 1, RULES, None),
    )
    assert talk.runs() == {"udp"}


def test_hundreds_of_changes(place: Place) -> None:
    """The witnesses lose nothing to a host that is busy changing rules."""
    place.world.join(TARGET, 5)
    for number in range(100):
        rule = WantedRule(number, "tcp", number + 1, number + 1, ANYWHERE, None)
        members = tuple(f"10.0.9.{last}" for last in range(number % 20))
        place.world.protect(WantedGroup(5, number, (rule,), members))
    with listener(place.target.namespace, 100), listener(place.target.namespace, 99):
        assert connects(place.neighbour.namespace, TARGET.fixed_address, 100)
        assert not connects(place.neighbour.namespace, TARGET.fixed_address, 99)


def test_changes_while_servers_come_and_go(place: Place) -> None:
    """Whoever comes last wins nothing: the end is what was wanted, and of the others nothing."""
    others = [server(number, public=False) for number in range(20, 26)]

    def come_and_go() -> None:
        for one in others:
            inside(place.world.host, network.plug, one)
        for one in others:
            inside(place.world.host, network.unplug, one.id)

    busy = threading.Thread(target=come_and_go)
    busy.start()
    number = 0
    while busy.is_alive():
        number += 1
        place.world.protect(WantedGroup(5, number, RULES[number % 3 :], None))
        place.world.join(TARGET, *((5,) if number % 2 else ()))
    busy.join()
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    assert place.talk("outside", 7001).runs() == set(KINDS)
    assert place.world.local_ids() == {TARGET.id, NEIGHBOUR.id, BYSTANDER.id}


def test_looking_afresh_and_the_same_again_change_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    talk = place.talk("neighbour", 7001)
    loaded: list[str] = []
    monkeypatch.setattr(kernel, "load", loaded.append)
    place.world.protect(afresh=True)
    place.world.protect()
    assert loaded == []
    assert talk.runs() == set(KINDS)


def test_answers_of_the_guest_to_what_is_cut_do_not_open_it_again(place: Place) -> None:
    """Both ends go on sending on the same ports; the caller's packets stay out."""
    place.world.protect(ALL)
    place.world.join(TARGET, 5)
    with (
        inside(place.target.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as callee,
        inside(
            place.neighbour.namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM
        ) as caller,
    ):
        for end in (callee, caller):
            end.bind(("0.0.0.0", 7001))
            end.settimeout(0.2)
        caller.sendto(b"first", (TARGET.fixed_address, 7001))
        assert callee.recv(100) == b"first"
        place.world.protect(replace(ALL, rules=()))
        for _ in range(3):
            callee.sendto(b"still there?", (NEIGHBOUR.fixed_address, 7001))
            caller.sendto(b"yes", (TARGET.fixed_address, 7001))
            with pytest.raises(TimeoutError):
                callee.recv(100)
