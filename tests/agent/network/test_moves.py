"""A floating address moves from one server to another while traffic runs (D40, R226-R229).

In each test ``floating`` is first on A and then on B, on the same host or on the other one, in
the order in which agents may come to it: each host makes its own half true by itself.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from compute_agent.network import announce
from compute_agent.network.announce import SOON
from compute_agent.network.announce import frame as announcement
from db.wanted import WantedServer
from tests.agent.network.fabric import Fabric, Member
from tests.agent.network.test_across_hosts import answering
from tests.agent.network.world import Guest, Wire, inside, listener, server, sh
from tests.lab import eventually

FLOATING = "15.185.17.1"
PORT = 7100
LIMIT = 10.0  # seconds for what is true in a fraction of one


def with_floating(number: int) -> WantedServer:
    one = server(number)
    return replace(one, public_addresses=(*one.public_addresses, FLOATING))


class Service:
    """In a guest: over TCP it says its name and echoes, over UDP it answers with its name."""

    def __init__(self, guest: Guest) -> None:
        self.name = f"{guest.server.id:x}".encode()
        self._listener = listener(guest.namespace, PORT)
        self._datagrams = inside(guest.namespace, self._open)
        self._connections: list[socket.socket] = []
        for work in (self._accept, self._answer):
            threading.Thread(target=work, daemon=True).start()

    @staticmethod
    def _open() -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("0.0.0.0", PORT))
        return opened

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(self.name)
            while data := connection.recv(1):
                connection.sendall(data)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while (caller := self._datagrams.recvfrom(64)[1]) is not None:  # until it is shut down
                self._datagrams.sendto(self.name, caller)

    def close(self) -> None:
        for one in (self._listener, self._datagrams, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Caller:
    """Traffic to an address from one place: a TCP connection that lives, and datagrams."""

    def __init__(self, namespace: str, address: str) -> None:
        self._namespace, self._address = namespace, address
        self.stream = inside(namespace, socket.create_connection, (address, PORT), LIMIT)
        self.first = self.stream.recv(64)
        self._datagrams = inside(namespace, socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.settimeout(0.5)

    def flows(self, seconds: float = 1.0) -> bool:
        """Whether a byte comes back over the connection that lives."""
        self.stream.settimeout(seconds)
        try:
            self.stream.sendall(b".")
            return self.stream.recv(64) == b"."
        except OSError:
            return False

    def asks(self) -> bytes:
        """Who answers a datagram of the stream, which keeps its port; empty: nobody."""
        try:
            self._datagrams.sendto(b"who", (self._address, PORT))
            return self._datagrams.recv(64)
        except OSError:
            return b""

    def connects(self) -> bytes:
        """Who answers a new connection; empty: nobody."""
        try:
            place = (self._address, PORT)
            with inside(self._namespace, socket.create_connection, place, 1.0) as fresh:
                return fresh.recv(64)
        except OSError:
            return b""

    def close(self) -> None:
        self.stream.close()
        self._datagrams.close()


def move(old: Member, new: Member, *, new_first: bool, pause: float = 0.0) -> None:
    """Both hosts make true that the address is B's."""
    steps = [lambda: old.plug(server(1)), lambda: new.plug(with_floating(2))]
    if new_first:
        steps.reverse()
    steps[0]()
    time.sleep(pause)
    steps[1]()


def neighbour(fabric: Fabric) -> str:
    """MAC that the outside takes for the address."""
    words = sh(f"ip -n {fabric.out} neigh show {FLOATING} dev eth0").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


class Traffic:
    """Services, callers and wires of one test."""

    def __init__(self) -> None:
        self._made: list[Service | Caller | Wire] = []

    def serve(self, guest: Guest) -> bytes:
        """The name by which the guest answers from now on."""
        service = Service(guest)
        self._made.append(service)
        return service.name

    def call(self, namespace: str, address: str) -> Caller:
        caller = Caller(namespace, address)
        self._made.append(caller)
        return caller

    def wire(self, namespace: str) -> Wire:
        wire = Wire(namespace)
        self._made.append(wire)
        return wire

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    with contextlib.closing(Traffic()) as made:
        yield made


@pytest.mark.parametrize("new_first", [False, True], ids=["old host first", "new host first"])
@pytest.mark.parametrize("across", [False, True], ids=["one host", "across hosts"])
def test_d40_after_a_move_only_the_new_server_is_reached(
    fabric: Fabric, traffic: Traffic, across: bool, new_first: bool
) -> None:
    """From outside, from guests of both hosts and from the hosts; streams of the old owner end."""
    old, new = fabric.one, fabric.other if across else fabric.one
    a, b = old.guest(with_floating(1)), new.guest(server(2))
    third, fourth = fabric.one.guest(server(3)), fabric.other.guest(server(4))
    name_a, name_b = traffic.serve(a), traffic.serve(b)
    places = [fabric.out, third.namespace, fourth.namespace, old.host, fabric.other.host]
    callers = [traffic.call(place, FLOATING) for place in (*places, b.namespace)]
    assert all(caller.first == name_a for caller in callers)
    assert all(caller.flows() and caller.asks() == name_a for caller in callers)

    move(old, new, new_first=new_first)
    for caller in callers:
        assert eventually(caller.connects, "a new connection", LIMIT) == name_b
        assert eventually(caller.asks, "a datagram", LIMIT) == name_b
    assert neighbour(fabric) == new.public_mac
    assert not any(caller.flows(0.3) for caller in callers)


