"""A host whose hypervisor or database is dead, or hangs, still does what its clients say."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_groups import Guest, Stream, allow, forbid, from_outside, pair
from tests.e2e.test_network_repair import PERIOD, whole
from tests.lab import Client, Lab, eventually

SOON = 10.0  # seconds; it takes less than one on a machine that has nothing else to do


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str) -> Iterator[tuple[Guest, Guest]]:
    """One guest on each host."""
    yield pair(lab, client, keypair, "e2e-trouble")
    client.delete_all()


@contextmanager
def dead(lab: Lab, host: str) -> Iterator[None]:
    """libvirtd is stopped; guests run on."""
    lab.supervisor("stop", "libvirtd", host=host)
    try:
        yield
    finally:
        lab.supervisor("start", "libvirtd", host=host)


@contextmanager
def hung(lab: Lab, host: str) -> Iterator[None]:
    """libvirtd takes connections and answers none."""
    pid = lab.on(host, "cat", "/run/libvirtd.pid").strip()
    lab.on(host, "kill", "-STOP", pid)
    try:
        yield
    finally:
        lab.on(host, "kill", "-CONT", pid)


@pytest.mark.parametrize("trouble", [dead, hung])
def test_r252_d42_the_network_waits_for_no_hypervisor(
    lab: Lab, client: Client, guests: tuple[Guest, Guest],
    trouble: Callable[[Lab, str], AbstractContextManager[None]],
) -> None:  # fmt: skip
    """Rules and addresses are taken away, and come, and what was lost is mended."""
    one, other = guests
    body = {"security_group": {"name": "trouble", "description": "of a test"}}
    group = client.http.post("/os-security-groups", json=body).json()["security_group"]["id"]
    floating = client.http.post("/os-floating-ips").json()["floating_ip"]
    act = {"addFloatingIp": {"address": floating["ip"]}}
    assert client.http.post(f"/servers/{one.id}/action", json=act).status_code == 202
    one.join("trouble")
    rule = allow(client, group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
    eventually(lambda: from_outside(lab, floating["ip"], 5000), "let in", SOON)
    stream = Stream(lab, one.public, 5000)
    assert stream.works()
    with trouble(lab, one.host):
        forbid(client, rule)
        eventually(lambda: not stream.works(1), "cut", SOON)
        rule = allow(client, group, "tcp", 5000, 5000, cidr="0.0.0.0/0")
        eventually(lambda: from_outside(lab, one.public, 5000), "let in again", SOON)
        assert client.http.delete(f"/os-floating-ips/{floating['id']}").status_code == 202
        eventually(lambda: not from_outside(lab, floating["ip"], 443), "address gone", SOON)
        assert client.http.delete(f"/os-security-groups/{group}").status_code == 202
        eventually(lambda: not from_outside(lab, one.public, 5000), "shut", SOON)
        lab.on(one.host, "nft", "flush", "ruleset")
        eventually(lambda: whole(lab, one, other), "whole again", PERIOD)
    stream.close()


def test_a_database_that_hangs(lab: Lab, guests: tuple[Guest, Guest]) -> None:
    """It refuses nothing and answers nothing: the host mends its network by what it knows."""
    one, other = guests
    stream = Stream(lab, one.public, 443)
    processes = postgres_of(lab)
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        lab.on(one.host, "nft", "flush", "ruleset")
        eventually(lambda: whole(lab, one, other), "whole again", PERIOD)
        lab.on(one.host, "ip", "link", "delete", "br100")
        eventually(lambda: whole(lab, one, other), "whole once more", PERIOD)
        assert stream.works(PERIOD)
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    lab.await_hosts()
    stream.close()


def postgres_of(lab: Lab) -> list[int]:
    """The lab's Postgres: its first process and that one's children."""
    found = int((lab.state / "postgres/data/postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{found}/task/{found}/children").read_text().split()
    return [found, *map(int, children)]
