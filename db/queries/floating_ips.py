"""Floating addresses: what a tenant holds of the pools, and on which server each is (R223-R229).

A floating address is a row of ``public_addresses`` with a tenant; automatic ones have none, so they
are never found here (D41). Associations change under the tenant's lock only, and are taken away by
a server's end without it: the server's row is locked in either case, before the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db import quota
from db.queries import addresses
from db.queries.server_changes import lock_tenant
from db.queries.server_locks import Locked, lock_all, lock_for, touch
from db.scope import Scope

_COLUMNS = """
    SELECT p.id, host(p.address) AS address, p.server_id, host(f.address) AS fixed_address,
           o.name AS pool
    FROM public_addresses p JOIN public_pools o ON o.id = p.pool_id
    LEFT JOIN fixed_addresses f ON f.server_id = p.server_id
    WHERE o.zone_id = :zone_id AND p.tenant_id = :tenant_id
"""
_LIST = text(f"{_COLUMNS} ORDER BY p.id")
_FIND = text(f"{_COLUMNS} AND p.id = :id")
_POOLS = text("""
    SELECT name FROM public_pools WHERE zone_id = :zone_id ORDER BY name COLLATE "C"
""")
_COUNT = text("""
    SELECT count(*) FROM public_addresses p JOIN public_pools o ON o.id = p.pool_id
    WHERE o.zone_id = :zone_id AND p.tenant_id = :tenant_id
""")
_IN_ZONE = text("""
    SELECT p.id, p.server_id, coalesce(p.tenant_id = :tenant_id, false) AS own
    FROM public_addresses p JOIN public_pools o ON o.id = p.pool_id
    WHERE o.zone_id = :zone_id AND p.address = CAST(:address AS inet)
""")
_HAS_FIXED = text("SELECT EXISTS (SELECT 1 FROM fixed_addresses WHERE server_id = :server_id)")
_ASSOCIATE = text("""
    UPDATE public_addresses SET server_id = :server_id, associated_at = clock_timestamp()
    WHERE id = :id
""")
_DISASSOCIATE = text("""
    UPDATE public_addresses SET server_id = NULL, associated_at = NULL WHERE id = :id
""")
_RELEASE = text("""
    UPDATE public_addresses SET tenant_id = NULL, server_id = NULL, associated_at = NULL,
           released_at = clock_timestamp() WHERE id = :id
""")
_REFUSE = ("deleting",)  # tasks (D60)


class NotPossible(Exception):  # noqa: N818
    """Why a change cannot be: each subclass is one fault of the API. Nothing was changed."""


class UnknownPool(NotPossible):
    """The zone has no pool of that name."""


class NoneLeft(NotPossible):
    """No address is free."""


class UnknownAddress(NotPossible):
    """The address is in no pool of the zone."""


class NotAllocated(NotPossible):
    """The address is in a pool, and not the tenant's floating one."""


class NoFixedAddress(NotPossible):
    """The server has nothing yet that the address could be mapped to."""


class NotAssociated(NotPossible):
    """The address is not on the server, or not as a floating one (D41)."""


@dataclass(frozen=True, slots=True)
class FloatingRow:
    """A floating address and, once it is on a server, that server's fixed address."""

    id: int
    address: str
    server_id: int | None
    fixed_address: str | None
    pool: str


def _values(scope: Scope, **more: Any) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id, **more}


def list_all(conn: Connection, scope: Scope) -> list[FloatingRow]:
    """The tenant's floating addresses by id (D68)."""
    return [FloatingRow(*row) for row in conn.execute(_LIST, _values(scope))]


def find(conn: Connection, scope: Scope, floating_id: int) -> FloatingRow | None:
    """One of them; None when the scope has none such."""
    row = conn.execute(_FIND, _values(scope, id=floating_id)).first()
    return None if row is None else FloatingRow(*row)


def list_pools(conn: Connection, zone_id: int) -> list[str]:
    """Names of a zone's pools."""
    return list(conn.execute(_POOLS, {"zone_id": zone_id}).scalars())


def allocate(conn: Connection, scope: Scope, *, pool: str | None, quarantine: float) -> FloatingRow:
    """Give the tenant an address of a pool, of any when ``pool`` is None (R223).

    Raises UnknownPool, quota.QuotaExceeded or NoneLeft.
    """
    lock_tenant(conn, scope.tenant_id)
    if pool is not None and pool not in list_pools(conn, scope.zone_id):
        raise UnknownPool(pool)
    in_use = conn.execute(_COUNT, _values(scope)).scalar_one()
    quota.admit_one(conn, scope.tenant_id, scope.zone_id, "floating_ips", in_use)
    floating_id = addresses.claim_floating(
        conn, zone_id=scope.zone_id, tenant_id=scope.tenant_id, pool=pool, quarantine=quarantine
    )
    if floating_id is None:
        raise NoneLeft(pool or "")
    made = find(conn, scope, floating_id)
    assert made is not None
    return made


def release(conn: Connection, scope: Scope, floating_id: int) -> list[str] | None:
    """Take an address off its server, if it is on one, and off its tenant (D42).

    It rests before anybody gets it again. The hosts concerned, None when the scope has none such.
    """
    lock_tenant(conn, scope.tenant_id)
    found = find(conn, scope, floating_id)
    if found is None:
        return None
    servers = lock_all(conn, _ids(found.server_id))
    conn.execute(_RELEASE, {"id": floating_id})
    return _changed(conn, servers)


def associate(conn: Connection, scope: Scope, server_id: int, address: str) -> list[str]:
    """Put a floating address on a live server, from wherever it is (R226, D40).

    The hosts concerned: none when it is there already. Raises UnknownServer or NotNow as of
    :mod:`db.queries.server_locks`, UnknownAddress, NotAllocated or NoFixedAddress.
    """
    lock_tenant(conn, scope.tenant_id)
    found = conn.execute(_IN_ZONE, _values(scope, address=address)).first()
    before = _ids(found.server_id) if found is not None and found.own else ()
    servers = lock_all(conn, {server_id, *before})
    lock_for(conn, scope, server_id, "addFloatingIp", _REFUSE)
    if found is None:
        raise UnknownAddress(address)
    if not found.own:
        raise NotAllocated(address)
    if not conn.execute(_HAS_FIXED, {"server_id": server_id}).scalar_one():
        raise NoFixedAddress(str(server_id))
    if found.server_id == server_id:
        return []
    conn.execute(_ASSOCIATE, {"id": found.id, "server_id": server_id})
    return _changed(conn, servers)


def disassociate(conn: Connection, scope: Scope, server_id: int, address: str) -> list[str]:
    """Take a floating address off a live server (R227); the hosts concerned.

    Raises as :func:`associate` does, and NotAssociated.
    """
    lock_for(conn, scope, server_id, "removeFloatingIp", _REFUSE)
    found = conn.execute(_IN_ZONE, _values(scope, address=address)).first()
    if found is None:
        raise UnknownAddress(address)
    if not found.own or found.server_id != server_id:
        raise NotAssociated(address)
    conn.execute(_DISASSOCIATE, {"id": found.id})
    return _changed(conn, lock_all(conn, [server_id]))


def _ids(server_id: int | None) -> tuple[int, ...]:
    return () if server_id is None else (server_id,)


def _changed(conn: Connection, servers: Sequence[Locked]) -> list[str]:
    """Mark servers as changed; the hosts that they are on."""
    touch(conn, [server.id for server in servers])
    return sorted({server.host for server in servers if server.host is not None})