@pytest.mark.parametrize("new_first", [False, True], ids=["old host first", "new host first"])
@pytest.mark.parametrize("across", [False, True], ids=["one host", "across hosts"])
def test_a_move_leaves_all_other_connections_alone(
    fabric: Fabric, traffic: Traffic, across: bool, new_first: bool
) -> None:
    """Those by other addresses of both servers, from outside, from a guest, and their own calls."""
    old, new = fabric.one, fabric.other if across else fabric.one
    a, b = old.guest(with_floating(1)), new.guest(server(2))
    third = fabric.one.guest(server(3))
    for guest in (a, b, third):
        traffic.serve(guest)
    callers = [
        traffic.call(namespace, address)
        for owner in (a.server, b.server)
        for address in (owner.fixed_address, owner.public_addresses[0])
        for namespace in (third.namespace, *([fabric.out] if address.startswith("15.") else []))
    ]
    callers += [
        traffic.call(namespace, address)
        for namespace in (a.namespace, b.namespace)
        for address in (third.server.fixed_address, third.server.public_addresses[0])
    ]
    move(old, new, new_first=new_first)
    assert [caller.flows() for caller in callers] == [True] * len(callers)


def test_a_removed_address_reaches_nothing_and_its_connections_end(
    fabric: Fabric, traffic: Traffic
) -> None:
    """R229."""
    a = fabric.one.guest(with_floating(1))
    traffic.serve(a)
    third, fourth = fabric.one.guest(server(3)), fabric.other.guest(server(4))
    places = [fabric.out, third.namespace, fourth.namespace, fabric.other.host, fabric.one.host]
    callers = [traffic.call(place, FLOATING) for place in places]
    fabric.one.plug(server(1))
    for caller in callers:
        assert not caller.flows(0.3)
        assert caller.asks() == caller.connects() == b""
    assert traffic.call(fabric.out, server(1).public_addresses[0]).flows()


def heard(wire: Wire, seconds: float) -> list[str]:
    """Senders' MACs of the announcements of the address that come within ``seconds``."""
    end, found = time.monotonic() + seconds, []
    while (left := end - time.monotonic()) > 0:
        mac = wire.wait(
            lambda got: (
                got[6:12] if got[:42] == announcement(got[6:12], IPv4Address(FLOATING)) else None
            ),
            left,
        )
        if mac is not None:
            found.append(mac.hex(":"))
    return found


def test_a_new_address_is_announced_again_soon(fabric: Fabric, traffic: Traffic) -> None:
    wire = traffic.wire(fabric.out)
    fabric.one.plug(with_floating(1))
    assert heard(wire, SOON[-1] + 1.0) == [fabric.one.public_mac] * (1 + len(SOON))
    fabric.one.plug(with_floating(1))
    assert heard(wire, 0.3) == []


def test_old_addresses_are_announced_from_time_to_time(
    fabric: Fabric, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hosts hold the address as long as the agent of the old one is dead: the host that the
    database means says so whenever it reconciles, and after a restart of its agent."""
    a, b = fabric.one.guest(with_floating(1)), fabric.other.guest(with_floating(2))
    name_a, name_b = traffic.serve(a), traffic.serve(b)
    assert answering(fabric, FLOATING) == {host.public_mac for host in fabric.hosts}
    wire = traffic.wire(fabric.out)
    heard(wire, SOON[-1] + 0.5)
    wrong = f"{FLOATING} lladdr {fabric.one.public_mac} nud reachable"
    sh(f"ip -n {fabric.out} neigh replace {wrong} dev eth0")
    caller = traffic.call(fabric.out, FLOATING)
    assert caller.first == name_a
    fabric.other.plug(with_floating(2))
    assert heard(wire, 0.3) == []
    monkeypatch.setattr(announce, "REMINDER", 0.0)
    fabric.other.plug(with_floating(2))
    assert heard(wire, 0.3) == [fabric.other.public_mac]
    assert neighbour(fabric) == fabric.other.public_mac
    assert caller.connects() == name_b
    fabric.one.plug(server(1))
    assert answering(fabric, FLOATING) == {fabric.other.public_mac}


def test_an_address_that_was_given_up_is_not_announced_any_more(
    fabric: Fabric, traffic: Traffic
) -> None:
    for give_up in (lambda: fabric.one.plug(server(1)), lambda: fabric.one.unplug(server(1).id)):
        fabric.one.plug(with_floating(1))
        give_up()
        assert heard(traffic.wire(fabric.out), SOON[-1] + 0.5) == []


@pytest.mark.parametrize("lets_go", ["before it is announced again", "later"])
def test_outside_believes_the_old_host_that_lets_go_late(
    fabric: Fabric, traffic: Traffic, monkeypatch: pytest.MonkeyPatch, lets_go: str
) -> None:
    """The bad order: the new host takes the address, and the outside asks while only the old host's
    answer comes through; later the old host lets go. The announcement that follows mends it."""
    a, b = fabric.one.guest(with_floating(1)), fabric.other.guest(server(2))
    name_a, name_b = traffic.serve(a), traffic.serve(b)
    monkeypatch.setattr(announce, "SOON", (3.0,))  # or a slow machine asks after the last one
    fabric.let_through(fabric.other, "pub", passes=False)
    fabric.other.plug(with_floating(2))
    sh(f"ip -n {fabric.out} neigh flush dev eth0")
    caller = traffic.call(fabric.out, FLOATING)
    believed = neighbour(fabric)
    fabric.let_through(fabric.other, "pub", passes=True)
    assert caller.first == name_a
    assert believed == fabric.one.public_mac
    if lets_go != "later":
        fabric.one.plug(server(1))
    eventually(lambda: neighbour(fabric) == fabric.other.public_mac, "the outside knows", LIMIT)
    assert caller.connects() == caller.asks() == name_b
    fabric.one.plug(server(1))
    assert caller.connects() == caller.asks() == name_b
    assert not caller.flows(0.3)
