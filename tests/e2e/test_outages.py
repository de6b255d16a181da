"""A host comes back from a crash, with its guests, addresses, rules and metadata."""

from __future__ import annotations

import os
import signal

from tests import ledger
from tests.e2e.test_servers import BOOT, addresses, answers, host_of, ssh
from tests.lab import Client, Lab, eventually


def test_a_host_that_lost_power_starts_its_guests_again(lab: Lab, client: Client) -> None:
    """The first process of a host is killed: guest, address, rules and metadata come back."""
    server = client.settled(client.create("e2e-power", key_name="demo")["id"])
    assert server is not None
    host, (fixed, public) = host_of(lab, server), addresses(server)
    eventually(lambda: answers(lab, "out", public), "answers before", BOOT)
    os.kill(lab.first_process(host), signal.SIGKILL)
    eventually(lambda: not answers(lab, "out", public), "silent")
    eventually(lambda: answers(lab, "out", public), "answers again", BOOT)
    assert ssh(lab, server, "wget -qO- http://169.254.169.254/latest/meta-data/local-ipv4") == fixed
    client.delete(server["id"])
    eventually(lambda: client.show(server["id"]) is None, "gone")
    ledger.balance(lab)
