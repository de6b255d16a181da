"""What a host's libvirt lets in, and how the lab is wired."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deploy.lab import fabric, libvirt, pki
from deploy.lab.names import Lab

LAB = Lab("unit")


def values(text: str) -> dict[str, str]:
    lines = (line.partition(" = ") for line in text.splitlines())
    return {key: value.strip('"') for key, _, value in lines}


def test_libvirtd_listens_with_tls_on_the_management_address_only() -> None:
    conf = values(libvirt.libvirtd_conf(LAB.host(2)))
    assert conf["listen_tcp"] == "0"
    assert conf["listen_tls"] == "1"
    assert conf["listen_addr"] == "192.168.50.12"
    assert conf["tls_no_verify_certificate"] == "0"
    assert conf["unix_sock_rw_perms"] == "0700"


def test_qemu_is_not_root_and_consoles_have_a_password() -> None:
    conf = values(libvirt.qemu_conf(LAB.host(2), "secret12"))
    assert conf["user"] == conf["group"] == "libvirt-qemu"
    assert conf["dynamic_ownership"] == "0"
    assert conf["vnc_listen"] == "192.168.50.12"
    assert conf["vnc_password"] == "secret12"


def test_security_row_27_consoles_are_kept_within_what_clients_may_read() -> None:
    assert values(libvirt.qemu_conf(LAB.host(2), "secret12"))["stdio_handler"] == "logd"
    conf = values(libvirt.virtlogd_conf(65536))
    assert (conf["max_size"], conf["max_backups"]) == ("65536", "1")


def test_hosts_tell_themselves_apart_at_every_boot() -> None:
    uuids = {libvirt.host_uuid(lab.host(n)) for lab in (LAB, Lab("other")) for n in (1, 2)}
    assert len(uuids) == 4
    assert libvirt.host_uuid(LAB.host(1)) == libvirt.host_uuid(Lab("unit").host(1))


def test_authority_issues_what_libvirt_looks_for_once(tmp_path: Path) -> None:
    authority, host, client = (tmp_path / name for name in ("ca", "host", "client"))
    pki.authority(authority, "unit")
    pki.issue(authority, host, "cmp1", "192.168.50.11")
    pki.issue(authority, client, "ctl")
    ca = x509.load_pem_x509_certificate((authority / "cacert.pem").read_bytes())
    server = x509.load_pem_x509_certificate((host / "servercert.pem").read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cmp1"]
    own = x509.load_pem_x509_certificate((client / "clientcert.pem").read_bytes())
    uses = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not (client / "servercert.pem").exists()
    before = (host / "serverkey.pem").read_bytes()
    assert (host / "serverkey.pem").stat().st_mode & 0o777 == 0o600
    pki.issue(authority, host, "cmp1", "192.168.50.11")
    assert (host / "serverkey.pem").read_bytes() == before


def test_new_authority_replaces_what_the_old_one_issued(tmp_path: Path) -> None:
    old, new, host = (tmp_path / name for name in ("old", "new", "host"))
    for authority in (old, new):
        pki.authority(authority, "unit")
        pki.issue(authority, host, "cmp1", "192.168.50.11")
    ca = x509.load_pem_x509_certificate((new / "cacert.pem").read_bytes())
    x509.load_pem_x509_certificate(
        (host / "servercert.pem").read_bytes()
    ).verify_directly_issued_by(ca)


def test_cables_have_names_that_the_kernel_takes() -> None:
    cables = fabric.cables(LAB.hosts(200))
    ports = [cable.port for cable in cables]
    assert len(ports) == len(set(ports)) == 602
    assert max(map(len, ports)) <= 15
    assert all(cable.address is None for cable in cables if cable.switch == "flat")
