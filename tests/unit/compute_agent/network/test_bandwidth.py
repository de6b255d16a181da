"""Plans of a server's limit of bandwidth: from what is seen and wanted to commands. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from compute_agent.network.bandwidth import (
    UNCHANGED,
    UNLIMITED,
    Change,
    Limits,
    Way,
    to_limit,
    to_remove,
)
from compute_agent.network.names import ifbs_of, owner_of, server_of, tap_of

MEGABIT = 125_000
WHOLE = Way(exists=True, up=True, rate=8 * MEGABIT, entered=True)
LIMITED = Limits((WHOLE, WHOLE), hooked=True)


def test_names_are_read_back_and_fit_an_interface() -> None:
    assert ifbs_of(42) == ("ifbrx-2a", "ifbtx-2a")
    for name in (tap_of(42), *ifbs_of(42)):
        assert owner_of(name) == 42
    assert all(len(name) <= 15 for name in ifbs_of(2**32 - 1))
    for other in ("ifb0", "ifbrx-", "ifbrx-02a", "ifbxx-2a", "ifbrx-2A", "eth0", "-2a"):
        assert owner_of(other) is None
    assert server_of("ifbrx-2a") is None


def test_a_limit_from_nothing() -> None:
    change = to_limit(42, 8, UNLIMITED)
    assert change.make == ("ifbrx-2a", "ifbtx-2a")
    assert change.links == ("link set dev ifbrx-2a up", "link set dev ifbtx-2a up")
    everything = "u32 match u32 0 0 action mirred egress redirect dev"
    assert [line.partition(" root")[0] for line in change.traffic] == [
        "qdisc replace dev ifbrx-2a",
        "qdisc replace dev ifbtx-2a",
        "qdisc add dev tap-2a clsact",
        f"filter add dev tap-2a egress protocol all pref 1 {everything} ifbrx-2a",
        f"filter add dev tap-2a ingress protocol all pref 2 {everything} ifbtx-2a",
    ]
    assert not change.unlinks


def test_nothing_to_do() -> None:
    assert not to_limit(42, 8, LIMITED)
    assert not to_limit(42, 0, UNLIMITED)
    assert not UNCHANGED


def test_another_rate_changes_the_rates_only() -> None:
    change = to_limit(42, 9, LIMITED)
    assert all("rate 9000000bit" in line for line in change.traffic)
    assert len(change.traffic) == 2
    assert change == Change(traffic=change.traffic)


def test_what_is_missing_is_made_and_nothing_else() -> None:
    down = Limits((replace(WHOLE, up=False), WHOLE), hooked=True)
    assert to_limit(42, 8, down) == Change(links=("link set dev ifbrx-2a up",))
    loose = to_limit(42, 8, Limits((WHOLE, replace(WHOLE, entered=False)), hooked=True))
    assert loose.traffic[:2] == ("qdisc del dev tap-2a clsact", "qdisc add dev tap-2a clsact")
    assert loose == Change(traffic=loose.traffic)


def test_lifting_ends_with_the_devices_that_say_that_there_is_something() -> None:
    lifted = to_limit(42, 0, LIMITED)
    assert lifted.traffic == ("qdisc del dev tap-2a clsact",)
    assert lifted.unlinks == ("link del dev ifbrx-2a", "link del dev ifbtx-2a")
    half = Limits((Way(), Way(exists=True)))
    assert to_limit(42, 0, half) == Change(unlinks=("link del dev ifbtx-2a",))
    assert to_remove(42, half) == ("link del dev ifbtx-2a",)


@pytest.mark.parametrize("megabits", [1, 10, 100, 1000, 10_000, 1_000_000])
def test_buckets_take_whole_frames_and_queues_stay_bounded(megabits: int) -> None:
    """Jumbo frames fit at any rate; no guest keeps more than 8 MiB waiting each way."""
    for line in to_limit(42, megabits, UNLIMITED).traffic[:2]:
        found = re.search(r"rate (\d+)bit burst (\d+) limit (\d+)$", line)
        assert found is not None
        rate, burst, limit = map(int, found.groups())
        assert rate == megabits * 10**6
        assert burst >= 9018
        assert 32 * 1024 <= limit - burst <= 8 * 1024 * 1024
