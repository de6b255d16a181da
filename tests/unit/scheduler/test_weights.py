"""The order in which hosts are tried."""

from dataclasses import replace

from db.queries.placement import Candidate, Needs
from scheduler.create import explain
from scheduler.weights import best_first, room_after

HOST = Candidate(
    id=1, name="a", vcpus=4, ram_mb=5000, disk_gb=100, used_vcpus=0, used_ram_mb=0,
    used_disk_gb=0, vcpu_ratio=2.0, ram_ratio=1.0, disk_ratio=1.0, reserved_ram_mb=1000,
)  # fmt: skip
NEEDS = Needs(
    server_id=1, uuid="u", zone_id=1, vcpus=1, ram_mb=1000, host_id=None, disk_gb=10
)  # fmt: skip


def test_room_is_that_of_the_tightest_resource() -> None:
    assert room_after(HOST, NEEDS) == 0.75  # memory: 1000 of 5000 - 1000
    assert room_after(replace(HOST, used_disk_gb=80), NEEDS) == 1 - 90 / 100


def test_emptiest_host_first() -> None:
    full = replace(HOST, id=2, used_ram_mb=2000)
    assert [host.id for host in best_first([full, HOST], NEEDS)] == [1, 2]


def test_equal_hosts_take_turns() -> None:
    """Simultaneous choices spread over equals."""
    hosts = [replace(HOST, id=number) for number in range(8)]
    assert len({best_first(hosts, NEEDS)[0].id for _ in range(200)}) == 8


def test_the_tenant_is_told_the_limiting_resource() -> None:
    big = replace(NEEDS, ram_mb=32768)
    assert explain(big, {"alive": 1, "ram": 2}) == "No host has 32768 MB of memory free."
    assert explain(big, {"alive": 3}) == "No host is available."
    assert explain(big, {}) == "No host is available."
