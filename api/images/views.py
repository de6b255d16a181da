"""Images."""

from dataclasses import dataclass
from typing import Any

from api.wire.links import Links
from api.wire.metadata import metadata_element
from api.wire.view import timestamp
from api.wire.xml import Element, compute, links
from db.queries.images import ImageBrief, ImageDetail


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

    def metadata(self) -> dict[str, Any]:
        """All items, with what the record itself says (D43).

        On public images min_disk and min_ram are numbers and the owner is null; elsewhere all
        values are strings.
        """
        image = self.image
        if image.tenant_id is None:
            record: dict[str, Any] = {
                "min_disk": image.min_disk_gb,
                "min_ram": image.min_ram_mb,
                "owner": None,
                "project_id": "None",
            }
        else:
            record = {
                "min_disk": str(image.min_disk_gb),
                "min_ram": str(image.min_ram_mb),
                "owner": image.tenant_id,
            }
        for key, value in (("kernel_id", image.kernel_id), ("ramdisk_id", image.ramdisk_id)):
            if value is not None:
                record[key] = str(value)
        return {**(image.metadata or {}), **record}

    def json(self) -> dict[str, Any]:
        """Members in JSON; a snapshot also has its server (D43f)."""
        image = self.image
        members = {
            "created": timestamp(image.created_at),
            "id": str(image.id),
            "links": self.links.both("images", image.id),
            "metadata": self.metadata(),
            "name": image.name,
            "progress": 100 if image.status == "ACTIVE" else 0,  # D32
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
