"""How fast security groups are: ``python -m tests.perf.measure_groups [--lab] [--json F]``, root.

Without ``--lab``: one host in namespaces (tests/agent/network/world.py), with 100 and 1,000 servers
that have a chain, of which few have a guest. What the agent needs to bring a change into force, and
what a packet pays for many servers and for many rules (round trips of small packets over one TCP
connection; the rest of the path is in the figure, so look at the differences).

``--lab``: the running lab that UNDERCAST_LAB names. From the API's answer to the first packet that
is let in, or the first that is not, on real guests of two hosts. Nothing passes or fails here.
"""

from __future__ import annotations

import argparse
import errno
import json
import select
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from compute_agent import serverdir
from compute_agent.network.groups import kernel
from compute_agent.serverdir import ServerRecord
from db.wanted_firewall import WantedFirewall, WantedGroup, WantedGuest, WantedRule
from deploy.lab import names
from tests.agent.network.world import World, connects, inside, server
from tests.lab import Client, Lab, eventually

CHANGES = 20
ROUND_TRIPS = 20_000
SIZES = (100, 1000)
EVERY, QUIET, LONGEST = 0.004, 0.3, 30.0  # seconds: between packets, without one, in all
DEFAULT = (  # protocol, from, to, from everywhere or from the group itself
    ("icmp", -1, -1, True), ("tcp", 22, 22, True), ("tcp", 80, 80, True), ("tcp", 443, 443, True),
    ("icmp", -1, -1, False), ("tcp", 1, 65535, False), ("udp", 1, 65535, False),
)  # fmt: skip
Row = dict[str, Any]


def default_group(group_id: int, members: tuple[str, ...], generation: int = 1) -> WantedGroup:
    """A group with the seven rules of D6."""
    rules = tuple(
        WantedRule(
            group_id * 100 + number, protocol, first, last, *(("0.0.0.0/0", None) if everywhere
                                                              else (None, group_id)),
        )
        for number, (protocol, first, last, everywhere) in enumerate(DEFAULT)
    )  # fmt: skip
    return WantedGroup(group_id, generation, rules, members)


