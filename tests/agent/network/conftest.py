"""One host of namespaces for all network tests of a module; every test begins without guests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.agent.network.fabric import Fabric
from tests.agent.network.world import World


@pytest.fixture(scope="module")
def built_world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces: root only")
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(monkeypatch)
        try:
            world.prepare()
            world.start_units()
            yield world
        finally:
            world.close()


@pytest.fixture
def world(built_world: World) -> Iterator[World]:
    built_world.prepare()
    yield built_world
    built_world.remove_guests()


@pytest.fixture(scope="module")
def built_fabric() -> Iterator[Fabric]:
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces: root only")
    with pytest.MonkeyPatch.context() as monkeypatch:
        fabric = Fabric(monkeypatch)
        try:
            for host in fabric.hosts:
                host.prepare()
                host.start_units()
            yield fabric
        finally:
            fabric.close()


@pytest.fixture
def fabric(built_fabric: Fabric) -> Iterator[Fabric]:
    for host in built_fabric.hosts:
        host.prepare()
    yield built_fabric
    for host in built_fabric.hosts:
        host.remove_guests()
