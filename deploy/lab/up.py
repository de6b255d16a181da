"""``up``: from nothing, or from whatever a former run left, to a cloud with a first server."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from deploy.lab import (
    cgroups,
    cloud,
    controller,
    demo,
    fabric,
    files,
    host,
    names,
    pki,
    postgres,
    redis,
    settings_files,
)
from deploy.lab.controller import Shape
from deploy.lab.names import HostNames, Lab
from deploy.lab.operate import Operator
from deploy.lab.programs import LabError
from deploy.lab.progress import console, stage, wait

_READY_SECONDS = 60.0


def up(lab: Lab, shape: Shape, *, first_server: bool, debian: bool) -> None:
    """Bring the lab up. Raises LabError, and can be run again, whenever a stage fails."""
    hosts = lab.hosts(shape.real_hosts)
    with stage("Settings, certificates, database cluster"):
        prepare(lab, shape, hosts)
    with stage("Network"):
        fabric.up(lab, hosts)
    with stage("Postgres and Redis"):
        start_supervisor(lab)
        drop_hosts(lab, shape)
        wait_for_stores(lab)
    with ThreadPoolExecutor(1) as background, Operator(lab) as undercast:
        image = background.submit(cloud.build_image, lab)  # takes a processor for some seconds
        with stage("Schema"):
            postgres.make_database(lab)
            cloud.migrate(undercast)
        with stage("API, scheduler and hosts start"):
            start_programs(lab, shape, hosts)
        with stage("Tenant, user, flavors, network, pool"):
            client = cloud.furnish(lab, undercast)
        with stage("Test image"):
            cloud.register_image(undercast, image.result())
        if debian:
            with stage("Debian image (built from packages; the first time takes some minutes)"):
                cloud.register_debian(undercast, cloud.build_debian(lab))
        with stage(f"API at {lab.public_url}"):
            wait_for_api(lab)
        with stage(f"{shape.hosts} hosts are alive"):
            wait_for_hosts(lab, undercast, shape)
    openrc = cloud.write_openrc(lab, client)
    if first_server:
        demo.show_first_server(lab, client, hosts)
    console.print(f"\nThe API (compute and identity) listens at [bold]{lab.public_url}[/].")
    console.print(f"Client settings:     [bold]. {openrc}[/]")
    console.print(f"Operator's command:  [bold]{_prefix(lab)}deploy/undercast host list[/]")
    console.print(f"Stop all of it:      [bold]{_prefix(lab)}deploy/down[/]")


def prepare(lab: Lab, shape: Shape, hosts: list[HostNames]) -> None:
    """Write all files that processes start from."""
    chosen = settings_files.overrides()
    files.directory(names.BASE)
    files.directory(lab.state)
    files.directory(lab.run, 0o1770)
    shutil.chown(lab.run, "root", postgres.USER)  # who makes its socket there
    pki.authority(lab.pki, lab.name)
    pki.issue(lab.pki, lab.pki / "ctl", "ctl")
    files.directory(lab.state / "hosts")
    controller.prepare(lab, shape, chosen)
    for each in hosts:
        host.prepare(each, hosts, chosen)
    shape.keep(lab)


def start_supervisor(lab: Lab) -> set[str]:
    """Have the controller's supervisor run with the present configuration.

    Returns the names of the programs that it stopped or started because they changed.
    """
    client = controller.client(lab)
    if client.is_running():
        return client.update()
    controller.spawn(lab)
    wait(client.is_running, "the supervisor", seconds=_READY_SECONDS,
         log=lab.log / "supervisord.out")  # fmt: skip
    return set(client.states())


def drop_hosts(lab: Lab, shape: Shape) -> None:
    """Forget hosts that a larger lab had before; the supervisor has stopped them."""
    for name in fabric.namespaces(lab):
        place = name.removeprefix(f"{lab.name}-")
        if place.startswith("cmp") and lab.host_named(place).number > shape.real_hosts:
            cgroups.end(lab.host_named(place).cgroup)
            fabric.remove_host(lab.host_named(place))


def wait_for_stores(lab: Lab) -> None:
    """Wait for Postgres and Redis."""
    for name, ready in (("postgres", postgres.is_ready), ("redis", redis.is_ready)):
        controller.client(lab).start(name)
        log = lab.log / f"{name}.log"
        wait(lambda ready=ready: ready(lab), name, seconds=_READY_SECONDS, log=log)  # type: ignore[misc]


def start_programs(lab: Lab, shape: Shape, hosts: list[HostNames]) -> None:
    """Start what is not running; hosts that run take over changed settings and code."""
    client = controller.client(lab)
    running = client.pids()
    for name in [*(each.name for each in hosts), *controller.own_programs(shape)]:
        client.start(name)
    for each in hosts:
        if each.name in running and host.first_process(each) is not None:
            host.control(each).update()


def wait_for_api(lab: Lab) -> None:
    """Wait until the API answers."""

    def answers() -> bool:
        try:
            return httpx.get(f"{lab.public_url}/", timeout=5).status_code < 500
        except httpx.HTTPError:
            return False

    wait(answers, "the API", seconds=_READY_SECONDS, log=lab.log / "api.log")


def wait_for_hosts(lab: Lab, undercast: Operator, shape: Shape) -> None:
    """Wait until every program of every host runs, and the host has said that it is alive."""
    kind = "fake" if shape.fake_hosts else "cmp"
    expected = {f"{kind}{number}" for number in range(1, shape.hosts + 1)}
    missing: set[str] = set()

    def all_alive() -> bool:
        nonlocal missing
        off = {each.name for each in lab.hosts(shape.real_hosts) if not host.runs(each)}
        missing = off or expected - cloud.alive_hosts(undercast)
        return not missing

    try:
        wait(all_alive, "the hosts", seconds=_READY_SECONDS)
    except LabError:
        worst = min(missing)
        log = lab.log / "agent.log" if shape.fake_hosts else _telling_log(lab.host_named(worst))
        raise LabError(f"{', '.join(sorted(missing))}: no sign of life", log) from None


def _telling_log(this: HostNames) -> Path:
    """Log of the program of a silent host that most likely says why."""
    try:
        states = host.control(this).states()
    except LabError as error:
        return error.log or this.log / "supervisord.log"
    failing = [name for name, state in states.items() if state != "RUNNING"]
    return this.log / f"{(failing or ['agent'])[0]}.log"


def _prefix(lab: Lab) -> str:
    return "" if lab.name == names.DEFAULT else f"{names.VARIABLE}={lab.name} "
