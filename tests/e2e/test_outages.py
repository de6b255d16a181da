"""A host comes back from a crash, with its guests, addresses, rules and metadata."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.test_servers import BOOT, addresses, answers, host_of, inside, ssh
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
