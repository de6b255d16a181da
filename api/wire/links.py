"""Links in answers (R33-R36, D34, D76)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """Maker of a tenant's links: base URL of the zone, and the prefix that the request came by."""

    base: str
    prefix: str
    tenant_id: str

    def url(self, collection: str, item: object) -> str:
        """Absolute URL of an item."""
        return f"{self.base}/{self.prefix}/{self.tenant_id}/{collection}/{item}"

    def bookmark(self, collection: str, item: object) -> dict[str, str]:
        """Link without the version."""
        return {
            "href": f"{self.base}/{self.tenant_id}/{collection}/{item}",
            "rel": "bookmark",
        }

    def both(self, collection: str, item: object) -> list[dict[str, str]]:
        """Self link and bookmark (R33)."""
        return [
            {"href": self.url(collection, item), "rel": "self"},
            self.bookmark(collection, item),
        ]
