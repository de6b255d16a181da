"""Where DHCP's files are. Only what dnsmasq needs after it gave up root is open to others."""

from pathlib import Path

from db.settings import settings


def directory() -> Path:
    """Directory of all that concerns DHCP."""
    return settings().state_dir / "dhcp"


def configuration() -> Path:
    """The configuration of dnsmasq."""
    return directory() / "dnsmasq.conf"


def hosts() -> Path:
    """Directory of the leases, one file per server."""
    return directory() / "hosts"


def pid_file() -> Path:
    """Where dnsmasq writes its process id."""
    return directory() / "dnsmasq.pid"


def make() -> None:
    """The directories are there; dnsmasq can read the leases."""
    settings().state_dir.mkdir(parents=True, exist_ok=True)
    for path in (directory(), hosts()):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
