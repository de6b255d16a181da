"""A flavor's rxtx_cap on a real guest, whose tap libvirt opens and sets up in its own way."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ledger
from tests.e2e.test_actions import running
from tests.e2e.test_servers import addresses, host_of, inside, ssh, ssh_words
from tests.lab import Client, Lab, eventually

FLAVOR = 104_000  # its id
CAP = 4  # Mbit/s
AMOUNT = 2_000_000  # bytes: 4 s at that rate
LEAST = 3.0  # seconds; on a busy machine it is only longer
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture
def server(lab: Lab, client: Client, keypair: str) -> Iterator[dict[str, Any]]:
    lab.undercast(
        "flavor", "create", "e2e.slow", "--id", str(FLAVOR), "--vcpus", "1", "--ram", "128",
        "--rxtx-cap", str(CAP), "--if-missing",
    )  # fmt: skip
    made = running(lab, client, keypair, "e2e-slow", flavorRef=FLAVOR)
    yield made
    client.delete(made["id"])
    eventually(lambda: client.show(made["id"]) is None, "the server is gone")
    ledger.balance(lab)


def assert_limited(lab: Lab, server: dict[str, Any]) -> None:
    """Bytes that the guest sends, and such that it receives, take their time."""
    address = addresses(server)[0]
    sends = shlex.join(ssh_words(lab, address, f"head -c {AMOUNT} /dev/zero"))
    receives = shlex.join(ssh_words(lab, address, "cat > /dev/null"))
    for script in (f"{sends} | wc -c", f"head -c {AMOUNT} /dev/zero | {receives}"):
        start = time.monotonic()
        said = lab.beside(host_of(lab, server), "sh", "-c", script, timeout=120)
        assert time.monotonic() - start > LEAST, script
        assert said.strip() in {str(AMOUNT), ""}


def set_cap(lab: Lab, cap: int) -> None:
    lab.rows(
        "UPDATE flavors SET rxtx_cap = :cap WHERE id = :id RETURNING id", cap=cap, id=FLAVOR
    )  # fmt: skip


def test_a_cap_holds_over_starts_and_follows_the_flavor(
    lab: Lab, client: Client, server: dict[str, Any]
) -> None:
    assert client.http.get(f"/flavors/{FLAVOR}").json()["flavor"]["rxtx_cap"] == CAP
    assert_limited(lab, server)

    before = ssh(lab, server, BOOT_ID)
    body = {"reboot": {"type": "HARD"}}
    assert client.http.post(f"/servers/{server['id']}/action", json=body).status_code == 202
    client.settled(server["id"])
    assert inside(lab, server) == "e2e-slow"
    assert ssh(lab, server, BOOT_ID) != before
    assert_limited(lab, server)

    host = host_of(lab, server)
    try:
        set_cap(lab, 0)
        eventually(lambda: lab.inventory(host)["limits"] == [], "the limit is lifted", 90)
        assert inside(lab, server) == "e2e-slow"
        set_cap(lab, CAP)
        eventually(lambda: lab.inventory(host)["limits"] == [server["id"]], "it is back", 90)
    finally:
        set_cap(lab, CAP)
    assert_limited(lab, server)
