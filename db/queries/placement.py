"""Where a server may go: candidate hosts, their claims, and why none fits.

Each filter is one named SQL condition on a host; the candidates are the hosts that meet all. The
claim repeats the capacity filters in its UPDATE, so that it is right under concurrency and after an
operator shrank the host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger

_RAM_FITS = "used_ram_mb + :ram_mb <= (ram_mb - reserved_ram_mb) * ram_ratio"
_VCPU_FITS = "used_vcpus + :vcpus <= vcpus * vcpu_ratio"
_DISK_FITS = "used_disk_gb + :disk_gb <= disk_gb * disk_ratio"

FILTERS = {
    "zone": "zone_id = :zone_id",
    "enabled": "enabled",
    "alive": """EXISTS (SELECT 1 FROM host_heartbeats b WHERE b.host_id = h.id
                AND b.at > clock_timestamp() - make_interval(secs => :silent))""",
    "ram": _RAM_FITS,
    "vcpu": _VCPU_FITS,
    "disk": _DISK_FITS,
    "tried": "NOT (h.id = ANY(:excluded))",
}
_EXCLUDED = bindparam("excluded", type_=ARRAY(BigInteger))

_CANDIDATES = text(f"""
    SELECT id, name, vcpus, ram_mb, disk_gb, used_vcpus, used_ram_mb, used_disk_gb,
           vcpu_ratio, ram_ratio, disk_ratio, reserved_ram_mb
    FROM hosts h WHERE {" AND ".join(FILTERS.values())}
""").bindparams(_EXCLUDED)

# Counts fall through the filters in their order: a host counts where it is first refused.
_REFUSALS = text(f"""
    SELECT refused, count(*) AS hosts FROM (
        SELECT CASE {" ".join(f"WHEN NOT ({c}) THEN '{name}'" for name, c in FILTERS.items())}
               ELSE 'none' END AS refused FROM hosts h) AS filtered
    GROUP BY refused
""").bindparams(_EXCLUDED)

_CLAIM = text(f"""
    UPDATE hosts SET used_vcpus = used_vcpus + :vcpus, used_ram_mb = used_ram_mb + :ram_mb,
           used_disk_gb = used_disk_gb + :disk_gb
    WHERE id = :host_id AND enabled AND {_RAM_FITS} AND {_VCPU_FITS} AND {_DISK_FITS}
      AND used_ram_mb = coalesce(:seen_ram_mb, used_ram_mb)
    RETURNING id
""")
_ALLOCATE = text("""
    INSERT INTO allocations (server_id, host_id, vcpus, ram_mb, disk_gb)
    VALUES (:server_id, :host_id, :vcpus, :ram_mb, :disk_gb)
""")
_RELEASE = text("""
    WITH gone AS (DELETE FROM allocations WHERE server_id = :server_id RETURNING *)
    UPDATE hosts h SET used_vcpus = h.used_vcpus - g.vcpus, used_ram_mb = h.used_ram_mb - g.ram_mb,
           used_disk_gb = h.used_disk_gb - g.disk_gb
    FROM gone g WHERE h.id = g.host_id
""")
_HELD = text("SELECT host_id, disk_gb FROM allocations WHERE server_id = :server_id")
_RESIZE_HOST = text(f"""
    UPDATE hosts SET used_disk_gb = used_disk_gb + :disk_gb
    WHERE id = :host_id AND (:disk_gb < 0 OR {_DISK_FITS}) RETURNING id
""")
_RESIZE = text("""
    UPDATE allocations SET disk_gb = disk_gb + :disk_gb WHERE server_id = :server_id
""")
_NEEDS = text("""
    SELECT s.id AS server_id, s.uuid::text AS uuid, s.zone_id, s.vcpus, s.ram_mb, s.host_id,
           s.disk_gb + greatest(s.root_gb, (i.virtual_size + 1073741823) / 1073741824) AS disk_gb
    FROM servers s JOIN images i ON i.id = s.image_id WHERE s.id = :id FOR UPDATE OF s
