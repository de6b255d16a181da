"""A server's part of the network: plugged, unplugged, and whether it is.

Order matters twice. The rules are there before the tap is, though a tap without rules passes
nothing anyway. And when a server goes, its record goes last, because it names the addresses that
are still to be cleaned.
"""

from __future__ import annotations

import socket
import time
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from compute_agent import dhcp, serverdir
from compute_agent.errors import Fatal, HostFault, Retry, StepError
from compute_agent.network import bandwidth, connections, groups, state
from compute_agent.network.announce import announce, remind, soon_again
from compute_agent.network.host import MAC, disable_ipv6, interfaces, prepare_network
from compute_agent.network.lock import lock
from compute_agent.network.names import JUDGED_MARK, METADATA_PORTS, tap_of
from compute_agent.network.plan import Observed, Plan, to_plug, to_unplug
from compute_agent.network.rules import Interfaces, transaction
from compute_agent.process import run
from compute_agent.serverdir import ServerRecord
from db import log
from db.operations import faults
from db.settings import settings
from db.wanted import MOST_RXTX_CAP, WantedNetwork, WantedServer

METADATA_WAIT_SECONDS = 10.0  # for the metadata service to open a new server's port
_MOST_IDS = JUDGED_MARK  # a packet's mark has room for that many beside its own meanings

_begun: set[Path] = set()  # state directories of hosts that this process has prepared
_logger = log.logger(__name__)


def prepare_host(network: WantedNetwork) -> None:
    """The host is gateway, firewall and DHCP server of ``network``; whatever was lost is back."""
    with lock:
        prepare_network(network)
        dhcp.serve(network)
        if settings().state_dir not in _begun:
            own = {r.wanted.fixed_address: r.wanted.public_addresses for r in serverdir.records()}
            connections.end_stale(network.cidr, own)
            _begun.add(settings().state_dir)


def plug(server: WantedServer) -> None:
    """The server's tap, rules, addresses, lease and metadata are in force, as the database has it.

    Raises Retry while the metadata service does not answer for the server, HostFault when the
    kernel refuses, Fatal when the record holds values that are unfit.
    """
    keep_plugged(server)
    _await_metadata(server)


def keep_plugged(server: WantedServer) -> None:
    """As :func:`plug`, whether the metadata service answers or not."""
    _plug(server)
    with lock:
        remind(interfaces().public, server.public_addresses)


def _plug(server: WantedServer) -> None:
    """As :func:`keep_plugged`, for a record that may be out of date."""
    _check(server)
    with lock:
        nics = interfaces()
        port = _keep_record(server).metadata_port
        seen = _observe(server.id, server.rxtx_cap, nics)
        if not (seen.firewall.complete and state.exists(nics.bridge)):
            prepare_host(server.network)
            groups.restore()
            seen = _observe(server.id, server.rxtx_cap, nics)
        groups.yield_address(server.fixed_address, server.id)
        _apply(to_plug(server, port, seen, nics), server.id)
        dhcp.offer(server)


def plugged(server: WantedServer) -> bool:
    """Whether :func:`plug` would change nothing."""
    with lock:
        record = serverdir.read(server.id)
        if record is None or record.wanted != server:
            return False
        nics = interfaces()
        seen = _observe(server.id, server.rxtx_cap, nics)
        return (
            seen.firewall.complete
            and not to_plug(server, record.metadata_port, seen, nics)
            and dhcp.granted(server)
        )


def unplug(server_id: int) -> None:
    """Nothing of the server is in the host's network, whatever was there and whatever was lost."""
    with lock:
        nics = interfaces()
        record = serverdir.read(server_id)
        dhcp.forget(server_id)
        wanted = None if record is None else record.wanted
        _apply(to_unplug(server_id, wanted, _observe(server_id, 0, nics), nics), server_id)
        groups.forget(server_id)
        serverdir.remove(server_id)


def local_ids() -> set[int]:
    """Ids of the servers of which anything is in this host's network."""
    with lock:
        routed = {route.server_id for route in state.routes()}
        ruled = state.firewall().servers() | groups.known_servers()
        return state.owners() | ruled | routed | dhcp.lease_ids()


def restore() -> None:
    """What the records on disk say is in force again, without the database.

    The servers that are here get in what was allowed last. One failing server stops no other.
    """
    with lock:
        records = list(serverdir.records())
        if not records:
            return
        prepare_host(records[0].wanted.network)
        groups.restore()
    for record in records:
        try:
            _plug(record.wanted)
        except StepError as error:
            _logger.warning("not restored", server=record.wanted.id, error=str(error))


