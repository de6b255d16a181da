"""Configuration of a host's libvirtd and of the qemu that it starts.

- Root alone speaks to it on the host; from elsewhere it takes TLS with a certificate of the lab's
  CA, on the management address only. There is no plain TCP.
- qemu runs as ``libvirt-qemu`` and libvirt changes no owner of a file: the agent makes files that
  qemu may open, and nothing else on the host becomes qemu's.
- No default network: bridges are the agent's business.
- What guests print goes through virtlogd, which keeps no more of it than clients may read, and a
  former file of the same size (decisions/006).
"""

from __future__ import annotations

import uuid
from pathlib import Path

from deploy.lab import cgroups, files, pki
from deploy.lab.names import HostNames

QEMU_USER = "libvirt-qemu"
PKI = Path("/etc/libvirt/pki")  # as the host sees it
_NAMESPACE = uuid.UUID("8a0e6f3c-5a7e-4c56-9a5e-2f2d8c1b9d10")
_SUBDIRECTORIES = ("etc", "lib", "log", "cache")


def configure(host: HostNames, console_bytes: int) -> bool:
    """Write the host's libvirt files; returns whether a running libvirtd must start anew."""
    base = host.directory / "libvirt"
    for name in _SUBDIRECTORIES:
        files.directory(base / name)
    files.directory(base / "log" / "qemu")
    pki.issue(host.lab.pki, base / "etc" / "pki", host.name, host.management_address)
    password = files.secret(host.lab.state / "secrets" / f"vnc-{host.name}")
    changed = [
        files.write(base / "etc" / "libvirtd.conf", libvirtd_conf(host), mode=0o600),
        files.write(base / "etc" / "qemu.conf", qemu_conf(host, password[:8]), mode=0o600),
    ]
    files.write(base / "etc" / "virtlogd.conf", virtlogd_conf(console_bytes), mode=0o600)
    return any(changed)


def libvirtd_conf(host: HostNames) -> str:
    """Text of libvirtd.conf."""
    return f"""\
listen_tls = 1
listen_tcp = 0
listen_addr = "{host.management_address}"
tls_port = "16514"
ca_file = "{PKI}/cacert.pem"
cert_file = "{PKI}/servercert.pem"
key_file = "{PKI}/serverkey.pem"
tls_no_verify_certificate = 0
auth_tls = "none"  # beyond the client's certificate
unix_sock_group = "root"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
unix_sock_admin_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host_uuid(host)}"
log_outputs = "2:stderr"
ovs_timeout = 1
"""


def qemu_conf(host: HostNames, vnc_password: str) -> str:
    """Text of qemu.conf. ``vnc_password`` guards consoles for which no other was set."""
    controllers = ", ".join(f'"{name}"' for name in _controllers())
    return f"""\
user = "{QEMU_USER}"
group = "{QEMU_USER}"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "logd"
cgroup_controllers = [ {controllers} ]
vnc_listen = "{host.management_address}"
vnc_password = "{vnc_password}"
migration_address = "{host.management_address}"
migration_host = "{host.management_address}"
"""


def virtlogd_conf(console_bytes: int) -> str:
    """Text of virtlogd.conf. It is read when the host boots."""
    return f"""\
log_outputs = "2:stderr"
max_clients = 10000
max_size = {console_bytes}
max_backups = 1
"""


def host_uuid(host: HostNames) -> str:
    """A host's own id, the same at every boot: libvirt refuses to migrate between equal ones."""
    return str(uuid.uuid5(_NAMESPACE, f"{host.lab.name}/{host.name}"))


def _controllers() -> tuple[str, ...]:
    """Names of the controllers for libvirt; v2 accounts processor time in ``cpu``."""
    v1 = ("cpu", "cpuacct", "cpuset", "memory")
    return ("cpu", "cpuset", "memory") if cgroups.is_v2() else v1
