"""The audit after every fault: what the database and the hosts hold is what the servers are."""

from __future__ import annotations

from tests.lab import Lab, eventually

SUMS = """
    SELECT h.name, h.used_vcpus, h.used_ram_mb, h.used_disk_gb,
           coalesce(sum(a.vcpus), 0) AS vcpus, coalesce(sum(a.ram_mb), 0) AS ram_mb,
           coalesce(sum(a.disk_gb), 0) AS disk_gb
    FROM hosts h LEFT JOIN allocations a ON a.host_id = h.id GROUP BY h.id
"""
LIVE_OPERATIONS = "SELECT id, kind, step, error FROM operations WHERE finished_at IS NULL"
HELD_BY_GONE = """
    SELECT s.id, 'allocation' AS what FROM allocations a JOIN servers s ON s.id = a.server_id
     WHERE s.deleted_at IS NOT NULL
    UNION ALL SELECT s.id, 'fixed address' FROM fixed_addresses f
     JOIN servers s ON s.id = f.server_id
     WHERE s.deleted_at IS NOT NULL OR s.host_id IS NULL
    UNION ALL SELECT s.id, 'public address' FROM public_addresses p
     JOIN servers s ON s.id = p.server_id WHERE s.deleted_at IS NOT NULL OR s.host_id IS NULL
    UNION ALL SELECT n.id, 'name' FROM server_names n
     WHERE NOT EXISTS (SELECT 1 FROM servers s WHERE s.name_id = n.id)
"""
UNFINISHED_IMAGES = "SELECT id FROM images WHERE status = 'SAVING' AND deleted_at IS NULL"
CHECKSUMS = "SELECT DISTINCT checksum FROM images WHERE status = 'ACTIVE' AND deleted_at IS NULL"
# A server in ERROR that has a host keeps what it has there, whole or not.
ON_HOST = """
    SELECT s.id, host(f.address) AS fixed, s.vm_state <> 'ERROR' AS whole
    FROM servers s JOIN hosts h ON h.id = s.host_id
    JOIN fixed_addresses f ON f.server_id = s.id
    WHERE h.name = :host AND s.deleted_at IS NULL
"""


def balance(lab: Lab) -> None:
    """Assert that the ledger balances, once nothing runs any more."""
    eventually(
        lambda: not lab.rows(LIVE_OPERATIONS), f"no live operation: {lab.rows(LIVE_OPERATIONS)}"
    )
    for row in lab.rows(SUMS):
        held = (row.used_vcpus, row.used_ram_mb, row.used_disk_gb)
        assert held == (row.vcpus, row.ram_mb, row.disk_gb), row
    assert lab.rows(HELD_BY_GONE) == []
    assert lab.rows(UNFINISHED_IMAGES) == []
    for row in lab.rows(CHECKSUMS):
        assert (lab.state / "images" / row.checksum).exists(), row
    for host in lab.hosts:
        on_host(lab, host)


def on_host(lab: Lab, host: str) -> None:
    """Assert that a host has what its servers need, and nothing else."""
    rows, found = lab.rows(ON_HOST, host=host), lab.inventory(host)
    some, all_ = {row.id for row in rows if row.whole}, {row.id for row in rows}
    for kind in ("domains", "taps", "rules", "chains", "directories"):
        assert some <= set(found[kind]) <= all_, (host, kind, found[kind], rows)
    assert set(found["limits"]) <= all_, (host, found["limits"], rows)
    some, all_ = {row.fixed for row in rows if row.whole}, {row.fixed for row in rows}
    assert some <= set(found["dhcp"]) <= all_, (host, found["dhcp"], rows)
    assert found["snapshots"] == [], host
