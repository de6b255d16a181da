"""Versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute, links

DOCUMENTS = (
    (
        "application/pdf",
        "http://docs.rackspacecloud.com/servers/api/v1.1/cs-devguide-20110125.pdf",
    ),
    (
        "application/vnd.sun.wadl+xml",
        "http://docs.rackspacecloud.com/servers/api/v1.1/application.wadl",
    ),
)
MEDIA_TYPES = tuple(
    (f"application/{form}", f"application/vnd.openstack.compute-v1.1+{form}")
    for form in ("xml", "json")
)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the compute API; ``path`` is its first path segment."""

    id: str
    path: str
    status: str
    updated: str


CURRENT = Version("v1.1", "v1.1", "CURRENT", "2011-01-21T11:33:21Z")
DEPRECATED = Version("v1.0", "v1.0", "DEPRECATED", "2010-10-09T11:30:00Z")
SUPPORTED = Version("v2.0", "v2", "SUPPORTED", "2011-01-21T11:33:21Z")


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version, whole: the version document (R5, R6)."""

    version: Version
    base: str

    def brief(self) -> dict[str, Any]:
        """Members in the list of versions (D21)."""
        link = {"href": f"{self.base}/{self.version.path}/", "rel": "self"}
        return {
            "id": self.version.id,
            "status": self.version.status,
            "updated": self.version.updated,
            "links": [link],
        }

    def json(self) -> dict[str, Any]:
        """Members of the document."""
        brief = self.brief()
        documents = [{"href": href, "rel": "describedby", "type": kind} for kind, href in DOCUMENTS]
        media = [{"base": base, "type": kind} for base, kind in MEDIA_TYPES]
        return {**brief, "links": brief["links"] + documents, "media-types": media}

    def xml(self, tag: str) -> Element:
        """The document's element."""
        members = self.json()
        media = [compute("media-type", kind) for kind in members["media-types"]]
        return compute(
            tag, _attributes(members), compute("media-types", None, *media),
            *links(members["links"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class VersionList:
    """The versions, in brief."""

    versions: Sequence[VersionView]

    def json(self) -> dict[str, Any]:
        """Body of GET /."""
        return {"versions": [version.brief() for version in self.versions]}

    def xml(self) -> Element:
        """The same with an element a version."""
        briefs = [version.brief() for version in self.versions]
        shown = [compute("version", _attributes(b), *links(b["links"])) for b in briefs]
        return compute("versions", None, *shown)


def _attributes(members: dict[str, Any]) -> dict[str, Any]:
    return {key: members[key] for key in ("id", "status", "updated")}
