"""Floating addresses on two lab hosts with real guests, through the REST API (R223-R229, D40-D42).

Only what the default group lets in from anywhere is used: ping, and ssh. Guests say who they are by
their host name.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests import ledger
from tests.e2e.test_servers import (
    BOOT,
    addresses,
    answers,
    host_of,
    inside,
    ssh,
    ssh_words,
)  # fmt: skip
from tests.lab import Client, Lab, eventually

OUTSIDE, PORT = "15.185.0.1", 7300
# Writes the address of each caller of PORT as a line.
DOORMAN = f"""
import socket
with socket.create_server(("{OUTSIDE}", {PORT})) as door:
    print("open", flush=True)
    while True:
        connection, peer = door.accept()
        connection.close()
        print(peer[0], flush=True)
"""


@dataclass(frozen=True)
class Pair:
    """Two servers, one on each host, and what is done to their addresses."""

    lab: Lab
    client: Client
    a: dict[str, Any]
    b: dict[str, Any]

    def allocate(self, pool: str | None = None) -> httpx.Response:
        return self.client.http.post("/os-floating-ips", json={"pool": pool})

    def act(self, action: str, server: dict[str, Any], address: str) -> None:
        """Tell the API to add or remove the address."""
        path = f"/servers/{server['id']}/action"
        answer = self.client.http.post(path, json={action: {"address": address}})
        assert answer.status_code == 202, answer.text

    def shown(self, server: dict[str, Any]) -> list[str]:
        found = self.client.show(server["id"])
        assert found is not None
        return addresses(found)

    def who(self, where: str, address: str) -> str:
        """Host name of the guest that lets us in at the address; "" when none does."""
        words = ssh_words(self.lab, address, "hostname")
        try:
            return self.lab.beside(where, *words, timeout=10).strip()
        except (AssertionError, subprocess.TimeoutExpired):
            return ""


@pytest.fixture(scope="module")
def pair(lab: Lab, client: Client, keypair: str) -> Iterator[Pair]:
    made = [client.create(f"e2e-floating-{name}", key_name=keypair) for name in "ab"]
    a, b = (client.settled(server["id"]) for server in made)
    assert a is not None
    assert b is not None
    assert {host_of(lab, a), host_of(lab, b)} == {"cmp1", "cmp2"}
    for server in (a, b):
        assert inside(lab, server) == server["name"]
        eventually(lambda s=server: answers(lab, "out", addresses(s)[1]), "public answers", BOOT)
    yield Pair(lab, client, a, b)
    for server in (a, b):
        client.delete(server["id"])
    eventually(lambda: all(client.show(s["id"]) is None for s in (a, b)), "pair gone")
    ledger.balance(lab)


@pytest.fixture
def floating(pair: Pair) -> Iterator[str]:
    """A floating address of the tenant, on no server."""
    answer = pair.allocate()
    assert answer.status_code == 200, answer.text
    made = answer.json()["floating_ip"]
    assert (made["instance_id"], made["fixed_ip"]) == (None, None)
    yield made["ip"]
    answer = pair.client.http.delete(f"/os-floating-ips/{made['id']}")
    assert answer.status_code == 202, answer.text


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Keep a duration in seconds for the report; none is asserted."""

    def keep(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 3))
        print(f"{what}: {seconds:.3f} s")

    return keep


