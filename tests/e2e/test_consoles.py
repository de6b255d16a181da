"""Consoles of real guests (R207, R208, D38): bounded on the host, whatever a guest prints."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from tests import actions
from tests.e2e.test_actions import running, settled
from tests.e2e.test_servers import host_of, inside, ssh
from tests.lab import Client, Lab, eventually

KEPT = 65536  # bytes: the default


@pytest.fixture(scope="module")
def server(lab: Lab, client: Client, keypair: str) -> Iterator[dict[str, Any]]:
    """A running server."""
    made = running(lab, client, keypair, "e2e-console")
    yield made
    client.delete(made["id"])
    eventually(lambda: client.show(made["id"]) is None, "the server is gone")


def files(lab: Lab, server: dict[str, Any]) -> dict[str, int]:
    """Sizes of the console's files on the host."""
    directory = lab.state / "hosts" / host_of(lab, server) / "state" / "servers" / str(server["id"])
    return {path.name: path.stat().st_size for path in directory.glob("console*")}


def output(client: Client, server: dict[str, Any], **wanted: Any) -> str:
    answer = actions.act(client, server["id"], {"os-getConsoleOutput": wanted}, 200)
    said: str = answer.json()["output"]
    return said


def printed(client: Client, server: dict[str, Any], text: str) -> None:
    eventually(lambda: text in output(client, server, length=20), f"{text} is on the console")


def virtlogd(lab: Lab, server: dict[str, Any]) -> tuple[str, int]:
    """Host of the server, and process id of its virtlogd in there."""
    host = host_of(lab, server)
    return host, int(lab.on(host, "cat", "/run/virtlogd.pid"))


def test_security_row_27_a_guest_that_prints_for_ever(
    lab: Lab, client: Client, server: dict[str, Any]
) -> None:
    """The host's disk is safe, the newest output is there, the guest and its console go on."""
    line = "abcdefghijklmnopqrstuvwxyz0123456789"
    ssh(lab, server, f"yes {line} > /dev/ttyS0 2>/dev/null & echo $! > /run/yes")
    eventually(lambda: len(files(lab, server)) == 2, "the log is rotated")
    sizes = []
    for _ in range(20):
        sizes.append(max(files(lab, server).values()))
        time.sleep(0.1)
    assert max(sizes) <= KEPT
    assert len(output(client, server)) == KEPT
    assert output(client, server, length=5).count(line) >= 4
    ssh(lab, server, "kill $(cat /run/yes)")
    ssh(lab, server, "echo; echo the-end > /dev/ttyS0")
    printed(client, server, "the-end")


def test_r208_d38_lengths_and_characters(lab: Lab, client: Client, server: dict[str, Any]) -> None:
    """Number of lines; XML without what XML cannot hold; JSON keeps escape codes."""
    ssh(lab, server, r"printf '\none\ntwo\001\033[1m<&>\377\nthree\n' > /dev/ttyS0")
    printed(client, server, "three")
    assert output(client, server, length=0) == ""
    assert "\x01\x1b[1m<&>\ufffd" in output(client, server, length=4)
    answer = client.http.post(
        f"/servers/{server['id']}/action", headers={"Accept": "application/xml"},
        json={"os-getConsoleOutput": {"length": "4"}},
    )  # fmt: skip
    assert answer.status_code == 200
    root = etree.fromstring(answer.content)
    assert root.tag == "output"
    assert "two[1m<&>\ufffd" in (root.text or "")


def test_a_virtlogd_that_starts_anew_loses_nothing(
    lab: Lab, client: Client, server: dict[str, Any]
) -> None:
    """As in an upgrade of its package."""
    host, pid = virtlogd(lab, server)
    lab.on(host, "kill", f"-{signal.SIGUSR1}", str(pid))
    ssh(lab, server, "echo; echo after-usr1 > /dev/ttyS0")
    printed(client, server, "after-usr1")


def test_a_virtlogd_that_is_killed_harms_no_guest(
    lab: Lab, client: Client, server: dict[str, Any]
) -> None:
    """The console is silent until the next start (decisions/006); the guest goes on writing."""
    host, pid = virtlogd(lab, server)
    lab.on(host, "kill", "-KILL", str(pid))
    eventually(lambda: virtlogd(lab, server)[1] != pid, "it is started again")
    ssh(lab, server, "dd if=/dev/zero bs=1024 count=300 2>/dev/null | tr '\\0' x > /dev/ttyS0")
    assert ssh(lab, server, "hostname") == "e2e-console"
    actions.reboot(client, server["id"])
    after = settled(client, server["id"])
    inside(lab, after)
    ssh(lab, after, "echo; echo it-is-back > /dev/ttyS0")
    printed(client, after, "it-is-back")
