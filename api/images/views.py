"""Images."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from api.wire.links import Links
from api.wire.metadata import metadata_element
from api.wire.view import timestamp
from api.wire.xml import Element, compute, links
from db.queries.images import ImageBrief, ImageDetail

SAMPLE = ImageDetail(
    id=34971, tenant_id=None, name="CentOS 5.8 Server 64-bit 20120828", kind="machine",
    status="ACTIVE", progress=100, min_disk_gb=0, min_ram_mb=0, kernel_id=None, ramdisk_id=None,
    source_server_uuid=None, created_at=datetime(2012, 9, 4, 16, 45, 17, tzinfo=UTC),
    updated_at=datetime(2012, 9, 4, 16, 45, 22, tzinfo=UTC),
    metadata={
        "architecture": "x86_64", "hp_image_builddate": "20120828",
        "hp_image_id": "e66bad1137c6d519fc5c6fb175e45b71", "hp_image_type": "disk",
        "hp_image_version": "20120828", "hp_md_version": "1", "image_location": "local",
        "image_state": "available",
    },
)  # fmt: skip
SNAPSHOT = replace(
    SAMPLE, id=40747, tenant_id="36991859863737", name="image-1",
    source_server_uuid="5ee06c1d-03ab-43f3-9b19-bb2b9a2d7b9c", metadata={"key-1": "value-1"},
)  # fmt: skip


def shown_metadata(image: ImageDetail) -> dict[str, Any]:
    """All items of an image, with what the record itself says (D43).

    On public images min_disk and min_ram are numbers and the owner is null; elsewhere all values
    are strings, so that what a client reads it may also send back (D54).
    """
    items: dict[str, Any] = dict(image.metadata or {})
    if image.tenant_id is None:
        record: dict[str, Any] = {
            "min_disk": image.min_disk_gb,
            "min_ram": image.min_ram_mb,
            "owner": None,
            "project_id": "None",
        }
    else:
        items = {key: str(value) for key, value in items.items()}
        record = {
            "min_disk": str(image.min_disk_gb),
            "min_ram": str(image.min_ram_mb),
            "owner": image.tenant_id,
        }
    for key, value in (("kernel_id", image.kernel_id), ("ramdisk_id", image.ramdisk_id)):
        if value is not None:
            record[key] = str(value)
    return {**items, **record}


def _progress(image: ImageDetail) -> int:
    """Percent: 100 for ACTIVE (D32), what is there already of one that is being made, else 0."""
    if image.status == "ACTIVE":
        return 100
    return image.progress if image.status == "SAVING" else 0


@dataclass(frozen=True, slots=True)
class ImageBriefView:
    """An image in the brief list."""

    image: ImageBrief
    links: Links

    def json(self) -> dict[str, Any]:
        """Members in JSON; the id is a string (D1)."""
        return {
            "id": str(self.image.id),
            "links": self.links.both("images", self.image.id),
            "name": self.image.name,
        }

    def xml(self, tag: str) -> Element:
        """Element with its links."""
        found = links(self.links.both("images", self.image.id))
        return compute(tag, {"id": self.image.id, "name": self.image.name}, *found)


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image, whole (R169)."""

    image: ImageDetail
    links: Links

    def json(self) -> dict[str, Any]:
        """Members in JSON; a snapshot also has its server (D43f)."""
        image = self.image
        members = {
            "created": timestamp(image.created_at),
            "id": str(image.id),
            "links": self.links.both("images", image.id),
            "metadata": shown_metadata(image),
            "name": image.name,
            "progress": _progress(image),
            "status": image.status,
            "updated": timestamp(image.updated_at),
        }
        if image.source_server_uuid is not None:
            uuid = image.source_server_uuid
            members["server"] = {"id": uuid, "links": self.links.both("servers", uuid)}
        return members

    def xml(self, tag: str) -> Element:
        """Element with server (of a snapshot), metadata and links."""
        members = self.json()
        attributes = {
            key: members[key] for key in ("created", "id", "name", "progress", "status", "updated")
        }
        server = members.get("server")
        children = [metadata_element("metadata", members["metadata"]), *links(members["links"])]
        if server is not None:
            children.insert(0, compute("server", {"id": server["id"]}, *links(server["links"])))
        return compute(tag, attributes, *children)
