"""Things that happen at once, and messages that get lost, with real workers and hosts."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import ledger
from tests.lab import Client, Lab, eventually

STEPS = ("scheduling", "networking", "block_device_mapping", "spawning")


pytestmark = pytest.mark.usefixtures("empty")


@pytest.mark.parametrize("state", STEPS)
def test_delete_during_every_step(lab: Lab, client: Client, state: str) -> None:
    """A delete is accepted in every state (D60) and leaves nothing."""
    server_id = client.create(f"conflict-delete-{state}".replace("_", "-"))["id"]

    def reached() -> bool:
        server = client.show(server_id)
        return server is None or state in server["status"] or server["status"] == "ACTIVE"

    eventually(reached, state)
    client.delete(server_id)
    eventually(lambda: client.show(server_id) is None, "gone")
    ledger.balance(lab)


def test_fifty_creates_against_room_for_twenty(lab: Lab, client: Client) -> None:
    """Quotas are exact under concurrency (R59): 20 are admitted, 30 get 413 overLimit."""
    before = client.http.get("/limits").json()["limits"]["absolute"]
    room = before["maxTotalInstances"] - len(client.http.get("/servers").json()["servers"])

    def create(number: int) -> int:
        body = {"name": f"conflict-quota-{number}", "flavorRef": 1, "imageRef": client.image}
        return client.http.post("/servers", json={"server": body}).status_code

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(create, range(50)))
    assert codes.count(202) == room
    assert codes.count(413) == 50 - room


def test_same_name_at_once(client: Client) -> None:
    """Of simultaneous creates of one name one wins, the others get 400 (R98, D15)."""

    def create(_: int) -> int:
        body = {"name": "conflict-same", "flavorRef": 1, "imageRef": client.image}
        return client.http.post("/servers", json={"server": body}).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(create, range(8)))
    assert codes == [202, *[400] * 7]


def test_flushall_costs_seconds(lab: Lab, client: Client) -> None:
    """Redis loses everything in the middle of creates: they end ACTIVE all the same."""
    ids = [client.create(f"conflict-flush-{number}")["id"] for number in range(3)]
    lab.redis_cli("FLUSHALL")
    for server_id in ids:
        settled = client.settled(server_id)
        assert settled is not None
        assert settled["status"] == "ACTIVE"


def test_stopped_redis_costs_seconds(lab: Lab, client: Client) -> None:
    """A Redis that hangs (SIGSTOP) neither fails nor slows requests; polling does the work."""
    pid = lab.redis_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        ids = [client.create(f"conflict-stop-{number}")["id"] for number in range(2)]
        for server_id in ids:
            settled = client.settled(server_id)
            assert settled is not None
            assert settled["status"] == "ACTIVE"
    finally:
        os.kill(pid, signal.SIGCONT)
