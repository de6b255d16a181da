"""rxtx_cap: what a host lets a guest send and receive, with real connections over its network.

A connection without a limit carries gigabits per second here. What is asserted tells it from one
with a limit by more than a factor of ten, and so holds on a busy machine too.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from compute_agent import serverdir
from compute_agent.network import bandwidth
from compute_agent.network.names import ifbs_of
from tests.agent.network import frames
from tests.agent.network.streams import busy, megabits
from tests.agent.network.world import Guest, World, http, inside, lease, server, sh

CAP = 8
OUTSIDE = "15.185.0.1"
CAPPED, FREE = server(1, rxtx_cap=CAP), server(2)
PUBLIC = CAPPED.public_addresses[0]
TAP, (RX, TX) = CAPPED.tap, ifbs_of(CAPPED.id)


def limited(rate: float, cap: int = CAP) -> bool:
    """Whether a rate is one that the cap made; what is neither this nor free fails the test."""
    assert cap / 4 < rate < 4 * cap or rate > 40 * cap, rate
    return rate < 4 * cap


def both_ways(world: World, guest: Guest) -> tuple[float, float]:
    """What a guest sends to the outside, and what it receives from there."""
    public = guest.server.public_addresses[0]
    return (
        megabits(guest.namespace, world.out, OUTSIDE),
        megabits(world.out, guest.namespace, public),
    )


def traffic(world: World) -> str:
    """All that is there to limit a server, in tc's words."""
    asked = ["qdisc show", f"filter show dev {TAP} ingress", f"filter show dev {TAP} egress"]
    return "\n".join(sh(f"ip netns exec {world.host} tc {words}") for words in asked)


def on_host(world: World, command: str) -> None:
    sh(f"ip netns exec {world.host} {command}")


class TestRates:
    def test_both_directions_are_limited_and_others_are_not(self, world: World) -> None:
        capped, free = world.guest(CAPPED), world.guest(FREE)
        assert all(map(limited, both_ways(world, capped)))
        with (
            busy(capped.namespace, world.out, OUTSIDE),
            busy(world.out, capped.namespace, PUBLIC),
        ):
            assert not any(map(limited, both_ways(world, free)))

    def test_each_direction_by_itself(self, world: World) -> None:
        capped = world.guest(CAPPED)
        with busy(capped.namespace, world.out, OUTSIDE):
            assert limited(megabits(world.out, capped.namespace, PUBLIC))

    def test_between_guests_of_one_host(self, world: World) -> None:
        """Neither what the host forwards nor what it only bridges passes by the limit."""
        capped, free = world.guest(CAPPED), world.guest(FREE)
        assert limited(megabits(free.namespace, capped.namespace, CAPPED.fixed_address))
        assert limited(megabits(capped.namespace, free.namespace, FREE.fixed_address))
        assert limited(megabits(free.namespace, capped.namespace, PUBLIC))

    def test_metadata_and_dhcp_work_for_a_guest_that_uses_all_of_it(self, world: World) -> None:
        capped = world.guest(CAPPED)
        with (
            contextlib.closing(capped.wire()) as wire,
            busy(capped.namespace, world.out, OUTSIDE),
            busy(world.out, capped.namespace, PUBLIC),
        ):
            path = "/latest/meta-data/instance-id"
            assert http(capped.namespace, path, seconds=15.0) == (200, CAPPED.ec2_id)
            answers = (lease(wire, CAPPED.mac, CAPPED.mac) for _ in range(20))  # frames may be lost
            offer = next(filter(None, answers))
        assert offer[53] == bytes([frames.OFFER])

    def test_what_libvirt_does_to_a_tap_lifts_nothing(self, world: World) -> None:
        """Libvirt gives a tap this root queue whenever it starts the guest."""
        capped = world.guest(CAPPED)
        on_host(world, f"tc qdisc add dev {TAP} root handle 0: noqueue")
        assert world.plugged(CAPPED)
        assert all(map(limited, both_ways(world, capped)))

    def test_a_cap_that_changes_is_followed(self, world: World) -> None:
        before = world.snapshot()
        capped = world.guest(CAPPED)
        wider = replace(CAPPED, rxtx_cap=200 * CAP)
        assert not world.plugged(wider)
        world.plug(wider)
        assert not any(map(limited, both_ways(world, capped)))
        world.plug(CAPPED)
        assert all(map(limited, both_ways(world, capped)))
        lifted = replace(CAPPED, rxtx_cap=0)
        assert not world.plugged(lifted)
        world.plug(lifted)
        assert world.plugged(lifted)
        assert not any(map(limited, both_ways(world, capped)))
        assert "clsact" not in traffic(world)
        assert "ifb" not in str(world.snapshot())
        world.unplug(CAPPED.id)
        assert world.snapshot()["links"] == before["links"]


