"""Who asks, and where: the (tenant, zone) that every query of a client's resource takes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Tenancy is decided by passing this on, and nowhere else."""

    tenant_id: str
    zone_id: int
    user_id: str
    request_id: str = ""
