"""Whatever is done to a host's network: it is whole again within one period of reconcile.

Connections of running guests go on where the damage itself leaves them alone, and what no group
allows stays out, also while the database is away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import ledger
from tests.e2e.test_groups import Guest, Stream, allow, echo, from_outside, pair
from tests.e2e.test_servers import addresses, answers, inside, ssh_to
from tests.lab import Client, Lab, eventually

PERIOD = 60.0  # seconds; the labs of tests compare a host every 5
DNSMASQ = "cat /var/lib/undercast/compute/dhcp/dnsmasq.pid"
DAMAGE = {
    "rules flushed": ["nft flush ruleset"],
    "a chain emptied": ["nft flush chain ip undercast_groups {chain}"],
    "the base chain emptied": ["nft flush chain ip undercast_groups postrouting"],
    "groups deleted": ["nft delete table ip undercast_groups"],
    "no filter for bridged packets": ["sysctl -qw net.bridge.bridge-nf-call-iptables=0"],
    "no forwarding": ["sysctl -qw net.ipv4.ip_forward=0"],
    "dnsmasq killed": [f"sh -c 'kill -9 $({DNSMASQ})'"],
    "bridge deleted": ["ip link delete br100"],
    "all of it": [
        "nft flush ruleset", f"sh -c 'kill -9 $({DNSMASQ})'", "ip link delete br100",
        "ip route flush proto 85",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str) -> Iterator[tuple[Guest, Guest]]:
    """One guest on each host."""
    yield pair(lab, client, keypair, "e2e-repair")
    client.delete_all()
    ledger.balance(lab)


def is_whole(lab: Lab, one: Guest, other: Guest) -> bool:
    """What the default group allows works, and what it does not allow does not; DHCP answers."""
    return (
        answers(lab, "out", one.public)
        and from_outside(lab, one.public, 443)
        and not from_outside(lab, one.public, 5000)
        and other.reaches(one.fixed, 5000)
        and not other.reaches(one.public, 5000)
        and "lease of" in one.sh("udhcpc -n -q -f -i eth0 -s /bin/true 2>&1 || true")
        and one.sh("wget -qO- http://169.254.169.254/latest/meta-data/local-ipv4") == one.fixed
    )


def whole(lab: Lab, one: Guest, other: Guest) -> bool:
    """As :func:`is_whole`; a guest that does not answer is not."""
    try:
        return is_whole(lab, one, other)
    except AssertionError:
        return False


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_whole_within_a_period(lab: Lab, guests: tuple[Guest, Guest], damage: str) -> None:
    one, other = guests
    assert whole(lab, one, other)
    streams = [Stream(lab, guest.public, 443) for guest in guests]
    assert all(stream.works() for stream in streams)
    for command in DAMAGE[damage]:
        lab.on(one.host, "sh", "-c", command.format(chain=f"server_{one.id:x}"))
    eventually(lambda: whole(lab, one, other), "whole again", PERIOD)
    assert all(stream.works(PERIOD) for stream in streams), "connections go on"
    for stream in streams:
        stream.close()


@pytest.mark.usefixtures("empty")
def test_without_a_database_the_host_mends_itself(lab: Lab, client: Client, keypair: str) -> None:
    """An agent that starts anew without Postgres closes what somebody opened, from its disk."""
    server: dict[str, Any] | None = client.settled(
        client.create("e2e-cut-off", key_name=keypair)["id"]
    )
    assert server is not None
    inside(lab, server)
    echo(lab, server)
    guest = Guest(lab, client, server)
    host = guest.host
    stream = Stream(lab, guest.public, 443)
    assert stream.works()
    lab.supervisor("stop", "postgres")
    try:
        lab.on(host, "sh", "-c", "nft flush ruleset; ip link delete br100")
        lab.supervisor("restart", "agent", host=host)
        eventually(lambda: answers(lab, "out", guest.public), "answers again", PERIOD)
        assert stream.works(PERIOD)
        assert from_outside(lab, guest.public, 443)
        assert not from_outside(lab, guest.public, 5000)
        assert ssh_to(lab, host, guest.fixed, "hostname") == "e2e-cut-off"
    finally:
        lab.supervisor("start", "postgres")
    eventually(lambda: client.http.get("/limits").status_code == 200, "the API is back")
    lab.await_hosts()
    stream.close()


@pytest.mark.usefixtures("empty")
def test_a_change_that_was_made_while_the_host_was_cut_off(
    lab: Lab, client: Client, keypair: str
) -> None:
    """The agent is away, rules are changed, the host loses power: the rules are today's."""
    group = client.http.post(
        "/os-security-groups", json={"security_group": {"name": "away", "description": "x"}}
    ).json()["security_group"]
    groups = [{"name": "default"}, {"name": "away"}]
    created = client.create("e2e-away", key_name=keypair, security_groups=groups)
    server = client.settled(created["id"])
    assert server is not None
    inside(lab, server)
    guest = Guest(lab, client, server)
    host = guest.host
    lab.supervisor("stop", "agent", host=host)
    allow(client, group["id"], "tcp", 5000, 5000, cidr="0.0.0.0/0")
    lab.supervisor("start", "agent", host=host)
    echo(lab, server)
    eventually(lambda: from_outside(lab, addresses(server)[1], 5000), "in force", PERIOD)
    lab.undercast("group", "status", "away", "--wait", "30")
    client.delete(server["id"])
    eventually(lambda: client.show(server["id"]) is None, "gone")
    assert client.http.delete(f"/os-security-groups/{group['id']}").status_code == 202
