"""What reaches dnsmasq's files, and whom the agent signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compute_agent import dhcp
from compute_agent.dhcp import leases, places, render
from compute_agent.errors import Fatal
from db.settings import settings
from tests.unit.compute_agent.servers import NETWORK, SERVER, make_server

HOSTS, PID = Path("/state/hosts"), Path("/state/pid")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_a_lease_is_one_line() -> None:
    assert render.lease(SERVER) == "02:16:3e:00:00:2a,10.0.0.10,first\n"


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": ""},
        {"hostname": "a b"},
        {"hostname": "a\n"},
        {"hostname": "-a"},
        {"hostname": "a,set:x"},
        {"hostname": "a" * 64},
        {"mac": "02:16:3e:00:00"},
        {"mac": "02:16:3e:00:00:2a\n"},
        {"mac": "id:*"},
        {"fixed_address": "10.0.0.10,infinite"},
        {"fixed_address": ""},
    ],
)
def test_security_28_unfit_values_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(Fatal):
        render.lease(make_server(**change))


def test_configuration_serves_known_guests_only_and_no_dns() -> None:
    lines = render.configuration(NETWORK, "br100", 600, HOSTS, PID).splitlines()
    assert "dhcp-range=10.0.0.0,static,255.255.0.0,600" in lines
    assert {"dhcp-ignore=tag:!known", "port=0", "interface=br100", "domain=novalocal"} <= set(lines)
    assert "dhcp-option=option:dns-server" in lines


def test_configuration_with_dns_and_without_domain() -> None:
    network = replace(NETWORK, dns="9.9.9.9", domain="")
    lines = render.configuration(network, "br100", 600, HOSTS, PID).splitlines()
    assert "dhcp-option=option:dns-server,9.9.9.9" in lines
    assert not any(line.startswith("domain=") for line in lines)


@pytest.mark.parametrize(
    "change", [{"domain": "a\nb"}, {"domain": "a b"}, {"dns": "x"}, {"gateway": "10.0.0.1 "}]
)
def test_security_28_unfit_networks_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(Fatal):
        render.configuration(replace(NETWORK, **change), "br100", 600, HOSTS, PID)  # type: ignore[arg-type]


def test_offer_and_forget(state: Path) -> None:
    assert not dhcp.granted(SERVER)
    dhcp.offer(SERVER)
    dhcp.offer(SERVER)
    assert dhcp.granted(SERVER)
    assert dhcp.lease_ids() == {42}
    assert [path.name for path in places.hosts().iterdir()] == ["42"]
    dhcp.forget(42)
    dhcp.forget(42)
    assert dhcp.lease_ids() == set()


def test_another_program_with_the_remembered_pid_is_not_signalled(state: Path) -> None:
    places.make()
    with subprocess.Popen(["sleep", "30"]) as bystander:
        places.pid_file().write_text(f"{bystander.pid}\n")
        assert not leases.tell(signal.SIGHUP)
        assert bystander.poll() is None
        bystander.kill()
    assert not leases.tell(signal.SIGHUP)
    places.pid_file().write_text("nonsense")
    assert not leases.tell(signal.SIGHUP)