class Running:
    """A program of this machine in a network of the lab, read line by line."""

    def __init__(self, lab: Lab, where: str, *argv: str) -> None:
        inside = ["ip", "netns", "exec", f"{lab.name}-{where}", *argv]
        self._process = subprocess.Popen(
            inside, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def line(self) -> str:
        return self._output.readline().strip()

    def end(self) -> list[str]:
        """Stop it; all the lines that were not read."""
        self._process.terminate()
        rest = self._output.read().splitlines()
        self._process.wait(10)
        self._output.close()
        return rest


def answered(lab: Lab, address: str) -> bool:
    argv = ("ping", "-n", "-c1", "-W0.2", address)
    return "1 received" in lab.beside("out", *argv, check=False)


def test_r226_r229_added_it_is_reached_from_everywhere_and_removed_from_nowhere(
    pair: Pair, floating: str, figure: Callable[[str, float], None]
) -> None:
    lab, a = pair.lab, pair.a
    pair.act("addFloatingIp", a, floating)
    begun = time.monotonic()
    eventually(lambda: answered(lab, floating), "the address answers")
    figure("added, answers after", time.monotonic() - begun)
    fixed, automatic = addresses(a)
    assert pair.shown(a) == [fixed, automatic, floating]
    (row,) = pair.client.http.get("/os-floating-ips").json()["floating_ips"]
    assert (row["ip"], row["instance_id"], row["fixed_ip"]) == (floating, a["id"], fixed)

    for place in ("out", "cmp1", "cmp2"):
        assert pair.who(place, floating) == a["name"], place
    for server in (pair.a, pair.b):
        assert "1 packets received" in ssh(lab, server, f"ping -c1 -W5 {floating}")
    for host in lab.hosts:
        assert f"{floating}/" not in lab.beside(host, "ip", "address")

    pair.act("removeFloatingIp", a, floating)
    begun = time.monotonic()
    eventually(lambda: not answered(lab, floating), "the address is silent")
    figure("removed, silent after", time.monotonic() - begun)
    assert pair.shown(a) == [fixed, automatic]
    assert not any(answers(lab, place, floating) for place in ("out", "cmp1", "cmp2"))
    for server in (pair.a, pair.b):
        assert "0 packets received" in ssh(lab, server, f"ping -c1 -W1 {floating} || true")
    assert pair.who("out", automatic) == a["name"]


def test_d41_outgoing_traffic_shows_the_automatic_address(pair: Pair, floating: str) -> None:
    """The first external address, however many floating ones come and go."""
    door = Running(pair.lab, "out", sys.executable, "-c", DOORMAN)
    try:
        assert door.line() == "open"
        for change in ("", "addFloatingIp", "removeFloatingIp"):
            if change:
                pair.act(change, pair.a, floating)
                wanted = change == "addFloatingIp"
                eventually(lambda w=wanted: answered(pair.lab, floating) == w, "it is so")
            for server in (pair.a, pair.b):
                ssh(pair.lab, server, f"nc -w 3 {OUTSIDE} {PORT} < /dev/null")
                assert door.line() == addresses(server)[1], change
    finally:
        door.end()


@pytest.mark.parametrize("direction", ["from a to b", "from b to a"])
def test_d40_moved_while_traffic_runs(
    pair: Pair, floating: str, direction: str, figure: Callable[[str, float], None]
) -> None:
    """The old owner's connections are cut, others live, and everybody reaches the new owner."""
    lab = pair.lab
    old, new = (pair.a, pair.b) if direction == "from a to b" else (pair.b, pair.a)
    pair.act("addFloatingIp", old, floating)
    eventually(lambda: pair.who("out", floating) == old["name"], "the old owner is reached")
    mac = lab.beside(host_of(lab, new), "cat", "/sys/class/net/eth2/address").strip()
    assert mac not in believed(lab, floating)
    say = "while read up idle < /proc/uptime; do echo $up; sleep 0.2; done"
    streams = [
        Running(lab, "out", *ssh_words(lab, floating, say)),
        Running(lab, host_of(lab, new), *ssh_words(lab, floating, say)),
        Running(lab, "out", *ssh_words(lab, addresses(old)[1], say)),
    ]
    pings = Running(lab, "out", "ping", "-n", "-i", "0.05", floating)
    try:
        for stream in streams:
            assert float(stream.line()) > 0
        pair.act("addFloatingIp", new, floating)
        begun = time.monotonic()
        eventually(lambda: mac in believed(lab, floating), "the outside knows")
        figure(f"moved {direction}, the outside knows after", time.monotonic() - begun)
        for place in ("out", "cmp1", "cmp2"):
            assert pair.who(place, floating) == new["name"], place
        assert (pair.shown(old)[2:], pair.shown(new)[2:]) == ([], [floating])
        assert mac in believed(lab, floating)
        time.sleep(2)
        for server in (old, new):
            assert "1 packets received" in ssh(lab, server, f"ping -c1 -W5 {floating}")
    finally:
        seen = pings.end()
        *cut, alive = [stream.end() for stream in streams]
    sequence = [int(line.split("icmp_seq=")[1].split()[0]) for line in seen if "icmp_seq=" in line]
    lost = max(b - a - 1 for a, b in pairwise(sequence))
    figure(f"moved {direction}, pings were lost for", lost * 0.05)
    for lines in cut:  # by the old owner's own clock
        assert not lines or float(lines[-1]) + 1.5 < float(alive[-1])


def test_the_agent_of_the_old_owner_was_away(pair: Pair, floating: str) -> None:
    """Its host answers for the address meanwhile, but the new owner's is announced and wins; when
    the agent is back, the address is gone from there."""
    lab, old_host, new_host = pair.lab, host_of(pair.lab, pair.a), host_of(pair.lab, pair.b)
    pair.act("addFloatingIp", pair.a, floating)
    eventually(lambda: pair.who("out", floating) == pair.a["name"], "the old owner is reached")
    lab.supervisor("stop", "agent", host=old_host)
    try:
        pair.act("addFloatingIp", pair.b, floating)
        eventually(lambda: pair.who("out", floating) == pair.b["name"], "the new owner is reached")
        assert floating in proxied(lab, old_host)
        assert floating in proxied(lab, new_host)
    finally:
        lab.supervisor("start", "agent", host=old_host)
    eventually(lambda: floating not in proxied(lab, old_host), "the old host let go")
    lab.await_hosts()
    for place in ("out", "cmp1", "cmp2"):
        assert pair.who(place, floating) == pair.b["name"], place


def believed(lab: Lab, address: str) -> str:
    """What the outside takes for the address's neighbour."""
    return lab.beside("out", "ip", "neigh", "show", address)


def proxied(lab: Lab, host: str) -> str:
    return lab.beside(host, "ip", "neigh", "show", "proxy")


def test_d42_a_released_address_is_cut_and_rests(pair: Pair) -> None:
    """It is the only one of its pool, and nobody gets it again soon."""
    lab = pair.lab
    pool = f"e2e-{uuid.uuid4().hex[:8]}"
    used = "SELECT coalesce(max(address), '15.185.100.0') FROM public_addresses"
    (row,) = lab.rows(f"SELECT host(({used} WHERE address << '15.185.100.0/22') + 1) AS next")
    lab.undercast("pool", "create", pool, "--range", f"{row.next}-{row.next}")
    made = pair.allocate(pool).json()["floating_ip"]
    assert made["ip"] == row.next
    pair.act("addFloatingIp", pair.a, row.next)
    eventually(lambda: answered(lab, row.next), "the address answers")
    answer = pair.client.http.delete(f"/os-floating-ips/{made['id']}")
    assert answer.status_code == 202
    eventually(lambda: not answered(lab, row.next), "the address is silent")
    assert row.next not in pair.shown(pair.a)
    refused = pair.allocate(pool)
    assert refused.status_code == 400
    assert refused.json()["badRequest"]["message"] == f"No more floating ips in pool {pool}."
    assert pair.client.http.get(f"/os-floating-ips/{made['id']}").status_code == 404
