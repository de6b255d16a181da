"""That somebody deleted rules is heard at once; what the host itself does is no loss."""

from __future__ import annotations

import threading

import pytest

from compute_agent import network
from tests.agent.network.world import World, server, sh


@pytest.mark.parametrize(
    "loss",
    [
        "nft flush ruleset",
        "nft delete table ip undercast_groups",
        "nft delete table bridge undercast",
    ],
)
def test_a_deleted_table_is_heard(world: World, loss: str) -> None:
    heard = threading.Event()
    world.call(network.on_loss, heard.set)
    for number in (1, 2):
        world.plug(server(number))
    world.unplug(server(1).id)
    world.prepare()
    assert not heard.wait(0.3)
    sh(f"ip netns exec {world.host} {loss}")
    assert heard.wait(5)
