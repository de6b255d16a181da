"""Every operation x step x {stop before the effect, stop after it before the commit, run twice}.

The real worker process ends itself with SIGKILL at that very point (db.operations.faults), and the
supervisor starts it again. The server must then end ACTIVE, or in a clean ERROR, or gone, and the
ledger must balance. Every server has a file to be put into its root disk or on its config drive: it
must be there. A new operation joins by a line in SCENARIOS; a test below refuses an operation or a
step that the matrix leaves out.
"""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compute_agent.__main__ import plans as agent_plans
from scheduler.create import create_plan
from scheduler.delete import delete_plan
from tests import actions, ledger
from tests.lab import Client, Lab, eventually

POINTS = ("before", "after", "twice")
FILE, TEXT = "/etc/fault", "put into the guest\n"
WITH_FILE = {"personality": [{"path": FILE, "contents": b64encode(TEXT.encode()).decode()}]}
WITH_DRIVE = {**WITH_FILE, "config_drive": True}


Inject = Callable[[], None]
Run = Callable[[Client, Lab, dict[str, Any], Inject], int]  # takes a new server; returns its id


@dataclass(frozen=True)
class Scenario:
    """How to bring an operation to run, and how its server may end."""

    operation: str
    steps: tuple[str, ...]
    run: Run
    ends: tuple[str | None, ...]  # statuses; None: gone
    also_fails: tuple[str, ...] = ()  # steps that fail on their host, so that others come to run
    with_drive: tuple[str, ...] = ()  # steps that run once more for a server with a config drive


