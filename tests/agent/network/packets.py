"""Packets of every kind for tests of security groups, from each side that can send them to a guest.

Every packet carries a token of its own, so that what arrives at a guest is recognised by its bytes,
whatever was translated on the way.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from db.wanted import WantedServer
from tests.agent.network import frames
from tests.agent.network.world import FLAT_MAC, OUTSIDE, Guest, Wire, World, inside, sh

ICMP, TCP, UDP, GRE, ESP, SCTP = 1, 6, 17, 47, 50, 132
SYN, ACK = 2, 16
ELSEWHERE = "10.0.7.7"  # a guest of another host, on the flat side
SOME = 0.25  # seconds without a packet after which none is awaited any more

_numbers = itertools.count(1)


def token() -> bytes:
    """Bytes that no other packet has."""
    return b"undercast-%08d" % next(_numbers)


@dataclass(frozen=True, slots=True)
class Kind:
    """A packet without its addresses; the ports that it comes from differ each time."""

    protocol: int
    first: int = 0  # port, or ICMP type
    second: int = 0  # ICMP code
    source: int = 0  # port, if it matters
    flags: int = SYN

    def payload(self, sender: str, target: str, mark: bytes) -> bytes:
        """What follows the IP header."""
        source = self.source or 20000 + int(mark[-4:])
        if self.protocol == UDP:
            return frames.udp(source, self.first, mark)
        if self.protocol == ICMP:
            return icmp(self.first, self.second, struct.pack("!HH", source, 1), mark)
        if self.protocol == TCP:
            return tcp(sender, target, source, self.first, self.flags, mark)
        if self.protocol == GRE:
            return struct.pack("!HH", 0, 0x0800) + mark
        return struct.pack("!HHI", source, self.first, 0) + mark


def udp(port: int, source: int = 0) -> Kind:
    return Kind(UDP, port, source=source)


def syn(port: int, source: int = 0) -> Kind:
    return Kind(TCP, port, source=source)


def icmp(kind: int, code: int, rest: bytes, data: bytes) -> bytes:
    """An ICMP message; ``rest`` is the second half of its header."""
    data += b"\0" * (len(data) % 2)
    check = frames.checksum(struct.pack("!BBH", kind, code, 0) + rest + data)
    return struct.pack("!BBH", kind, code, check) + rest + data


def tcp(sender: str, target: str, source: int, port: int, flags: int, data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)

    def segment(check: int) -> bytes:
        return struct.pack("!HHIIBBHHH", source, port, 1000, 0, 5 << 4, flags, 8192, check, 0)

    ends = IPv4Address(sender).packed + IPv4Address(target).packed
    pseudo = ends + struct.pack("!BBH", 0, TCP, 20 + len(data))
    return segment(frames.checksum(pseudo + segment(0) + data)) + data


@dataclass(slots=True)
class Side:
    """A place that packets come from: what it shows as its own, and where its frames go."""

    wire: Wire
    mac: str
    address: str
    next_hop: str  # MAC

    def send(self, target: str, kind: Kind, mark: bytes, sender: str | None = None) -> None:
        shown = sender or self.address
        payload = kind.payload(shown, target, mark)
        self.wire.send(frames.ip(self.next_hop, self.mac, shown, target, payload, kind.protocol))


@dataclass(slots=True)
class Sides:
    """All of them, around one guest."""

    neighbour: Side
    flat: Side
    outside: Side

    def close(self) -> None:
        for side in (self.neighbour, self.flat, self.outside):
            side.wire.close()


def sides_of(world: World, guest: Guest, neighbour: Guest) -> Sides:
    """From a neighbour on the host, from another host's guest, from outside."""
    host = sh(f"ip -n {world.host} -br link show eth2").split()[2]
    out = sh(f"ip -n {world.out} -br link show eth0").split()[2]
    address = neighbour.server.fixed_address
    return Sides(
        Side(neighbour.wire(), neighbour.mac, address, guest.mac),
        Side(Wire(world.flat), FLAT_MAC, ELSEWHERE, guest.mac),
        Side(Wire(world.out), out, OUTSIDE, host),
    )


@dataclass(slots=True)
class Place:
    """A guest without groups, one that lets all in, and who can send to the closed one."""

    world: World
    closed: Guest
    opened: Guest
    wire: Wire  # of the closed one
    sides: Sides


@contextlib.contextmanager
def closed_place(world: World, closed: WantedServer, opened: WantedServer) -> Iterator[Place]:
    neighbour, guest = world.guest(opened), world.guest(closed, groups=())
    place = Place(world, guest, neighbour, guest.wire(), sides_of(world, guest, neighbour))
    yield place
    place.wire.close()
    place.sides.close()


def send_raw(namespace: str, target: str, kind: Kind, mark: bytes) -> None:
    """By the namespace's own IP, as a program of its root would; its own rules may refuse it."""
    with inside(namespace, socket.socket, socket.AF_INET, socket.SOCK_RAW, kind.protocol) as raw:
        raw.connect((target, 0))
        with contextlib.suppress(PermissionError):
            raw.send(kind.payload(raw.getsockname()[0], target, mark))


def arrived(wire: Wire, marks: Iterable[bytes], *, some: float = SOME) -> set[bytes]:
    """Which of the tokens come in, until all did or none came for a while."""
    missing, found = set(marks), set[bytes]()
    while missing:
        mark = wire.wait(lambda frame: next((m for m in missing if m in frame), None), some)
        if mark is None:
            break
        missing.discard(mark)
        found.add(mark)
    return found


def passing(side: Side, wire: Wire, target: str, kinds: Iterable[Kind]) -> set[Kind]:
    """Which packets of these kinds reach the wire when the side sends them to ``target``."""
    marks = {token(): kind for kind in kinds}
    for mark, kind in marks.items():
        side.send(target, kind, mark)
    return {marks[mark] for mark in arrived(wire, marks)}


class Stream:
    """A TCP connection that both ends can be asked about: what goes in must come out."""

    def __init__(
        self, listening: str, calling: str, address: str, port: int, *, seconds: float = 2.0
    ) -> None:
        with inside(listening, lambda: socket.create_server(("0.0.0.0", port))) as waiting:
            self.caller = inside(calling, socket.create_connection, (address, port), seconds)
            waiting.settimeout(seconds)
            self.callee = waiting.accept()[0]
        for end in (self.caller, self.callee):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def runs(self, *, seconds: float = 0.4) -> bool:
        """Whether bytes sent now, and bytes that waited, come in at the callee and back."""
        mark = token()
        deadline = time.monotonic() + seconds
        self.caller.sendall(mark)
        return self._read(self.callee, mark, deadline) and self._back(deadline + seconds)

    def _back(self, deadline: float) -> bool:
        mark = token()
        self.callee.sendall(mark)
        return self._read(self.caller, mark, deadline)

    @staticmethod
    def _read(end: socket.socket, mark: bytes, deadline: float) -> bool:
        data = b""
        while not data.endswith(mark):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            end.settimeout(left)
            try:
                chunk = end.recv(65536)
            except TimeoutError:
                return False
            if not chunk:
                return False
            data += chunk
        return True

    def close(self) -> None:
        self.caller.close()
        self.callee.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
