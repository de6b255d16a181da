"""Security groups on real packets: guests on both hosts, and a machine outside (R237-R254).

Each guest answers on several ports; who reaches which is what the groups say, at once, also for
connections that are there already.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from tests.agent.network import world
from tests.e2e.test_servers import addresses, host_of, inside, ssh, ssh_to
from tests.lab import Client, Lab, eventually

PORTS = (443, 5000, 8080)
SOON = 10.0  # seconds; a change is in force within one, on a machine that has nothing else to do
OUTSIDE = "15.185.0.1"


@dataclass
class Guest:
    """A guest whose ports of PORTS echo."""

    lab: Lab
    client: Client
    server: dict[str, Any]

    @property
    def id(self) -> int:
        return int(self.server["id"])

    @property
    def fixed(self) -> str:
        return addresses(self.server)[0]

    @property
    def public(self) -> str:
        return addresses(self.server)[1]

    @cached_property
    def host(self) -> str:
        return host_of(self.lab, self.server)

    def sh(self, command: str) -> str:
        return ssh_to(self.lab, self.host, self.fixed, command)

    def reaches(self, address: str, port: int) -> bool:
        """Whether the guest can connect to a port that echoes."""
        words = f"echo hello | timeout 2 nc {address} {port} || true"
        return self.sh(words) == "hello"

    def join(self, group: str) -> None:
        self._act("addSecurityGroup", group)

    def leave(self, group: str) -> None:
        self._act("removeSecurityGroup", group)

    def _act(self, action: str, group: str) -> None:
        path = f"/servers/{self.id}/action"
        answer = self.client.http.post(path, json={action: {"name": group}})
        assert answer.status_code == 202, answer.text


class Stream:
    """A connection from outside to a port that echoes."""

    def __init__(self, lab: Lab, address: str, port: int) -> None:
        out = f"{lab.name}-out"
        self._socket = world.inside(out, socket.create_connection, (address, port), 5)
        self._count = 0

    def works(self, seconds: float = SOON) -> bool:
        """Whether something that is said now comes back."""
        self._count += 1
        word = f"<{self._count}>".encode()
        self._socket.sendall(word)
        said, end = b"", time.monotonic() + seconds
        while word not in said and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                said += self._socket.recv(4096)
        return word in said

    def close(self) -> None:
        self._socket.close()


def echo(lab: Lab, server: dict[str, Any]) -> None:
    """The guest says on PORTS what is said to it."""
    for port in PORTS:
        ssh(lab, server, f"(busybox nc -ll -p {port} -e cat </dev/null >/dev/null 2>&1 &)")


def pair(lab: Lab, client: Client, keypair: str, name: str) -> tuple[Guest, Guest]:
    """Two guests of one call, one on each host, which echo."""
    client.create(name, min_count=2, max_count=2, key_name=keypair)
    listed = client.http.get("/servers").json()["servers"]
    found = []
    for server_id in sorted(server["id"] for server in listed if server["name"] == name):
        server = client.settled(server_id)
        assert server is not None
        inside(lab, server)
        echo(lab, server)
        found.append(Guest(lab, client, server))
    one, other = found
    assert one.host != other.host
    return one, other


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str) -> Iterator[tuple[Guest, Guest]]:
    """One guest on each host, both members of the group default only."""
    yield pair(lab, client, keypair, "e2e-groups")
    client.delete_all()


@pytest.fixture
def group(client: Client, guests: tuple[Guest, Guest]) -> Iterator[Callable[[str], int]]:
    """Makes groups, which are gone after the test and with it what they allowed."""
    made: list[int] = []

    def make(name: str) -> int:
        body = {"security_group": {"name": name, "description": "of a test"}}
        answer = client.http.post("/os-security-groups", json=body)
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["security_group"]["id"])
        return made[-1]

    yield make
    for group_id in made:
        client.http.delete(f"/os-security-groups/{group_id}")


def allow(client: Client, parent: int, protocol: str | None, first: int | None,
          last: int | None, **source: Any) -> int:  # fmt: skip
    """Add a rule from ``cidr`` or ``group_id``; its id."""
    body = {"security_group_rule": {"parent_group_id": parent, "ip_protocol": protocol,
            "from_port": first, "to_port": last, **source}}  # fmt: skip
    answer = client.http.post("/os-security-group-rules", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["security_group_rule"]["id"])


def forbid(client: Client, rule_id: int) -> None:
    """Remove a rule."""
    assert client.http.delete(f"/os-security-group-rules/{rule_id}").status_code == 202


def from_outside(lab: Lab, address: str, port: int) -> bool:
    """Whether a machine outside can connect."""
    return world.connects(f"{lab.name}-out", address, port, seconds=1.0)


def test_r238_the_default_group(lab: Lab, guests: tuple[Guest, Guest]) -> None:
    """Ping, 22, 80 and 443 from everywhere; the rest from members only, by fixed addresses."""
    for guest, other in (guests, reversed(guests)):
        assert world.ping(f"{lab.name}-out", guest.public, seconds=5)
        for port in (22, 80, 443):
            assert from_outside(lab, guest.public, port), port
        for port in (5000, 8080):
            assert not from_outside(lab, guest.public, port), port
            assert other.reaches(guest.fixed, port)
            assert not other.reaches(guest.public, port)  # it comes from a public address
        assert other.reaches(guest.public, 443)
        assert guest.reaches(guest.public, 443)
        assert not guest.reaches(guest.public, 5000)


def test_r252_rules_come_and_go(lab: Lab, client: Client, guests: tuple[Guest, Guest],
                                group: Callable[[str], int]) -> None:  # fmt: skip
    """On both hosts at once; a removed rule ends what only it allowed, and nothing else."""
    group_id = group("rules")
    for guest in guests:
        guest.join("rules")
        assert not from_outside(lab, guest.public, 5000)
    rule = allow(client, group_id, "tcp", 4000, 5000, cidr=f"{OUTSIDE}/32")
    again = allow(client, group_id, "tcp", 5000, 5000, cidr="15.185.0.0/16")
    for guest in guests:
        eventually(lambda g=guest: from_outside(lab, g.public, 5000), "let in", SOON)
    streams = [Stream(lab, guest.public, 5000) for guest in guests]
    others = [Stream(lab, guest.public, 443) for guest in guests]
    assert all(stream.works() for stream in streams + others)
    forbid(client, rule)
    time.sleep(1)
    assert all(stream.works() for stream in streams), "another rule allows it"
    forbid(client, again)
    eventually(lambda: not any(stream.works(1) for stream in streams), "cut", SOON)
    assert not any(from_outside(lab, guest.public, 5000) for guest in guests)
    assert all(stream.works() for stream in others)
    for stream in streams + others:
        stream.close()


def test_r253_groups_come_and_go_on_a_server(lab: Lab, client: Client, guests: tuple[Guest, Guest],
                                             group: Callable[[str], int]) -> None:  # fmt: skip
    one, other = guests
    allow(client, group("ports"), "tcp", 8080, 8080, cidr="0.0.0.0/0")
    one.join("ports")
    eventually(lambda: from_outside(lab, one.public, 8080), "let in", SOON)
    assert not from_outside(lab, other.public, 8080)
    stream = Stream(lab, one.public, 8080)
    assert stream.works()
    one.leave("ports")
    eventually(lambda: not stream.works(1), "cut", SOON)
    stream.close()
    one.leave("default")  # R237: no group, no traffic
    eventually(lambda: not from_outside(lab, one.public, 443), "closed", SOON)
    assert not world.ping(f"{lab.name}-out", one.public)
    assert not world.ping(f"{lab.name}-{one.host}", one.fixed)
    one.join("default")
    eventually(lambda: from_outside(lab, one.public, 443), "open", SOON)


def test_r254_members_of_a_source_group(lab: Lab, client: Client, guests: tuple[Guest, Guest],
                                        group: Callable[[str], int]) -> None:  # fmt: skip
    """A member on another host is let in as soon as it is one, and until it is none."""
    one, other = guests
    inner, outer = group("inner"), group("outer")
    allow(client, inner, "tcp", 5000, 5000, group_id=outer)
    allow(client, inner, "tcp", 22, 22, cidr="0.0.0.0/0")
    allow(client, outer, "tcp", 22, 22, cidr="0.0.0.0/0")
    for guest, name in ((one, "inner"), (other, "inner")):
        guest.join(name)
        guest.leave("default")
    try:
        eventually(lambda: not other.reaches(one.fixed, 5000), "closed", SOON)
        other.join("outer")
        eventually(lambda: other.reaches(one.fixed, 5000), "member", SOON)
        assert not one.reaches(other.fixed, 5000), "the one is no member"
        assert not other.reaches(one.fixed, 8080)
        other.leave("outer")
        eventually(lambda: not other.reaches(one.fixed, 5000), "no member", SOON)
    finally:
        for guest in guests:
            guest.join("default")


def test_r244_a_deleted_group_allows_nothing_any_more(
    lab: Lab, client: Client, guests: tuple[Guest, Guest], group: Callable[[str], int]
) -> None:
    """As the group of a server and as a source; what another group allows stays."""
    one, other = guests
    group_id, source = group("doomed"), group("doomed-source")
    allow(client, group_id, "tcp", 8080, 8080, cidr="0.0.0.0/0")
    allow(client, group_id, "tcp", 443, 443, cidr="0.0.0.0/0")
    one.join("doomed")
    other.join("doomed-source")
    eventually(lambda: from_outside(lab, one.public, 8080), "let in", SOON)
    stream, kept = Stream(lab, one.public, 8080), Stream(lab, one.public, 443)
    assert client.http.delete(f"/os-security-groups/{group_id}").status_code == 202
    assert client.http.delete(f"/os-security-groups/{source}").status_code == 202
    eventually(lambda: not stream.works(1), "cut", SOON)
    assert not from_outside(lab, one.public, 8080)
    assert kept.works()
    stream.close()
    kept.close()


def test_the_operator_sees_what_is_in_force(lab: Lab, client: Client, guests: tuple[Guest, Guest],
                                            group: Callable[[str], int]) -> None:  # fmt: skip
    """``group status``: the wanted and the applied generation on each host concerned."""
    group_id = group("watched")
    for guest in guests:
        guest.join("watched")
    allow(client, group_id, "udp", 53, 53, cidr="0.0.0.0/0")
    sql = """
        SELECT h.name FROM host_security_groups a JOIN hosts h ON h.id = a.host_id
        JOIN security_groups g ON g.id = a.group_id
        WHERE g.id = :id AND a.generation = g.generation AND a.error IS NULL ORDER BY h.name
    """
    eventually(
        lambda: [row.name for row in lab.rows(sql, id=group_id)] == ["cmp1", "cmp2"],
        "in force", SOON,
    )  # fmt: skip