def create(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    inject()
    return int(client.create(**new)["id"])


def running(client: Client, new: dict[str, Any]) -> int:
    server_id = int(client.create(**new)["id"])
    settled = client.settled(server_id)
    assert settled is not None
    assert settled["status"] == "ACTIVE", settled
    return server_id


def reboot(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    server_id = running(client, new)
    inject()
    actions.reboot(client, server_id)
    return server_id


def rebuild(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    server_id = running(client, new)
    inject()
    actions.rebuild(client, server_id, client.image)
    return server_id


def snapshot(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    return imaged(client, lab, new, inject, "ACTIVE")


def failing_snapshot(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    return imaged(client, lab, new, inject, "ERROR")


def imaged(client: Client, lab: Lab, new: dict[str, Any], inject: Inject, end: str) -> int:
    """A server and an image of it, which ends as ``end`` and is deleted again."""
    server_id = running(client, new)
    inject()
    image_id = actions.create_image(client, server_id, new["name"])
    assert actions.image_settled(client, image_id)["status"] == end
    client.settled(server_id)
    ledger.balance(lab)
    actions.delete_image(client, image_id)
    return server_id


def delete(client: Client, lab: Lab, new: dict[str, Any], inject: Inject) -> int:
    server_id = running(client, new)
    inject()
    client.delete(server_id)
    eventually(lambda: client.show(server_id) is None, "deleted")
    return server_id


SCENARIOS = (
    Scenario(
        "create", ("scheduling", "networking", "block_device_mapping", "spawning"),
        create, ("ACTIVE",), with_drive=("block_device_mapping",),
    ),
    Scenario("create", ("undoing",), create, ("ERROR",), also_fails=("spawning",)),
    Scenario("reboot", ("powering_off", "starting"), reboot, ("ACTIVE",),
             with_drive=("starting",)),
    Scenario(
        "rebuild", ("rebuilding", "powering_off", "block_device_mapping", "spawning"),
        rebuild, ("ACTIVE",), with_drive=("block_device_mapping",),
    ),
    Scenario("snapshot", ("image_snapshot", "uploading", "finishing"), snapshot, ("ACTIVE",),
             with_drive=("image_snapshot",)),
    Scenario(
        "snapshot", ("undoing",), failing_snapshot, ("ACTIVE",), also_fails=("uploading",)
    ),
    Scenario("delete", ("cancelling", "powering_off", "unplugging", "erasing"), delete, (None,),
             with_drive=("erasing",)),
)  # fmt: skip
CASES = [
    pytest.param(scenario, step, point, more, id=f"{scenario.operation}-{step}-{point}{name}")
    for scenario in SCENARIOS
    for more, steps, name in (
        (WITH_FILE, scenario.steps, ""), (WITH_DRIVE, scenario.with_drive, "-drive"),
    )
    for step, point in itertools.product(steps, POINTS)
]  # fmt: skip


@dataclass(frozen=True)
class Injected:
    """One fault, asked of every worker; the first that comes to the point takes it."""

    asked: list[Path]

    @classmethod
    def ask(cls, lab: Lab, operation: str, step: str, point: str) -> Injected:
        asked = [directory / f"{operation}.{step}.{point}" for directory in lab.fault_dirs]
        for path in asked:
            path.touch()
        return cls(asked)

    def happened(self) -> bool:
        return not all(path.exists() for path in self.asked)


def test_the_matrix_leaves_no_step_out() -> None:
    """The steps that workers know are the steps that the matrix runs."""
    nothing: Any = None
    plans = [create_plan(), delete_plan(), *agent_plans(nothing, nothing, nothing)]
    known = {(plan.kind, step) for plan in plans for step in plan.steps}
    assert known == {(s.operation, step) for s in SCENARIOS for step in s.steps}


def has_its_file(lab: Lab, server_id: int, *, on_drive: bool) -> None:
    """The server's disks, read on its host, hold what the client sent, and hold it once."""
    host = lab.rows("SELECT h.name FROM hosts h JOIN servers s ON s.host_id = h.id"
                    " WHERE s.id = :id", id=server_id)[0].name  # fmt: skip
    directory = lab.state / "hosts" / host / "state" / "servers" / str(server_id)
    told = json.loads((directory / "injected.json").read_text())
    assert sum(FILE in line for line in told["done"]) == 1
    assert told["failed"] == []
    if on_drive:
        there = f"mtype -i config.raw ::{FILE}"
    else:
        flat = "qemu-img convert -U -f qcow2 -O raw root.qcow2 /tmp/root"
        there = f"{flat}; debugfs -R 'cat {FILE}' /tmp/root 2>/dev/null; rm /tmp/root"
    inside = Path("/var/lib/undercast/compute/servers", str(server_id))
    assert lab.on(host, "sh", "-c", f"cd {inside}; {there}") == TEXT
    assert sorted(path.name for path in directory.glob("*.new")) == []


@pytest.mark.usefixtures("no_faults", "empty")
@pytest.mark.parametrize(("scenario", "step", "point", "more"), CASES)
def test_fault(
    lab: Lab, client: Client, scenario: Scenario, step: str, point: str, more: dict[str, Any]
) -> None:
    injected: list[Injected] = []

    def inject() -> None:
        also = scenario.also_fails
        injected.extend(Injected.ask(lab, scenario.operation, s, "fail") for s in also)
        injected.append(Injected.ask(lab, scenario.operation, step, point))

    name = f"fault-{scenario.operation}-{step}-{point}".replace("_", "-")
    server_id = scenario.run(client, lab, {"name": name, **more}, inject)
    server = client.settled(server_id)
    assert (server["status"] if server else None) in scenario.ends, server
    assert all(fault.happened() for fault in injected), "a fault never came to happen"
    if server and server["status"] == "ACTIVE":
        has_its_file(lab, server_id, on_drive="config_drive" in more)
    ledger.balance(lab)


@pytest.mark.usefixtures("no_faults", "empty")
def test_a_create_that_fails_on_every_host_ends_in_a_clean_error(lab: Lab, client: Client) -> None:
    """R112: ERROR with a fault that the tenant may read; nothing stays claimed."""
    Injected.ask(lab, "create", "spawning", "fail")
    server = client.settled(int(client.create("fault-everywhere")["id"]))
    assert server is not None
    assert server["status"] == "ERROR"
    assert server["fault"]["message"] == "The server could not be created."
    ledger.balance(lab)


@pytest.mark.usefixtures("no_faults", "empty")
def test_what_one_host_cannot_do_another_does(lab: Lab, client: Client) -> None:
    """A host's fault is undone there and scheduled elsewhere; the client sees ACTIVE."""
    fault = lab.state / "hosts" / lab.hosts[0] / "state" / "faults" / "create.spawning.fail"
    fault.touch()
    client.create("fault-once", min_count=2, max_count=2)  # spread: one on each host at first
    servers = client.http.get("/servers").json()["servers"]
    ended = [client.settled(server["id"]) for server in servers]
    assert [server and server["status"] for server in ended] == ["ACTIVE", "ACTIVE"]
    assert not fault.exists(), "the fault never came to happen"
    ledger.balance(lab)
