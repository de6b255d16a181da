"""Extensions: a table, since each is a fact about this code (R76, D61)."""

from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension as clients discover it (R77)."""

    alias: str
    name: str
    description: str
    namespace: str
    updated: str

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {
            "alias": self.alias,
            "description": self.description,
            "links": [],
            "name": self.name,
            "namespace": self.namespace,
            "updated": self.updated,
        }

    def xml(self, tag: str) -> Element:
        """Attributes, and the description as a child."""
        attributes = {
            "name": self.name,
            "namespace": self.namespace,
            "alias": self.alias,
            "updated": self.updated,
        }
        return compute(tag, attributes, compute.leaf("description", self.description))


_DOCS = "http://docs.openstack.org"
# The seven of R76, then what clients need beyond the reference (D61, D80).
SERVED = (
    Extension(
        "os-keypairs",
        "Keypairs",
        "Keypair Support",
        f"{_DOCS}/ext/keypairs/api/v1.1",
        "2011-08-08T00:00:00+00:00",
    ),
    Extension(
        "os-volumes",
        "Volumes",
        "Volumes support",
        f"{_DOCS}/ext/volumes/api/v1.1",
        "2011-03-25T00:00:00+00:00",
    ),
    Extension(
        "os-console-output",
        "Console_output",
        "Console log output support, with tailing ability.",
        f"{_DOCS}/compute/ext/os-console-output/api/v1.1",
        "2011-12-08T00:00:00+00:00",
    ),
    Extension(
        "security_groups",
        "SecurityGroups",
        "Security group support",
        f"{_DOCS}/ext/securitygroups/api/v1.1",
        "2011-07-21T00:00:00+00:00",
    ),
    Extension(
        "os-floating-ips",
        "Floating_ips",
        "Floating IPs support",
        f"{_DOCS}/ext/floating_ips/api/v1.1",
        "2011-06-16T00:00:00+00:00",
    ),
    Extension(
        "hp-bootable-volumes",
        "BootableVolumes",
        "Bootable volumes support",
        f"{_DOCS}/ext/bootable_volumes/api/v1.1",
        "2012-10-11T00:00:00+00:00",
    ),
    Extension(
        "hp-volume-backup",
        "VolumeBackup",
        "Volume backup support",
        f"{_DOCS}/ext/volume_backup/api/v1.1",
        "2012-09-03T00:00:00+00:00",
    ),
    Extension(
        "os-floating-ip-pools",
        "Floating_ip_pools",
        "Floating IPs support",
        f"{_DOCS}/compute/ext/floating_ip_pools/api/v1.1",
        "2012-01-04T00:00:00+00:00",
    ),
)