def _check(server: WantedServer) -> None:
    """Raise Fatal unless the server's values can stand in rules and commands as they are."""
    if not 0 < server.id < _MOST_IDS:
        raise Fatal(f"server id {server.id} does not fit a packet's mark")
    if not MAC.fullmatch(server.mac.lower()):
        raise Fatal(f"server {server.id}: {server.mac!r} is no MAC")
    if not 0 <= server.rxtx_cap <= MOST_RXTX_CAP:
        raise Fatal(f"server {server.id}: {server.rxtx_cap} Mbit/s is no limit of bandwidth")
    try:
        fixed = IPv4Address(server.fixed_address)
        inside = fixed in IPv4Network(server.network.cidr)
        for address in server.public_addresses:
            IPv4Address(address)
    except ValueError as error:
        raise Fatal(f"server {server.id}: {error}") from None
    if not inside:
        raise Fatal(f"server {server.id}: {fixed} is not in {server.network.cidr}")
    dhcp.check(server)


def _keep_record(server: WantedServer) -> ServerRecord:
    """The server's record is on disk, with the port that it had or a free one."""
    old = serverdir.read(server.id)
    record = ServerRecord(server, old.metadata_port if old else _free_port(server.id))
    if record != old:
        serverdir.write(record)
    return record


def _free_port(server_id: int) -> int:
    """A port that no other server here has; by choice the same one again for the same id."""
    taken = {r.metadata_port for r in serverdir.records() if r.wanted.id != server_id}
    for offset in range(len(METADATA_PORTS)):
        port = METADATA_PORTS[(server_id + offset) % len(METADATA_PORTS)]
        if port not in taken:
            return port
    raise HostFault("no port is left for another server's metadata")


def _observe(server_id: int, megabits: int, nics: Interfaces) -> Observed:
    tap = tap_of(server_id)
    return Observed(
        firewall=state.firewall(),
        routes=state.routes(),
        proxied=state.proxied(nics.public) if state.exists(nics.public) else frozenset(),
        tap_exists=state.exists(tap),
        tap_plugged=state.is_plugged(tap, nics.bridge),
        limits=bandwidth.observe(server_id, megabits),
    )


def _apply(plan: Plan, server_id: int) -> None:
    """Make the plan true; a plan that is stopped half way is made again from what is left."""
    if plan.remove or plan.add:
        rules = transaction(plan.remove, plan.add)
        run(["nft", "-f", "-"], timeout=state.TIMEOUT, input=rules)
        faults.stop_here("network", "rules", "after")
    if plan.make_tap:
        _make_tap(tap_of(server_id))
    if plan.links:
        batch = "".join(f"{line}\n" for line in plan.links)
        run(["ip", "-batch", "-"], timeout=state.TIMEOUT, input=batch)
        faults.stop_here("network", "links", "after")
    bandwidth.apply(plan.limit)
    connections.cut(fixed=plan.cut_fixed, lost=plan.cut_lost, gained=plan.cut_gained)
    if plan.announce:
        public = interfaces().public
        announce(public, plan.announce)
        soon_again(partial(_announce_again, public, plan.announce))


def _announce_again(interface: str, addresses: frozenset[str]) -> None:
    """Those that are still here are announced; under the lock none is given up meanwhile."""
    with lock:
        announce(interface, addresses & {route.address for route in state.routes()})


def _make_tap(tap: str) -> None:
    """A tap that stays without anyone holding it, and that qemu opens without being root."""
    user = settings().libvirt_user
    made = ["ip", "tuntap", "add", "dev", tap, "mode", "tap", "user", user, "vnet_hdr"]
    run(made, timeout=state.TIMEOUT)
    disable_ipv6(tap)  # or the host would greet the guest with router solicitations


def _await_metadata(server: WantedServer) -> None:
    """Return as soon as the metadata service listens for the server."""
    record = serverdir.read(server.id)
    if record is None:
        raise Retry(f"the record of server {server.id} is gone")
    gateway, port = server.network.gateway, record.metadata_port
    deadline = time.monotonic() + METADATA_WAIT_SECONDS
    while True:
        try:
            socket.create_connection((gateway, port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Retry(f"metadata service does not answer on port {port}: {error}") from None
            time.sleep(0.01)
        else:
            return
