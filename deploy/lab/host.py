"""A compute host: one set of namespaces, booted and pulled like a machine.

Network, mount, UTS, IPC, cgroup and process namespaces of its own. Its first process is a
supervisor that runs virtlogd, libvirtd, the agent, the metadata service and DHCP; killing that
process is pulling the plug, and the controller's supervisor boots the host again. What must survive
a boot lies in the host's directory; /run, /tmp and /dev are new at every boot.

Of ``/var/lib/undercast`` a host sees its own directory and nothing else of the lab, and its
``state`` also as ``/var/lib/undercast/compute``: the same path on every host, as migration needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from deploy.lab import cgroups, environment, files, libvirt, settings_files, supervisor
from deploy.lab.names import CONTROLLER_ADDRESS, PYTHON, HostNames
from deploy.lab.programs import LabError

INSIDE = Path("/run/host")  # the host's directory as the host sees it
CONTROL = Path("/run/supervisor.sock")
SUPERVISORD_CONF = "supervisord.conf"


def prepare(host: HostNames, neighbours: list[HostNames], chosen: settings_files.Values) -> None:
    """Write all files that the host needs to boot."""
    files.directory(host.directory)
    files.directory(host.state)
    files.directory(host.log, 0o700)
    libvirt.configure(host, int(settings_files.value("console_bytes", chosen)))
    settings_files.write(host.directory / "undercast.toml", settings_files.host(host, chosen))
    names = [(CONTROLLER_ADDRESS, "ctl"), *((h.management_address, h.name) for h in neighbours)]
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in names)]
    _rewrite(host.directory / "etc-hosts", "\n".join(lines) + "\n")
    files.write(host.directory / SUPERVISORD_CONF, supervisord_conf(host), mode=0o600)


def supervisord_conf(host: HostNames) -> str:
    """Configuration of the host's first process."""
    settings = host.directory / "undercast.toml"
    etc = host.directory / "libvirt" / "etc"
    ours = {
        "UNDERCAST_CONFIG": str(INSIDE / settings.name),
        "VERSION": environment.version(settings),
    }
    libvirtd = ["/usr/sbin/libvirtd", "--listen", "--pid-file", "/run/libvirtd.pid"]
    programs = [
        supervisor.Program(
            "virtlogd", ["/usr/sbin/virtlogd", "--pid-file", "/run/virtlogd.pid"],
            INSIDE / "log" / "virtlogd.log", priority=5,
        ),
        supervisor.Program(
            "libvirtd", libvirtd, INSIDE / "log" / "libvirtd.log", priority=10,
            environment={
                "VERSION": environment.file_version(etc / "libvirtd.conf", etc / "qemu.conf")
            },
            stop_group=False,  # guests go on while libvirtd restarts
        ),
    ]  # fmt: skip
    programs += [
        supervisor.Program(
            name, [str(PYTHON), "-m", module], INSIDE / "log" / f"{name}.log",
            priority=20, environment=ours,
        )
        for name, module in (
            ("agent", "compute_agent"),
            ("metadata", "compute_agent.metadata"),
            ("dhcp", "compute_agent.dhcp"),
        )
    ]  # fmt: skip
    return supervisor.render(
        programs,
        control=CONTROL,
        pid_file=Path("/run/supervisord.pid"),
        log=INSIDE / "log" / "supervisord.log",
    )


def boot(host: HostNames) -> None:
    """Become the host: replaces this process, and ends when the host's first process does."""
    cgroups.end(host.cgroup)  # what a pulled plug left
    cgroups.join(host.cgroup)
    namespaces = ["-m", "-u", "-i", "-p", "-C", "--propagation", "private"]
    os.execve(  # noqa: S606 - no shell is meant
        "/usr/sbin/ip",
        [
            "ip", "netns", "exec", host.namespace,
            "unshare", *namespaces, "--fork", "--kill-child",
            str(PYTHON), "-m", "deploy.lab", "init", host.name,
        ],
        environment.clean(host.lab),
    )  # fmt: skip


def first_process(host: HostNames) -> int | None:
    """Process id, outside, of the host's first process; None while it is not up."""
    for pid in cgroups.members(host.cgroup):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        inside = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        if len(inside) > 1 and inside[-1] == "1":
            return pid
    return None


def enter(host: HostNames, argv: list[str]) -> list[str]:
    """Command that runs ``argv`` in all namespaces of a host. Raises LabError when it is off."""
    pid = first_process(host)
    if pid is None:
        raise LabError(f"{host.name} is not running", host.lab.log / f"{host.name}.log")
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", *argv]


def control(host: HostNames) -> supervisor.Client:
    """The supervisor of a running host. Raises LabError when the host is off."""
    pid = first_process(host)
    if pid is None:
        raise LabError(f"{host.name} is not running", host.lab.log / f"{host.name}.log")
    return supervisor.Client(Path(f"/proc/{pid}/root{CONTROL}"))


def runs(host: HostNames) -> bool:
    """Whether the host is up, with all its programs running."""
    try:
        return set(control(host).states().values()) == {"RUNNING"}
    except LabError:
        return False


def _rewrite(path: Path, text: str) -> None:
    """Change a file in place: running hosts have it mounted by its inode."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
