"""Every change of a host's network x the places where its agent may die in the middle of it.

The real agent ends itself with SIGKILL at that very point, and the supervisor starts it again: the
change must then be in force for packets, and end what it does not allow any more. Between the two
nothing is open that was not before or is not meant to be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests import ledger
from tests.e2e.test_groups import Guest, Stream, allow, echo, forbid, from_outside, pair
from tests.e2e.test_servers import BOOT, inside, ssh_to
from tests.faults.test_matrix import Injected
from tests.lab import Client, Lab, eventually

SOON = 30.0  # seconds: an agent starts anew and compares itself


@dataclass
class Scene:
    """Two guests on two hosts, a group of both, a floating address, and what is to be closed."""

    lab: Lab
    client: Client
    one: Guest
    other: Guest
    group: int = 0
    floating: tuple[int, str] = (0, "")
    undo: ExitStack = field(default_factory=ExitStack)

    def stream(self, address: str, port: int) -> Stream:
        """A connection that works now."""
        made = Stream(self.lab, address, port)
        self.undo.callback(made.close)
        assert made.works()
        return made

    def reached(self, address: str, port: int) -> None:
        eventually(lambda: from_outside(self.lab, address, port), f"{address} lets in", SOON)

    def shut(self, address: str, port: int) -> None:
        eventually(lambda: not from_outside(self.lab, address, port), f"{address} shut", SOON)

    def cut(self, stream: Stream) -> None:
        eventually(lambda: not stream.works(1), "cut", SOON)

    def owner(self) -> str:
        """Fixed address of the guest that the floating address leads to."""
        words = "wget -qO- http://169.254.169.254/latest/meta-data/local-ipv4"
        return ssh_to(self.lab, "out", self.floating[1], words)

    def act(self, guest: Guest, action: str) -> None:
        path = f"/servers/{guest.id}/action"
        body = {action: {"address": self.floating[1]}}
        answer = self.client.http.post(path, json=body)
        assert answer.status_code == 202, answer.text


Change = Callable[[Scene, Callable[[], None]], None]  # prepares, calls to inject, changes, looks


def rule_added(scene: Scene, inject: Callable[[], None]) -> None:
    inject()
    allow(scene.client, scene.group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
    scene.reached(scene.one.public, 5000)
    scene.reached(scene.other.public, 5000)


def rule_removed(scene: Scene, inject: Callable[[], None]) -> None:
    rule = allow(scene.client, scene.group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
    scene.reached(scene.one.public, 5000)
    scene.reached(scene.other.public, 5000)
    streams = [scene.stream(guest.public, 5000) for guest in (scene.one, scene.other)]
    inject()
    forbid(scene.client, rule)
    for stream in streams:
        scene.cut(stream)
    scene.shut(scene.one.public, 5000)


def server_leaves(scene: Scene, inject: Callable[[], None]) -> None:
    allow(scene.client, scene.group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
    scene.reached(scene.one.public, 5000)
    stream = scene.stream(scene.one.public, 5000)
    inject()
    scene.one.leave("faults")
    scene.cut(stream)
    scene.reached(scene.other.public, 5000)


def group_deleted(scene: Scene, inject: Callable[[], None]) -> None:
    allow(scene.client, scene.group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
    scene.reached(scene.one.public, 5000)
    stream = scene.stream(scene.one.public, 5000)
    inject()
    assert scene.client.http.delete(f"/os-security-groups/{scene.group}").status_code == 202
    scene.cut(stream)
    scene.shut(scene.other.public, 5000)


def member_elsewhere(scene: Scene, inject: Callable[[], None]) -> None:
    body = {"security_group": {"name": "faults-source", "description": "members elsewhere"}}
    source = scene.client.http.post("/os-security-groups", json=body).json()["security_group"]["id"]
    scene.undo.callback(scene.client.http.delete, f"/os-security-groups/{source}")
    allow(scene.client, scene.group, "tcp", 22, 22, cidr="0.0.0.0/0")
    allow(scene.client, scene.group, "tcp", 5000, 5000, group_id=source)
    for guest in (scene.one, scene.other):
        guest.leave("default")
        scene.undo.callback(guest.join, "default")
    eventually(lambda: not scene.other.reaches(scene.one.fixed, 5000), "closed", SOON)
    inject()
    scene.other.join("faults-source")
    eventually(lambda: scene.other.reaches(scene.one.fixed, 5000), "let in", SOON)


def server_created(scene: Scene, inject: Callable[[], None]) -> None:
    """The agent dies with the server's tap in place and its chain not."""
    inject()
    server = scene.client.settled(scene.client.create("fault-network", key_name="tests")["id"])
    assert server is not None
    assert server["status"] == "ACTIVE"
    inside(scene.lab, server)
    echo(scene.lab, server)
    public = server["addresses"]["private"][1]["addr"]
    scene.reached(public, 443)
    assert not from_outside(scene.lab, public, 5000)
    scene.client.delete(server["id"])
    eventually(lambda: scene.client.show(server["id"]) is None, "gone")


