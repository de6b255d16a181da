"""Which of the hosts that fit is best: the one that keeps most room, by its tightest resource."""

import random
from collections.abc import Sequence

from db.queries.placement import Candidate, Needs


def room_after(host: Candidate, wanted: Needs) -> float:
    """Least share of memory, processors and disk still free with the server on the host, 0 to 1."""
    ram = (host.ram_mb - host.reserved_ram_mb) * host.ram_ratio
    vcpus = host.vcpus * host.vcpu_ratio
    disk = host.disk_gb * host.disk_ratio
    return min(
        1 - (host.used_ram_mb + wanted.ram_mb) / ram,
        1 - (host.used_vcpus + wanted.vcpus) / vcpus,
        1 - (host.used_disk_gb + wanted.disk_gb) / disk if disk else 1.0,
    )


def best_first(hosts: Sequence[Candidate], wanted: Needs) -> list[Candidate]:
    """Hosts by room, most first; equals in random order, so that simultaneous choices spread."""
    return sorted(hosts, key=lambda host: (room_after(host, wanted), random.random()), reverse=True)  # noqa: S311
