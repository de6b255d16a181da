"""Access with its service catalog, tenants, the version document (R17-R19, wire-notes 4)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.identity.service import Access
from api.wire.faults import identity
from api.wire.view import timestamp
from api.wire.xml import Element, links
from db.queries.identity import TenantRow, ZoneRow

SERVICE_ID = "120"  # of the identity service, in roles


@dataclass(frozen=True, slots=True)
class AccessView:
    """A token, its user, and where the services are. ``public_url``: of identity."""

    access: Access
    public_url: str

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        access = self.access
        token: dict[str, Any] = {"id": access.token, "expires": _milliseconds(access.expires)}
        if access.tenant is not None:
            token["tenant"] = {"id": access.tenant.id, "name": access.tenant.name}
        roles = [
            {
                "id": role.id,
                "serviceId": SERVICE_ID,
                "name": role.name,
                "tenantId": access.tenant.id if access.tenant else None,
            }
            for role in access.roles
        ]
        return {
            "token": token,
            "user": {"id": access.user.id, "name": access.user.name, "roles": roles},
            "serviceCatalog": self._catalog(),
        }

    def xml(self, tag: str) -> Element:
        """The same members as elements with attributes."""
        members = self.json()
        token, user = dict(members["token"]), dict(members["user"])
        tenant = token.pop("tenant", None)
        scope = [identity("tenant", tenant)] if tenant else []
        roles = [identity("role", role) for role in user.pop("roles")]
        services = [
            identity(
                "service",
                {"type": found["type"], "name": found["name"]},
                *[identity("endpoint", endpoint) for endpoint in found["endpoints"]],
            )
            for found in members["serviceCatalog"]
        ]
        return identity(
            tag,
            None,
            identity("token", token, *scope),
            identity("user", user, identity("roles", None, *roles)),
            identity("serviceCatalog", None, *services),
        )

    def _catalog(self) -> list[dict[str, Any]]:
        """Compute and block storage, one endpoint a zone, when scoped; identity always (D74)."""
        catalog: list[dict[str, Any]] = []
        if self.access.tenant is not None:
            tenant_id = self.access.tenant.id
            endpoints = [self._endpoint(zone, tenant_id) for zone in self.access.zones]
            catalog.append({"name": "Compute", "type": "compute", "endpoints": endpoints})
            catalog.append({"name": "Block Storage", "type": "volume", "endpoints": endpoints})
        url = f"{self.public_url}/v2.0/"
        identity = {
            "publicURL": url,
            "versionId": "2.0",
            "versionInfo": url,
            "versionList": f"{self.public_url}/",
        }
        regional = [{**identity, "region": zone.name} for zone in self.access.zones]
        catalog.append(
            {"name": "Identity", "type": "identity", "endpoints": regional or [identity]}
        )
        return catalog

    def _endpoint(self, zone: ZoneRow, tenant_id: str) -> dict[str, Any]:
        """A zone's endpoint (R18)."""
        base = (zone.compute_url or self.public_url).rstrip("/")
        return {
            "publicURL": f"{base}/v1.1/{tenant_id}",
            "publicURL2": f"{base}/services/Cloud",
            "region": zone.name,
            "tenantId": tenant_id,
            "versionId": "1.1",
            "versionInfo": f"{base}/v1.1/",
            "versionList": base,
        }


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant of the token's user."""

    tenant: TenantRow

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        tenant = self.tenant
        return {
            "id": tenant.id,
            "name": tenant.name,
            "description": tenant.description,
            "enabled": tenant.enabled,
            "created": timestamp(tenant.created_at),
            "updated": timestamp(tenant.updated_at),
        }

    def xml(self, tag: str) -> Element:
        """Attributes, and the description as a child."""
        members = self.json()
        members["enabled"] = str(members["enabled"]).lower()
        description = members.pop("description")
        return identity(tag, members, identity.leaf("description", description))


@dataclass(frozen=True, slots=True)
class VersionView:
    """The identity service's version document."""

    public_url: str

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {
            "id": "v2.0",
            "status": "stable",
            "updated": "2011-11-19T00:00:00Z",
            "links": [{"href": f"{self.public_url}/v2.0/", "rel": "self"}],
            "media-types": [
                {
                    "base": f"application/{form}",
                    "type": f"application/vnd.openstack.identity-v2.0+{form}",
                }
                for form in ("json", "xml")
            ],
        }

    def xml(self, tag: str) -> Element:
        """The document's element."""
        members = self.json()
        media = [identity("media-type", kind) for kind in members.pop("media-types")]
        found = links(members.pop("links"))
        return identity(tag, members, identity("media-types", None, *media), *found)


def _milliseconds(at: datetime) -> str:
    """A time with milliseconds, as HP's tokens have it."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
