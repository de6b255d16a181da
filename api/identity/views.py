"""Access with its service catalog, tenants, the version document (R17-R19, wire-notes 4)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.identity.service import Access
from api.wire.faults import identity
from api.wire.view import timestamp
from api.wire.xml import Element, links
from db.queries.identity import RoleRow, TenantRow, UserRow, ZoneRow
from db.settings import settings

SERVICE_ID = "120"  # of the identity service, in roles
_VERSION = {"versionId": "id", "versionInfo": "info", "versionList": "list"}  # in JSON, in XML


def public_url() -> str:
    """Base URL of the identity service."""
    return settings().public_url.rstrip("/")


def base_url(zone: ZoneRow | None, public_url: str) -> str:
    """Base URL of compute in a zone; identity's when it has none of its own."""
    configured = zone.compute_url if zone else None
    return (configured or public_url).rstrip("/")


def compute_url(zone: ZoneRow | None, public_url: str, tenant_id: str) -> str:
    """URL of a tenant's compute service in a zone (R18)."""
    return f"{base_url(zone, public_url)}/v1.1/{tenant_id}"


@dataclass(frozen=True, slots=True)
class AccessView:
    """A token and its user; with a ``catalog`` also where the services are."""

    access: Access
    public_url: str
    catalog: bool = True

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        access = self.access
        token: dict[str, Any] = {"id": access.token, "expires": milliseconds(access.expires)}
        tenant_id = None
        if access.tenant is not None:
            tenant_id = access.tenant.id
            token["tenant"] = {"id": tenant_id, "name": access.tenant.name}
        roles = [
            {"id": role.id, "serviceId": SERVICE_ID, "name": role.name, "tenantId": tenant_id}
            for role in access.roles
        ]
        user = {"id": access.user.id, "name": access.user.name, "roles": roles}
        shown = {"token": token, "user": user}
        return {**shown, "serviceCatalog": self._catalog()} if self.catalog else shown

    def xml(self, tag: str) -> Element:
        """The same members as elements with attributes."""
        members = self.json()
        token, user = dict(members["token"]), dict(members["user"])
        tenant = token.pop("tenant", None)
        scope = [identity("tenant", tenant)] if tenant else []
        roles = [identity("role", role) for role in user.pop("roles")]
        made = identity(
            tag,
            None,
            identity("token", token, *scope),
            identity("user", user, identity("roles", None, *roles)),
        )
        if self.catalog:
            services = map(_service, members["serviceCatalog"])
            made.append(identity("serviceCatalog", None, *services))
        return made

    def _catalog(self) -> list[dict[str, Any]]:
        """Compute, block storage and images, one endpoint a zone, when scoped; identity always.

        The image service is a look-up only (D74, decisions/005).
        """
        catalog: list[dict[str, Any]] = []
        if self.access.tenant is not None:
            tenant_id = self.access.tenant.id
            endpoints = [self._endpoint(zone, tenant_id) for zone in self.access.zones]
            catalog.append({"name": "Compute", "type": "compute", "endpoints": endpoints})
            catalog.append({"name": "Block Storage", "type": "volume", "endpoints": endpoints})
            looked_up = [self._image_endpoint(zone, tenant_id) for zone in self.access.zones]
            catalog.append({"name": "Image", "type": "image", "endpoints": looked_up})
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
        base = base_url(zone, self.public_url)
        return {
            "publicURL": compute_url(zone, self.public_url, tenant_id),
            "publicURL2": f"{base}/services/Cloud",
            "region": zone.name,
            "tenantId": tenant_id,
            "versionId": "1.1",
            "versionInfo": f"{base}/v1.1/",
            "versionList": base,
        }

    def _image_endpoint(self, zone: ZoneRow, tenant_id: str) -> dict[str, Any]:
        """Where the nova command looks images up: clients append ``/v2/images`` (decisions/005)."""
        url = f"{base_url(zone, self.public_url)}/image/{tenant_id}"
        return {
            "publicURL": url,
            "region": zone.name,
            "tenantId": tenant_id,
            "versionId": "2.0",
            "versionInfo": f"{url}/v2/",
            "versionList": url,
        }


def _service(service: dict[str, Any]) -> Element:
    """A service with its endpoints, each with its version as a child."""
    endpoints = []
    for endpoint in service["endpoints"]:
        plain = {name: value for name, value in endpoint.items() if name not in _VERSION}
        version = {tag: endpoint[name] for name, tag in _VERSION.items()}
        endpoints.append(identity("endpoint", plain, identity("version", version)))
    return identity("service", {"type": service["type"], "name": service["name"]}, *endpoints)


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
        """Id, name and whether it is enabled as attributes, the description as a child."""
        tenant = self.tenant
        attributes = {"id": tenant.id, "name": tenant.name, "enabled": str(tenant.enabled).lower()}
        return identity(tag, attributes, identity.leaf("description", tenant.description))


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


def milliseconds(at: datetime) -> str:
    """A time with milliseconds, as HP's tokens have it."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


_AT = datetime(2012, 11, 28, 12, tzinfo=UTC)
#: For the OpenAPI document.
SAMPLE_TENANT = TenantRow(
    "14541255461800", "HR Tenant Services", "", enabled=True, created_at=_AT, updated_at=_AT
)
SAMPLE = Access(
    "HPAuth_" + "0" * 64,
    _AT,
    UserRow("30744378952176", "arunkant", "", enabled=True),
    SAMPLE_TENANT,
    [RoleRow("00000000004025", "sysadmin")],
    [ZoneRow(1, "az-1.region-a.geo-1", "https://az-1.region-a.geo-1.compute.example")],
)
