"""A host comes back from a crash; guests go on while the control plane is away."""

from __future__ import annotations

import os
import signal

import httpx
import pytest

from tests.e2e.test_servers import BOOT, addresses, answers, host_of, inside, ssh, ssh_to
from tests.lab import Client, Lab, eventually


@pytest.mark.usefixtures("empty")
def test_a_host_that_lost_power_starts_its_guests_again(
    lab: Lab, client: Client, keypair: str
) -> None:
    """The first process of a host is killed: guest, address, rules and metadata come back."""
    server = client.settled(client.create("e2e-power", key_name=keypair)["id"])
    assert server is not None
    host, (fixed, public) = host_of(lab, server), addresses(server)
    eventually(lambda: answers(lab, "out", public), "answers before", BOOT)
    os.kill(lab.first_process(host), signal.SIGKILL)
    eventually(lambda: not answers(lab, "out", public), "silent")
    eventually(lambda: answers(lab, "out", public), "answers again", BOOT)
    assert inside(lab, server) == "e2e-power"
    assert ssh(lab, server, "wget -qO- http://169.254.169.254/latest/meta-data/local-ipv4") == fixed


@pytest.mark.usefixtures("empty")
def test_guests_boot_without_the_control_plane(lab: Lab, client: Client, keypair: str) -> None:
    """DHCP and metadata need neither Postgres, Redis, API, scheduler nor the agent."""
    server = client.settled(client.create("e2e-alone", key_name=keypair)["id"])
    assert server is not None
    assert inside(lab, server) == "e2e-alone"
    host, controller = host_of(lab, server), ("api", "scheduler", "redis", "postgres")
    lab.supervisor("stop", *controller)
    lab.supervisor("stop", "agent", host=host)
    try:
        ssh_quietly(lab, host, addresses(server)[0], "rm /root/.ssh/authorized_keys; reboot")
        eventually(lambda: not answers(lab, "out", addresses(server)[1]), "rebooting")
        said = eventually(
            lambda: ssh_quietly(lab, host, addresses(server)[0], "cat /root/.ssh/authorized_keys"),
            "ssh answers with the key that metadata gave again",
            BOOT,
        )
        assert "ssh-rsa" in said
    finally:
        lab.supervisor("start", *reversed(controller))
        lab.supervisor("start", "agent", host=host)
    eventually(lambda: api_answers(client), "the API is back")
    again = eventually(lambda: client.settled(server["id"]), "the server is there")
    assert again["status"] == "ACTIVE"


@pytest.mark.usefixtures("empty")
def test_a_guest_that_crashes_is_started_again_and_its_story_says_so(
    lab: Lab, client: Client
) -> None:
    server = client.settled(client.create("e2e-crash")["id"])
    assert server is not None
    host = host_of(lab, server)
    before = lab.on(host, "pidof", "qemu-system-x86_64").split()
    lab.on(host, "kill", "-9", *before)
    after = eventually(
        lambda: lab.on(host, "pidof", "qemu-system-x86_64", check=False).split(), "another qemu"
    )
    assert set(after).isdisjoint(before)
    told = """
        SELECT e.message FROM operation_events e JOIN operations o ON o.id = e.operation_id
        WHERE o.subject_id = :id AND e.step = 'reconcile'
    """
    eventually(
        lambda: [r for r in lab.rows(told, id=server["id"]) if "started again" in r.message],
        "the timeline tells",
    )


def ssh_quietly(lab: Lab, host: str, address: str, command: str) -> str:
    """Run a command in a guest without asking the database where it is; "" when it fails."""
    try:
        return ssh_to(lab, host, address, command)
    except AssertionError:
        return ""


def api_answers(client: Client) -> bool:
    try:
        return client.http.get("/servers").status_code == 200
    except httpx.TransportError:
        return False
