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
     WHERE s.deleted_at IS NOT NULL OR s.vm_state = 'ERROR'
    UNION ALL SELECT s.id, 'public address' FROM public_addresses p
     JOIN servers s ON s.id = p.server_id WHERE s.deleted_at IS NOT NULL OR s.vm_state = 'ERROR'
    UNION ALL SELECT n.id, 'name' FROM server_names n
     WHERE NOT EXISTS (SELECT 1 FROM servers s WHERE s.name_id = n.id)
"""
ON_HOST = """
    SELECT s.id, host(f.address) AS fixed FROM servers s JOIN hosts h ON h.id = s.host_id
    JOIN fixed_addresses f ON f.server_id = s.id
    WHERE h.name = :host AND s.deleted_at IS NULL AND s.vm_state <> 'ERROR'
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
    for host in lab.hosts:
        wanted = lab.rows(ON_HOST, host=host)
        ids, found = sorted(row.id for row in wanted), lab.inventory(host)
        for kind in ("domains", "taps", "rules", "directories"):
            assert found[kind] == ids, (host, kind, found[kind], ids)
        assert found["dhcp"] == sorted(row.fixed for row in wanted), host
