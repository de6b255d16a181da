"""Rate limits that a tenant has for itself in a zone (R66); the others are the settings'."""

from __future__ import annotations

from sqlalchemy import Connection, text

_OWN = text("SELECT name, value FROM rate_limits WHERE tenant_id = :t AND zone_id = :z")
_SET = text("""
    INSERT INTO rate_limits (tenant_id, zone_id, name, value) VALUES (:t, :z, :name, :value)
    ON CONFLICT (tenant_id, zone_id, name) DO UPDATE SET value = excluded.value
""")
_RESET = text("""
    DELETE FROM rate_limits WHERE tenant_id = :t AND zone_id = :z
    AND name = coalesce(CAST(:name AS text), name)
""")


def own(conn: Connection, tenant_id: str, zone_id: int) -> dict[str, int]:
    """Requests per unit by name of the rate; -1 is unlimited."""
    rows = conn.execute(_OWN, {"t": tenant_id, "z": zone_id})
    return {row.name: row.value for row in rows}


def set_value(conn: Connection, tenant_id: str, zone_id: int, name: str, value: int) -> None:
    """Give a tenant a value of its own; -1 is unlimited. Acts on the next request."""
    conn.execute(_SET, {"t": tenant_id, "z": zone_id, "name": name, "value": value})


def reset(conn: Connection, tenant_id: str, zone_id: int, name: str | None = None) -> None:
    """The settings' value again, of one rate or of all."""
    conn.execute(_RESET, {"t": tenant_id, "z": zone_id, "name": name})
