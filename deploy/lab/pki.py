"""The lab's own certificate authority: who may speak to a host's libvirtd.

The controller has a client certificate, every host one certificate for both sides (hosts migrate
guests to each other). The CA's key never leaves the controller's ``pki`` directory.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.lab import files

LIFE = datetime.timedelta(days=3650)
_BACKDATED = datetime.timedelta(days=1)  # clocks differ
_USES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


def authority(directory: Path, lab: str) -> None:
    """Make the CA in ``directory`` (``ca-key.pem``, ``cacert.pem``) unless it is there."""
    files.directory(directory, 0o700)
    key_file, certificate_file = directory / "ca-key.pem", directory / "cacert.pem"
    if certificate_file.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Undercast lab {lab}")
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.write(key_file, _pem(key), mode=0o600)
    files.write(certificate_file, _text(certificate))


def issue(authority: Path, target: Path, name: str, *addresses: str) -> None:
    """Put a certificate for ``name`` into ``target``, in the files that libvirt looks for.

    ``cacert.pem``, ``clientcert.pem`` and ``clientkey.pem``; with ``addresses``, at which a server
    is reached, ``servercert.pem`` and ``serverkey.pem`` too. Does nothing when they are there.
    """
    files.directory(target, 0o700)
    roles = ["client", "server"] if addresses else ["client"]
    ca_text = (authority / "cacert.pem").read_text()
    complete = all((target / f"{role}cert.pem").exists() for role in roles)
    if complete and (target / "cacert.pem").read_text() == ca_text:
        return
    ca = x509.load_pem_x509_certificate(ca_text.encode())
    ca_key = _load_key(authority / "ca-key.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(name), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USES[: len(roles)]), critical=False)
    )
    if addresses:
        where = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), *where]), critical=False
        )
    certificate = builder.sign(ca_key, hashes.SHA256())
    files.write(target / "cacert.pem", ca_text)
    for role in roles:
        files.write(target / f"{role}key.pem", _pem(key), mode=0o600)
        files.write(target / f"{role}cert.pem", _text(certificate))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFE)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=ca, crl_sign=ca, content_commitment=False,
        key_encipherment=not ca, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic curve key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