class TestStates:
    def test_plug_twice_is_the_same(self, world: World) -> None:
        world.plug(CAPPED)
        first = world.snapshot(), traffic(world)
        for ifb in (RX, TX):
            assert sh(f"ip -n {world.host} -6 address show dev {ifb}") == ""
        assert world.plugged(CAPPED)
        world.plug(CAPPED)
        assert (world.snapshot(), traffic(world)) == first

    @pytest.mark.parametrize(
        "loss",
        [
            f"ip link del {RX}",
            f"ip link del {TX}",
            f"ip link set {TX} down",
            f"ip link del {TAP}",
            f"tc qdisc del dev {RX} root",
            f"tc qdisc replace dev {TX} root tbf rate 9mbit burst 16384 limit 65536",
            f"tc qdisc replace dev {TX} root htb",
            f"tc qdisc del dev {TAP} clsact",
            f"tc filter del dev {TAP} ingress",
            f"tc filter del dev {TAP} egress",
        ],
    )
    def test_what_is_lost_comes_back_and_half_states_are_removed(
        self, world: World, loss: str
    ) -> None:
        before = world.snapshot()
        capped = world.guest(CAPPED)
        on_host(world, loss)
        assert not world.plugged(CAPPED)
        if f"del {TAP}" in loss:  # its other end went with it
            sh(f"ip -n {world.host} link add {TAP} type veth peer name eth0 address {CAPPED.mac}"
               f" netns {capped.namespace}")  # fmt: skip
            capped.ip("link set eth0 up")
        world.plug(CAPPED)
        assert world.plugged(CAPPED)
        if f"del {TAP}" in loss:
            capped.configure()
        assert all(map(limited, both_ways(world, capped)))
        on_host(world, loss)
        world.unplug(CAPPED.id)
        assert world.snapshot() == before
        assert world.local_ids() == set()

    def test_a_change_that_ends_anywhere_is_finished_or_undone(self, world: World) -> None:
        """Half of the commands that limit a server, or that lift the limit, and then the agent."""
        before, free = world.snapshot(), replace(CAPPED, rxtx_cap=0)
        ways = [(free, CAPPED), (CAPPED, free)]
        for start, end in ways:
            world.plug(start)
            change = self.change(world, end.rxtx_cap)
            world.unplug(CAPPED.id)
            assert change
            steps = [bandwidth.Change(make=(ifb,)) for ifb in change.make]
            steps += [bandwidth.Change(links=(line,)) for line in change.links]
            steps += [bandwidth.Change(traffic=(line,)) for line in change.traffic]
            steps += [bandwidth.Change(unlinks=(line,)) for line in change.unlinks]
            for number in range(len(steps)):
                for outcome in (start, end, None):
                    world.plug(start)
                    for step in steps[: number + 1]:
                        inside(world.host, bandwidth.apply, step)
                    if outcome is None:
                        serverdir.path_of(CAPPED.id).unlink()
                    else:
                        world.plug(outcome)
                        assert world.plugged(outcome)
                        assert not self.change(world, outcome.rxtx_cap)
                    world.unplug(CAPPED.id)
                    assert world.snapshot() == before

    def change(self, world: World, cap: int) -> bandwidth.Change:
        seen = inside(world.host, bandwidth.observe, CAPPED.id, cap)
        return bandwidth.to_limit(CAPPED.id, cap, seen)

    @pytest.mark.parametrize("device", [RX, TX])
    def test_a_device_alone_says_whose_it_is(self, world: World, device: str) -> None:
        before = world.snapshot()
        on_host(world, f"ip link add name {device} type ifb")
        assert world.local_ids() == {CAPPED.id}
        world.unplug(CAPPED.id)
        assert world.snapshot() == before

    def test_a_server_without_a_limit_costs_no_program(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.plug(CAPPED)

        def no_program(*words: object, **more: object) -> str:
            raise AssertionError(words)

        monkeypatch.setattr(bandwidth, "run", no_program)
        world.plug(FREE)
        assert world.plugged(FREE)
        world.unplug(FREE.id)