def many(count: int) -> tuple[list[WantedGuest], list[WantedGroup]]:
    """So many servers, ten of a tenant, all with their tenant's group."""
    guests = [
        WantedGuest(0x10000 + n, f"10.0.{100 + n // 250}.{1 + n % 250}", (10 + n // 10,))
        for n in range(count)
    ]
    groups = []
    for group_id in range(10, 10 + count // 10):
        members = tuple(guest.address for guest in guests if guest.groups == (group_id,))
        groups.append(default_group(group_id, members))
    return guests, groups


def record(world: World, guests: list[WantedGuest]) -> None:
    """Each has a record on the host, as a plugged server has."""
    for guest in guests:
        wanted = server(1, id=guest.server_id, fixed_address=guest.address, public=False)
        serverdir.write(ServerRecord(wanted, 20000))


def timed(act: Callable[[], object], times: int = CHANGES) -> float:
    """Median milliseconds of an act."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken) * 1000, 1)


def application(world: World, count: int) -> Iterator[Row]:
    """Loading everything, and single changes beside so many servers."""
    from compute_agent import network

    guests, groups = many(count)
    record(world, guests)
    what = f"{count} servers, {len(groups)} groups"

    def protect(wanted: WantedFirewall, afresh: bool = False) -> None:
        inside(world.host, lambda: network.protect(wanted, afresh=afresh))

    whole = WantedFirewall(tuple(guests), tuple(groups))

    def anew() -> None:
        inside(world.host, kernel.load, "add table ip undercast_groups\n"
                                        "delete table ip undercast_groups\n")  # fmt: skip
        protect(whole, True)

    yield {"what": f"{what}: all from nothing", "ms": timed(anew, 3)}
    yield {
        "what": f"{what}: look afresh, nothing to do",
        "ms": timed(lambda: protect(whole, True), 5),
    }
    toggle = [
        default_group(10, groups[0].members or ()),
        WantedGroup(10, 2, groups[0].rules[1:] if groups[0].rules else (), groups[0].members),
    ]

    def change_rule() -> None:
        toggle.reverse()
        protect(WantedFirewall(tuple(guests), (toggle[0], *groups[1:])))

    yield {"what": f"{what}: one rule changes", "ms": timed(change_rule)}
    member = [groups[0], default_group(10, (*(groups[0].members or ()), "10.0.99.99"), 3)]

    def change_member() -> None:
        member.reverse()
        protect(WantedFirewall(tuple(guests), (member[0], *groups[1:])))

    yield {"what": f"{what}: one member comes or goes", "ms": timed(change_member)}
    joins = [guests[0], WantedGuest(guests[0].server_id, guests[0].address, (10, 11))]

    def join() -> None:
        joins.reverse()
        protect(WantedFirewall((joins[0], *guests[1:]), tuple(groups)))

    yield {"what": f"{what}: a server joins or leaves a group", "ms": timed(join)}
    crowd = tuple(f"10.0.{50 + n // 250}.{1 + n % 250}" for n in range(1000))
    big = [default_group(10, crowd), default_group(10, crowd[:-1], 2)]
    protect(WantedFirewall(tuple(guests), (big[0], *groups[1:])))

    def change_crowd() -> None:
        big.reverse()
        protect(WantedFirewall(tuple(guests), (big[0], *groups[1:])))

    yield {"what": f"{what}: one of 1,000 members of a source", "ms": timed(change_crowd)}


def round_trip(world: World, a: str, b: str, address: str) -> float:
    """Median microseconds there and back over a connection from guest ``a`` to guest ``b``."""
    with inside(b, lambda: socket.create_server(("0.0.0.0", 7000))) as waiting:

        def echo() -> None:
            connection, _ = waiting.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(64):
                    connection.sendall(data)

        thread = threading.Thread(target=echo)
        thread.start()
        with inside(a, socket.create_connection, (address, 7000), 5) as caller:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            taken = []
            for _ in range(ROUND_TRIPS):
                start = time.perf_counter()
                caller.sendall(b"x")
                caller.recv(64)
                taken.append(time.perf_counter() - start)
        thread.join()
    return round(statistics.median(taken) * 1e6, 1)


def packets(world: World) -> Iterator[Row]:
    """What a packet pays: other servers, and rules before the one that lets it in."""
    from compute_agent import network

    one, two = server(1), server(2)
    a, b = world.guest(one), world.guest(two)
    pair = [WantedGuest(s.id, s.fixed_address, (5,)) for s in (one, two)]
    open_rule = WantedRule(9999, "tcp", 7000, 7000, "0.0.0.0/0", None)

    def with_rules(count: int) -> WantedGroup:
        closed = (
            WantedRule(n, "tcp", 9000 + n, 9000 + n, "192.0.2.0/24", None) for n in range(count)
        )
        return WantedGroup(5, 1000 + count, (*closed, open_rule), None)

    for count in (0, *SIZES):
        guests, groups = many(count)
        record(world, guests)
        wanted = WantedFirewall((*pair, *guests), (with_rules(0), *groups))
        inside(world.host, lambda w=wanted: network.protect(w, afresh=True))
        took = round_trip(world, a.namespace, b.namespace, two.fixed_address)
        yield {"what": f"round trip beside {count} other servers, us", "ms": took}
    for count in (0, 10, 100, 1000):
        wanted = WantedFirewall(tuple(pair), (with_rules(count),))
        inside(world.host, lambda w=wanted: network.protect(w, afresh=True))
        took = round_trip(world, a.namespace, b.namespace, two.fixed_address)
        yield {"what": f"round trip behind {count} rules that do not match, us", "ms": took}


# -- a lab --------------------------------------------------------------------------------------


def reaches(address: str, port: int, *, wanted: bool) -> float:
    """Milliseconds until packets reach the guest, or do not any more, tried every few of them.

    Nobody listens on the port, so a guest that is reached refuses.
    """
    start = time.perf_counter()
    waiting: dict[socket.socket, float] = {}
    last = 0.0
    while True:
        now = time.perf_counter() - start
        assert now < LONGEST, "never"
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex((address, port))
        waiting[caller] = now
        for ready in select.select([], list(waiting), [], EVERY)[1]:
            sent = waiting.pop(ready)
            reached = ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            ready.close()
            if reached and wanted:
                return close(waiting, sent)
            last = max(last, sent) if reached else last
        if not wanted and now - last > QUIET:
            return close(waiting, last + EVERY)


def close(waiting: dict[socket.socket, float], seconds: float) -> float:
    """Give back what is left; the time in milliseconds."""
    for left in waiting:
        left.close()
    return round(seconds * 1000, 1)


def until(lab: Lab, addresses: list[str], port: int, *, wanted: bool) -> float:
    """Milliseconds until it is so for all addresses, seen from outside."""

    def one(address: str) -> float:
        return inside(f"{lab.name}-out", lambda: reaches(address, port, wanted=wanted))

    with ThreadPoolExecutor(len(addresses)) as pool:
        return max(pool.map(one, addresses))


def spread(what: str, taken: list[float]) -> Row:
    """Median and worst."""
    return {"what": what, "ms": statistics.median(taken), "worst": max(taken)}


def latencies(lab: Lab, client: Client) -> Iterator[Row]:
    """From the API's answer to the packet, for rules and for members."""
    client.create("perf-groups", min_count=2, max_count=2)
    ids = [
        s["id"] for s in client.http.get("/servers").json()["servers"] if s["name"] == "perf-groups"
    ]
    pair = [client.settled(server_id) for server_id in ids]
    publics = [s["addresses"]["private"][1]["addr"] for s in pair if s]
    for address in publics:
        eventually(lambda a=address: connects(f"{lab.name}-out", a, 22), "guest answers", 120)
    group = client.http.post("/os-security-groups", json={"security_group": {
        "name": "perf-groups", "description": "perf"}}).json()["security_group"]  # fmt: skip
    rule = {"security_group_rule": {"parent_group_id": group["id"], "ip_protocol": "tcp",
            "from_port": 7777, "to_port": 7777, "cidr": "0.0.0.0/0"}}  # fmt: skip
    added, removed, joined, left = [], [], [], []
    for server_id in ids:
        act(client, server_id, "addSecurityGroup", "perf-groups")
    for _ in range(CHANGES):
        made = client.http.post("/os-security-group-rules", json=rule)
        assert made.status_code == 200, made.text
        added.append(until(lab, publics, 7777, wanted=True))
        client.http.delete(f"/os-security-group-rules/{made.json()['security_group_rule']['id']}")
        removed.append(until(lab, publics, 7777, wanted=False))
    client.http.post("/os-security-group-rules", json=rule)
    for _ in range(CHANGES):
        act(client, ids[0], "removeSecurityGroup", "perf-groups")
        left.append(until(lab, publics[:1], 7777, wanted=False))
        act(client, ids[0], "addSecurityGroup", "perf-groups")
        joined.append(until(lab, publics[:1], 7777, wanted=True))
    yield spread("a rule is added: on two hosts", added)
    yield spread("a rule is removed: on two hosts", removed)
    yield spread("a server joins a group", joined)
    yield spread("a server leaves a group", left)
    for server_id in ids:
        client.delete(server_id)
    client.http.delete(f"/os-security-groups/{group['id']}")


def act(client: Client, server_id: int, action: str, group: str) -> None:
    """A server's action with a group."""
    answer = client.http.post(f"/servers/{server_id}/action", json={action: {"name": group}})
    assert answer.status_code == 202, answer.text


def on_a_host() -> list[Row]:
    """Figures of one host."""
    rows: list[Row] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(monkeypatch)
        try:
            world.prepare()
            world.start_units()
            for count in SIZES:
                rows += application(world, count)
            rows += packets(world)
        finally:
            world.close()
    return rows


def in_a_lab() -> list[Row]:
    """Figures of a lab."""
    lab = Lab(names.current().name)
    return list(latencies(lab, Client(lab.openrc)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", action="store_true", help="measure the running lab")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    rows = in_a_lab() if arguments.lab else on_a_host()
    table = Table("what", "median ms", "worst ms", box=None)
    for row in rows:
        table.add_row(row["what"], str(row["ms"]), str(row.get("worst", "")))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