""")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a server takes of a host; disk in GB, root and ephemeral together."""

    server_id: int
    uuid: str
    zone_id: int
    vcpus: int
    ram_mb: int
    host_id: int | None
    disk_gb: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host on which a server fits now."""

    id: int
    name: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    used_vcpus: int
    used_ram_mb: int
    used_disk_gb: int
    vcpu_ratio: float
    ram_ratio: float
    disk_ratio: float
    reserved_ram_mb: int


def needs(conn: Connection, server_id: int) -> Needs:
    """What the server takes; its row is locked, as hosts come after it. Raises NoResultFound."""
    return Needs(*conn.execute(_NEEDS, {"id": server_id}).one())


def _values(wanted: Needs, excluded: Collection[int], silent: float) -> dict[str, Any]:
    return {
        "zone_id": wanted.zone_id,
        "vcpus": wanted.vcpus,
        "ram_mb": wanted.ram_mb,
        "disk_gb": wanted.disk_gb,
        "excluded": list(excluded),
        "silent": silent,
    }


def candidates(
    conn: Connection, wanted: Needs, *, excluded: Collection[int], silent: float
) -> list[Candidate]:
    """Hosts that meet every filter; ``silent`` is the age in seconds of a heartbeat too old."""
    rows = conn.execute(_CANDIDATES, _values(wanted, excluded, silent))
    return [Candidate(*row) for row in rows]


def refusals(
    conn: Connection, wanted: Needs, *, excluded: Collection[int], silent: float
) -> dict[str, int]:
    """Number of hosts by the first filter that refuses them."""
    rows = conn.execute(_REFUSALS, _values(wanted, excluded, silent))
    return {row.refused: row.hosts for row in rows if row.refused != "none"}


def claim(conn: Connection, wanted: Needs, host_id: int, *, seen_ram_mb: int | None = None) -> bool:
    """Take a server's share of a host; False when it does not fit any more.

    ``seen_ram_mb``: also False when others claimed of the host since it was seen with that much
    memory used, so that who chose it for its room may choose again.
    """
    values = {
        "seen_ram_mb": seen_ram_mb,
        "server_id": wanted.server_id,
        "host_id": host_id,
        "vcpus": wanted.vcpus,
        "ram_mb": wanted.ram_mb,
        "disk_gb": wanted.disk_gb,
    }
    with conn.begin_nested() as attempt:
        if conn.execute(_CLAIM, values).first() is None:
            attempt.rollback()  # or a host that it waited for in vain stayed locked
            return False
        conn.execute(_ALLOCATE, values)
    return True


def release(conn: Connection, server_id: int) -> None:
    """Give back a server's share of its host. Runs twice without harm."""
    conn.execute(_RELEASE, {"server_id": server_id})


def make_room(conn: Connection, wanted: Needs) -> bool:
    """The claim covers the disks that the server needs; False when its host has no room for them.

    What it needs less is kept until :func:`settle`, because its old disks are still there.
    """
    held = conn.execute(_HELD, {"server_id": wanted.server_id}).one()
    return wanted.disk_gb <= held.disk_gb or _resize(conn, wanted, held.host_id, held.disk_gb)


def settle(conn: Connection, server_id: int) -> None:
    """The claim is what the server needs, once :func:`make_room` made it enough."""
    held = conn.execute(_HELD, {"server_id": server_id}).first()
    if held is not None:
        _resize(conn, needs(conn, server_id), held.host_id, held.disk_gb)


def _resize(conn: Connection, wanted: Needs, host_id: int, held: int) -> bool:
    """Change the disk of a claim, in both places."""
    values = {
        "server_id": wanted.server_id,
        "host_id": host_id,
        "disk_gb": wanted.disk_gb - held,
    }
    if conn.execute(_RESIZE_HOST, values).first() is None:
        return False
    conn.execute(_RESIZE, values)
    return True