def floating_added(scene: Scene, inject: Callable[[], None]) -> None:
    inject()
    scene.act(scene.one, "addFloatingIp")
    scene.reached(scene.floating[1], 443)
    assert scene.owner() == scene.one.fixed


def floating_moved(scene: Scene, inject: Callable[[], None]) -> None:
    scene.act(scene.one, "addFloatingIp")
    scene.reached(scene.floating[1], 443)
    stream = scene.stream(scene.floating[1], 443)
    inject()
    scene.act(scene.other, "addFloatingIp")
    scene.cut(stream)
    scene.reached(scene.floating[1], 443)
    assert scene.owner() == scene.other.fixed


def floating_removed(scene: Scene, inject: Callable[[], None]) -> None:
    scene.act(scene.one, "addFloatingIp")
    scene.reached(scene.floating[1], 443)
    stream = scene.stream(scene.floating[1], 443)
    inject()
    scene.act(scene.one, "removeFloatingIp")
    scene.cut(stream)
    scene.shut(scene.floating[1], 443)
    scene.reached(scene.one.public, 443)


GROUPS = ("look.groups.before", "look.groups.after")
SERVERS = ("look.server.before", "network.rules.after", "network.links.after", "look.server.after")
CASES: list[tuple[Change, str]] = [
    *itertools.product(
        (rule_added, rule_removed, server_leaves, group_deleted, member_elsewhere, server_created),
        GROUPS,
    ),
    (server_leaves, "look.server.before"),
    *itertools.product((floating_added, floating_moved, floating_removed), SERVERS),
]


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str) -> Iterator[tuple[Guest, Guest]]:
    """One guest on each host."""
    yield pair(lab, client, keypair, "fault-pair")
    client.delete_all()
    ledger.balance(lab)


@pytest.fixture
def scene(
    lab: Lab, client: Client, guests: tuple[Guest, Guest], no_faults: None
) -> Iterator[Scene]:
    """A group of both guests, without rules, and a floating address of the tenant."""
    lab.await_hosts()
    body = {"security_group": {"name": "faults", "description": "of a test"}}
    made = Scene(lab, client, *guests)
    made.group = client.http.post("/os-security-groups", json=body).json()["security_group"]["id"]
    made.undo.callback(client.http.delete, f"/os-security-groups/{made.group}")
    for guest in guests:
        guest.join("faults")
    floating = client.http.post("/os-floating-ips").json()["floating_ip"]
    made.floating = floating["id"], floating["ip"]
    made.undo.callback(client.http.delete, f"/os-floating-ips/{floating['id']}")
    with made.undo:
        for guest in guests:
            eventually(lambda g=guest: from_outside(lab, g.public, 443), "ready", BOOT)
            made.shut(guest.public, 5000)  # as the last test's agent may have to say first
        yield made


@pytest.mark.parametrize(
    ("change", "point"), CASES, ids=[f"{change.__name__}-{point}" for change, point in CASES]
)
def test_a_change_with_an_agent_that_dies(scene: Scene, change: Change, point: str) -> None:
    injected: list[Injected] = []
    change(scene, lambda: injected.append(Injected.ask(scene.lab, *point.split("."))))
    assert all(fault.happened() for fault in injected), "the fault never came to happen"
    if "floating" not in change.__name__:
        for guest in (scene.one, scene.other):
            eventually(lambda g=guest: from_outside(scene.lab, g.public, 22), "still there", SOON)
    ledger.balance(scene.lab)
