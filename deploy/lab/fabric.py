"""The lab's network: namespaces, and three switches between them.

Management (192.168.50.0/24), flat (no addresses: it joins the hosts' guest bridges) and public
(15.185.0.0/16). Every cable is a veth pair born in the two namespaces that it joins: nothing of the
lab is ever seen in the root namespace.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from deploy.lab import names
from deploy.lab.names import HostNames, Lab
from deploy.lab.programs import LabError, attempt, run

_BRIDGE_CALLS = ("iptables", "ip6tables", "arptables")


@dataclass(frozen=True, slots=True)
class Cable:
    """An interface of a place, and the switch that it is plugged into."""

    place: str
    interface: str
    switch: str  # "mgmt", "flat" or "pub"
    address: str | None = None  # with prefix length

    @property
    def port(self) -> str:
        """Name of the other end, at the switch."""
        return f"p-{self.place}-{self.switch}"


def cables(hosts: list[HostNames]) -> list[Cable]:
    """All cables of a lab with these hosts."""
    mgmt, public = names.MANAGEMENT_PREFIX, names.PUBLIC_PREFIX
    found = [
        Cable("ctl", "eth0", "mgmt", f"{names.CONTROLLER_ADDRESS}/{mgmt}"),
        Cable("out", "eth0", "pub", f"{names.OUTSIDE_ADDRESS}/{public}"),
    ]
    for host in hosts:
        found += [
            Cable(host.name, "eth0", "mgmt", f"{host.management_address}/{mgmt}"),
            Cable(host.name, "eth1", "flat"),
            Cable(host.name, "eth2", "pub", f"{host.public_address}/{public}"),
        ]
    return found


def up(lab: Lab, hosts: list[HostNames]) -> None:
    """Make the network of a lab with these hosts; what is there stays as it is."""
    _load_bridge_filter()
    places = ["fab", "ctl", "out", *(host.name for host in hosts)]
    there = mounted()
    for place in places:
        if lab.namespace(place) not in there:
            _make_namespace(lab.namespace(place))
    _switches(lab.namespace("fab"))
    links = {place: _links(lab.namespace(place)) for place in places}
    for cable in cables(hosts):
        _plug(lab, cable, cable.interface in links[cable.place], cable.port in links["fab"])
    for host in hosts:
        run("ip", "-n", host.namespace, "route", "replace", "default", "via", names.OUTSIDE_ADDRESS)


def down(lab: Lab) -> None:
    """Remove the lab's namespaces, and with them all that is in them."""
    for namespace in namespaces(lab):
        run("ip", "netns", "delete", namespace)
    for path in names.NETNS.glob(f"{lab.name}-*"):  # files that a stopped run left unmounted
        if lab.owns_namespace(path.name):
            path.unlink()
    if str(names.NETNS) in _mount_points() and not any(names.NETNS.iterdir()):
        run("umount", names.NETNS)  # "ip" mounts it with the first namespace of the machine


def remove_host(host: HostNames) -> None:
    """Remove the namespace of a host that the lab no longer has."""
    if host.namespace in mounted():
        run("ip", "netns", "delete", host.namespace)


def namespaces(lab: Lab) -> list[str]:
    """The lab's namespaces that exist."""
    return sorted(name for name in mounted() if lab.owns_namespace(name))


def mounted() -> set[str]:
    """Network namespaces of the machine. A file that nothing is mounted on is none."""
    prefix = f"{names.NETNS}/"
    return {point.removeprefix(prefix) for point in _mount_points() if point.startswith(prefix)}


def processes(namespace: str) -> set[int]:
    """Ids of the processes in a network namespace."""
    return {int(pid) for pid in run("ip", "netns", "pids", namespace).split()}


def _mount_points() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _load_bridge_filter() -> None:
    """Bridges must be able to show frames to iptables; a module on most machines."""
    calls = Path("/proc/sys/net/bridge")
    if not calls.exists():
        attempt("modprobe", "br_netfilter")
    if not calls.exists():
        raise LabError("the kernel has no br_netfilter, which guests' firewalls need")


def _make_namespace(namespace: str) -> None:
    (names.NETNS / namespace).unlink(missing_ok=True)  # left over from before a restart
    run("ip", "netns", "add", namespace)
    run("ip", "netns", "exec", namespace, "sysctl", "-qw",
        "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")  # fmt: skip
    run("ip", "-n", namespace, "link", "set", "lo", "up")


def _switches(fabric: str) -> None:
    """The switches are dumb: no frame that crosses them meets iptables."""
    there = _links(fabric)
    for switch in ("mgmt", "flat", "pub"):
        if switch not in there:
            run("ip", "-n", fabric, "link", "add", switch, "type", "bridge",
                "stp_state", "0", "forward_delay", "0")  # fmt: skip
        run("ip", "-n", fabric, "link", "set", switch, "up")
    settings = [f"net.bridge.bridge-nf-call-{name}=0" for name in _BRIDGE_CALLS]
    run("ip", "netns", "exec", fabric, "sysctl", "-qw", *settings)


def _plug(lab: Lab, cable: Cable, has_interface: bool, has_port: bool) -> None:
    """Make one cable and switch it on. A cable whose one end was lost is made anew."""
    place, fabric = lab.namespace(cable.place), lab.namespace("fab")
    if has_port and not has_interface:
        run("ip", "-n", fabric, "link", "delete", cable.port)
    if not has_interface:
        run("ip", "link", "add", "name", cable.interface, "netns", place,
            "type", "veth", "peer", "name", cable.port, "netns", fabric)  # fmt: skip
    run("ip", "-n", fabric, "link", "set", cable.port, "master", cable.switch, "up")
    if cable.address is not None:
        run("ip", "-n", place, "address", "replace", cable.address, "broadcast", "+",
            "dev", cable.interface)  # fmt: skip
    run("ip", "-n", place, "link", "set", cable.interface, "up")


def _links(namespace: str) -> set[str]:
    """Names of a namespace's interfaces."""
    return {link["ifname"] for link in json.loads(run("ip", "-n", namespace, "-j", "link"))}
