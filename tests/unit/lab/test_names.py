"""Everything of a lab derives from its name, and two labs never meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.lab import names
from deploy.lab.controller import Hypervisor, Shape
from deploy.lab.names import Lab


def test_default_lab_has_the_documented_port_and_paths() -> None:
    lab = Lab("lab")
    assert lab.public_url == "http://127.0.0.1:8774"
    assert lab.state == Path("/var/lib/undercast/lab")
    assert lab.namespace("ctl") == "lab-ctl"
    assert lab.cgroup == "undercast-lab"


def test_other_labs_have_ports_of_their_own_always_the_same() -> None:
    ports = {Lab(name).api_port for name in ("test", "dev", "second", "a1")}
    assert len(ports) == 4
    assert all(20000 <= port < 30000 for port in ports)
    assert Lab("test").api_port == Lab("test").api_port


@pytest.mark.parametrize("name", ["", "Lab", "lab-x", "1lab", "a" * 13, "../x", "a b", "lab\n"])
def test_names_that_could_be_confused_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="UNDERCAST_LAB"):
        Lab(name)


def test_lab_owns_its_own_namespaces_only() -> None:
    lab = Lab("lab")
    assert all(lab.owns_namespace(name) for name in ("lab-fab", "lab-ctl", "lab-cmp12"))
    assert not any(
        lab.owns_namespace(name)
        for name in ("lab2-ctl", "mylab-ctl", "lab-cmp", "lab-other", "lab-ctl-x")
    )


def test_hosts_have_addresses_by_their_number() -> None:
    host = Lab("lab").host_named("cmp12")
    assert host.management_address == "192.168.50.22"
    assert host.public_address == "15.185.0.22"
    assert host.cgroup == "undercast-lab/cmp12"
    assert host.state == Path("/var/lib/undercast/lab/hosts/cmp12/state")


@pytest.mark.parametrize("name", ["ctl", "cmp", "cmp0", "cmp01", "cmp201", "cmp1 ", "xcmp1"])
def test_there_is_no_such_host(name: str) -> None:
    with pytest.raises(ValueError, match=r"host|place"):
        Lab("lab").host_named(name)


def test_environment_names_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERCAST_LAB", "test")
    assert names.current() == Lab("test")
    monkeypatch.setenv("UNDERCAST_LAB", "")
    assert names.current() == Lab("lab")


@pytest.mark.parametrize("hypervisor", ["libvirt", "fake"])
def test_a_lab_has_at_least_one_host_and_no_more_than_addresses(hypervisor: Hypervisor) -> None:
    assert Shape(200, hypervisor).hosts == 200
    for count in (0, -1, 201):
        with pytest.raises(ValueError, match="1 to 200 hosts"):
            Shape(count, hypervisor)


def test_a_fake_lab_has_no_namespaces_of_hosts() -> None:
    assert Lab("lab").hosts(Shape(2, "fake").real_hosts) == []
