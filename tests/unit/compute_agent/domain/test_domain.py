"""Domains, on libvirt's own test hypervisor: a libvirtd inside this process."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from compute_agent.disks.cache import ImageCache
from compute_agent.domain import domain as domain_module
from compute_agent.domain import virtualization
from compute_agent.domain.connection import Connection
from compute_agent.domain.domain import Domains
from compute_agent.domain.virtualization import HostAbilities
from compute_agent.driver import PowerState
from compute_agent.errors import HostFault, Retry
from db.settings import settings
from tests.unit.compute_agent.servers import make_server, roomy

NODE = """<node>
  <domain type="test">
    <name>foreign</name><memory>4096</memory><os><type>hvm</type></os>
  </domain>
</node>"""
SERVER = make_server()


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    host: Any = HostAbilities("test", None, "127.0.0.1")  # type: ignore[arg-type]
    monkeypatch.setattr(virtualization, "abilities", lambda: host)
    monkeypatch.setattr(domain_module, "_UNDEFINE", libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    node = tmp_path / "node.xml"
    node.write_text(NODE)
    opened = Connection(f"test://{node}")
    yield opened
    opened.close()
    settings.cache_clear()


@pytest.fixture
def domains(connection: Connection, tmp_path: Path) -> Domains:
    return Domains(
        connection, ImageCache(tmp_path / "images", "http://127.0.0.1:1", "secret", roomy(tmp_path))
    )


def names(connection: Connection) -> set[str]:
    with connection.use() as libvirtd:
        return {domain.name() for domain in libvirtd.listAllDomains()}


def test_spawn_defines_and_starts(domains: Domains, connection: Connection) -> None:
    domains.spawn(SERVER)
    assert domains.power_states() == {42: PowerState.RUNNING}
    assert names(connection) == {"foreign", "i-0000002a"}


def test_spawn_leaves_a_running_guest_alone(domains: Domains, connection: Connection) -> None:
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        before = libvirtd.lookupByName("i-0000002a").ID()
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        assert libvirtd.lookupByName("i-0000002a").ID() == before


def test_security_26_spawn_defines_anew_when_off(domains: Domains, connection: Connection) -> None:
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        libvirtd.lookupByName("i-0000002a").destroy()
    domains.spawn(make_server(ram_mb=256))
    with connection.use() as libvirtd:
        assert libvirtd.lookupByName("i-0000002a").maxMemory() == 256 * 1024


def test_guest_that_is_off_is_known(domains: Domains, connection: Connection) -> None:
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        libvirtd.lookupByName("i-0000002a").destroy()
    assert domains.power_states() == {42: PowerState.SHUTOFF}
    assert domains.known_ids() == {42}


def test_paused_guest_is_asked_about_again(domains: Domains, connection: Connection) -> None:
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        libvirtd.lookupByName("i-0000002a").suspend()
    assert domains.power_states() == {42: PowerState.PAUSED}
    with pytest.raises(Retry, match="paused"):
        domains.spawn(SERVER)


def test_power_off_from_every_state(domains: Domains, connection: Connection) -> None:
    domains.power_off(42)
    domains.spawn(SERVER)
    domains.power_off(42)
    domains.spawn(SERVER)
    with connection.use() as libvirtd:
        libvirtd.lookupByName("i-0000002a").destroy()
    domains.power_off(42)
    assert domains.power_states() == {}
    assert names(connection) == {"foreign"}


def test_foreign_domains_are_not_touched(domains: Domains, connection: Connection) -> None:
    domains.power_off(0)
    assert domains.power_states() == {}
    with connection.use() as libvirtd:
        assert libvirtd.lookupByName("foreign").isActive()


def test_uuid_of_a_foreign_domain_is_a_host_fault(domains: Domains, connection: Connection) -> None:
    with connection.use() as libvirtd:
        uuid = libvirtd.lookupByName("foreign").UUIDString()
    with pytest.raises(HostFault, match="not that of server 42"):
        domains.spawn(make_server(uuid=uuid))


def test_errors_of_libvirt_become_host_faults(connection: Connection) -> None:
    with pytest.raises(HostFault, match="libvirt:"), connection.use() as libvirtd:
        libvirtd.defineXML("<domain/>")


def test_listeners_hear_of_changes(connection: Connection, domains: Domains) -> None:
    told = threading.Event()
    connection.on_change(told.set)
    domains.power_states()
    assert told.wait(5)
    told.clear()
    domains.spawn(SERVER)
    assert told.wait(5)


def test_libvirtd_away_is_retried(tmp_path: Path) -> None:
    away = Connection(f"qemu+unix:///system?socket={tmp_path / 'none'}")
    for _ in range(2):
        with pytest.raises(Retry, match="libvirtd is away"), away.use():
            pass
