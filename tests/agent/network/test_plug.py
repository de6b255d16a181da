"""Plugging and unplugging: idempotent, healing, and leaving nothing (section 7 of the design)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from compute_agent import network, serverdir
from compute_agent.errors import Fatal, Retry
from compute_agent.network import servers
from tests.agent.network.world import Guest, World, inside, ping, server, sh


def test_plug_twice_is_the_same_and_seen_as_plugged(world: World) -> None:
    one = server(1)
    assert not world.plugged(one)
    world.plug(one)
    first = world.snapshot()
    assert world.plugged(one)
    world.plug(one)
    assert world.snapshot() == first
    assert world.local_ids() == {one.id}


def test_a_network_is_kept_without_the_metadata_service(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new server waits for it; a change for one that runs does not."""
    monkeypatch.setattr(servers, "METADATA_WAIT_SECONDS", 0.2)
    one = server(1)
    world.stop_units()
    try:
        with pytest.raises(Retry):
            world.plug(one)
        world.call(network.keep_plugged, one)
        assert world.plugged(one)
    finally:
        world.start_units()


def test_unplug_leaves_nothing(world: World) -> None:
    before = world.snapshot()
    for number in (1, 2):
        world.plug(server(number))
    assert world.snapshot() != before
    for number in (1, 2):
        world.unplug(server(number).id)
    assert world.snapshot() == before
    assert world.local_ids() == set()


def test_unplug_needs_the_id_only(world: World) -> None:
    before = world.snapshot()
    one = server(1)
    world.plug(one)
    serverdir.path_of(one.id).unlink()
    world.unplug(one.id)
    assert world.snapshot() == before


@pytest.mark.parametrize(
    "loss",
    [
        "ip link del {tap}",
        "ip link del br100",
        "nft delete table ip undercast",
        "nft delete table bridge undercast",
        "nft flush ruleset",
        "ip route flush proto 85",
        "ip neigh del proxy 15.185.16.11 dev eth2",
    ],
)
def test_what_is_lost_comes_back_and_half_states_are_removed(world: World, loss: str) -> None:
    before = world.snapshot()
    one = server(1)
    world.plug(one)
    whole = world.snapshot()
    command = loss.format(tap=one.tap)
    sh(f"ip netns exec {world.host} {command}")
    assert not world.plugged(one)
    world.prepare()
    world.plug(one)
    assert world.plugged(one)
    assert _without_ifindex(world.snapshot()) == _without_ifindex(whole)

    sh(f"ip netns exec {world.host} {command}")
    world.unplug(one.id)
    world.prepare()
    assert _without_ifindex(world.snapshot()) == _without_ifindex(before)


def _without_ifindex(snapshot: dict[str, str]) -> dict[str, str]:
    """Order of routes and random MACs of taps differ between two equal states."""
    links = sorted(line.split()[0] for line in snapshot["links"].splitlines() if line)
    routes = sorted(line for line in snapshot["routes"].splitlines() if "fe80" not in line)
    return {**snapshot, "links": str(links), "routes": str(routes)}


def test_plug_alone_heals_a_host_without_bridge_and_rules(world: World) -> None:
    one = server(1)
    guest = world.guest(one)
    sh(f"ip netns exec {world.host} nft flush ruleset")
    sh(f"ip -n {world.host} link del br100")
    world.plug(one)
    assert ping(world.out, one.public_addresses[0])
    assert ping(guest.namespace, "15.185.0.1")


def test_addresses_follow_the_record(world: World) -> None:
    one = server(1)
    guest = world.guest(one)
    changed = server(1, public_addresses=("15.185.16.99",), generation=4)
    assert not world.plugged(changed)
    world.plug(changed)
    assert world.plugged(changed)
    assert ping(world.out, "15.185.16.99")
    assert not ping(world.out, one.public_addresses[0], seconds=0.5)
    assert "15.185.16.11" not in str(world.snapshot())
    assert guest.tap in str(world.snapshot())


def test_an_address_moves_to_the_server_that_has_it_now(world: World) -> None:
    stale, now = server(1), server(2, public_addresses=("15.185.16.11",))
    world.guest(stale)
    guest = world.guest(now)
    assert ping(world.out, "15.185.16.11")
    counted = sh(f"ip -n {guest.namespace} -s link show eth0")
    world.unplug(stale.id)
    assert ping(world.out, "15.185.16.11")
    assert sh(f"ip -n {guest.namespace} -s link show eth0") != counted
    assert world.plugged(now)


def test_many_at_once(world: World) -> None:
    before = world.snapshot()
    servers = [server(number) for number in range(1, 13)]

    def many(call: object) -> None:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda one: inside(world.host, call, one), servers))  # type: ignore[arg-type]

    many(network.plug)
    assert all(world.plugged(one) for one in servers)
    records = [serverdir.read(one.id) for one in servers]
    assert len({record.metadata_port for record in records if record}) == len(servers)
    many(lambda one: network.unplug(one.id))
    assert world.snapshot() == before


def test_tap_can_be_opened_by_qemu_without_root(world: World) -> None:
    one = server(1)
    world.plug(one)
    opened = (
        "import fcntl, os, pwd, struct\n"
        "device = open('/dev/net/tun', 'r+b', buffering=0)\n"
        "os.setuid(pwd.getpwnam('libvirt-qemu').pw_uid)\n"
        f"request = struct.pack('16sH22x', b'{one.tap}', 0x0002 | 0x1000 | 0x4000)\n"
        "fcntl.ioctl(device, 0x400454CA, request)\n"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", world.host, sys.executable, "-c", opened],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    details = sh(f"ip -n {world.host} -d link show {one.tap}")
    assert "vnet_hdr on" in details
    assert "persist on user libvirt-qemu" in details


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": "a\ndhcp-script=/bin/sh"},
        {"hostname": "UPPER"},
        {"mac": "02:16:3e:00:01:01,10.0.0.99"},
        {"fixed_address": "10.0.0.11 }"},
        {"fixed_address": "192.168.50.1"},
        {"public_addresses": ("15.185.16.11\nlink del eth0",)},
        {"id": 2**32},
        {"rxtx_cap": -1},
        {"rxtx_cap": 2_000_000},
    ],
)
def test_security_28_unfit_values_reach_nothing(world: World, change: dict[str, object]) -> None:
    before = world.snapshot()
    with pytest.raises(Fatal):
        world.plug(server(1, **change))
    assert world.snapshot() == before


def test_a_tap_of_which_no_rule_knows_passes_nothing(world: World) -> None:
    known = world.guest(server(1))
    stranger = Guest(world, server(2)).configure()
    for command in (f"link set {stranger.tap} master br100", f"link set {stranger.tap} up"):
        sh(f"ip -n {world.host} {command}")
    assert not ping(stranger.namespace, known.server.fixed_address, seconds=0.5)
    assert not ping(known.namespace, stranger.server.fixed_address, seconds=0.5)
    sh(f"ip -n {world.host} link del {stranger.tap}")
