"""Security groups of servers on two hosts: each host judges for its own guests (R250, R254)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from db.wanted_firewall import WantedGroup, WantedRule
from tests.agent.network.fabric import Fabric
from tests.agent.network.world import Guest, connects, listener, ping, server, sh

A, B, C = server(1), server(2), server(3)
PORT = 7000
GROUP = WantedGroup(5, 1, (WantedRule(1, "tcp", PORT, PORT, None, 5),), ())


@dataclass
class Three:
    """A and B on one host, C on the other; A and C have the group, B has none."""

    fabric: Fabric
    a: Guest
    b: Guest
    c: Guest

    def members(self, *addresses: str) -> None:
        """What the database tells both hosts."""
        for host in self.fabric.hosts:
            assert host.protect(replace(GROUP, members=addresses)) == {}


@pytest.fixture
def three(fabric: Fabric) -> Three:
    for host in fabric.hosts:
        host.protect(GROUP)
    return Three(
        fabric,
        fabric.one.guest(A, groups=(5,)),
        fabric.one.guest(B, groups=()),
        fabric.other.guest(C, groups=(5,)),
    )


def test_r254_members_on_other_hosts(three: Three) -> None:
    with listener(three.a.namespace, PORT), listener(three.c.namespace, PORT):
        for known in ((A, C), (A,), (C,), (C, A), ()):
            three.members(*(each.fixed_address for each in known))
            assert connects(three.a.namespace, C.fixed_address, PORT) is (A in known)
            assert connects(three.c.namespace, A.fixed_address, PORT) is (C in known)
            assert not connects(three.b.namespace, C.fixed_address, PORT)
            assert not connects(three.b.namespace, A.fixed_address, PORT)


def test_a_member_shows_its_public_address_when_it_asks_for_one(three: Three) -> None:
    """From another host as from a neighbour: the group's rule is about fixed addresses."""
    public = C.public_addresses[0]
    three.members(A.fixed_address, B.fixed_address, C.fixed_address)
    with listener(three.c.namespace, PORT):
        assert connects(three.a.namespace, C.fixed_address, PORT)
        assert not connects(three.a.namespace, public, PORT)
        shown = WantedRule(2, "tcp", PORT, PORT, f"{A.public_addresses[0]}/32", None)
        three.fabric.other.protect(WantedGroup(5, 2, (shown,), None))
        assert connects(three.a.namespace, public, PORT)
        assert not connects(three.a.namespace, C.fixed_address, PORT)
        assert not connects(three.b.namespace, public, PORT)


def test_the_receivers_host_judges_and_what_it_refused_it_does_not_know(three: Three) -> None:
    """The sender's host sees its guest begin something; it opens nothing on either."""
    for _ in range(2):
        assert not ping(three.b.namespace, C.fixed_address, seconds=0.3)
        assert not connects(three.b.namespace, C.fixed_address, 22, seconds=0.3)
        assert not ping(three.c.namespace, B.fixed_address, seconds=0.3)
    other = three.fabric.other.host
    assert sh(f"ip netns exec {other} conntrack -L -d {C.fixed_address}") == ""
    assert ping(three.b.namespace, "15.185.0.1")


def test_a_host_without_its_table_harms_no_other(three: Three) -> None:
    three.members(A.fixed_address, C.fixed_address)
    sh(f"ip netns exec {three.fabric.one.host} nft delete table ip undercast_groups")
    with listener(three.a.namespace, PORT), listener(three.c.namespace, PORT):
        assert not connects(three.c.namespace, A.fixed_address, PORT)
        assert not connects(three.b.namespace, C.fixed_address, PORT)
        three.fabric.one.protect(afresh=True)
        assert connects(three.c.namespace, A.fixed_address, PORT)
        assert connects(three.a.namespace, C.fixed_address, PORT)
