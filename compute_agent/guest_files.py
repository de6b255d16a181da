"""What is put into a guest before it boots (wire notes 5.4 and 5.5). Pure: a record in, files out.

A client's path is one inside the guest: ``..`` stays below its root (D55). Later files win over
earlier ones of the same path, the client's own over those that the service makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from db.wanted import WantedServer

META = "/meta.js"
KEYS = "/root/.ssh/authorized_keys"
_KEY_TITLE = "# The following ssh key was injected by Nova"  # as the images of the time expect


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file of a guest, owned by its root."""

    path: str  # absolute and normal
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Injected:
    """What was put into a guest, and what was not, with the reason. Never a reason to fail."""

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    place: str = "into the guest"

    def told(self, message: str) -> str:
        """``message`` with the report behind it, for the timeline."""
        parts = [message]
        if self.done:
            parts.append(f"put {self.place}: {', '.join(self.done)}")
        if self.failed:
            parts.append(f"not put {self.place}: {', '.join(self.failed)}")
        return "; ".join(parts)

    @property
    def level(self) -> str:
        """Level of that message."""
        return "warning" if self.failed else "info"


def key_text(public_key: str) -> bytes:
    """What is appended to a file of authorized keys."""
    return f"\n{_KEY_TITLE}\n{public_key.strip()}\n".encode()


def meta_js(server: WantedServer) -> bytes:
    """The server's metadata as a JSON object."""
    return orjson.dumps(server.metadata)


def personality(server: WantedServer) -> list[GuestFile]:
    """The client's own files, each path once."""
    files = {normal(file.path): file.data for file in server.files}
    return [GuestFile(path, data) for path, data in files.items()]


def root_files(server: WantedServer, keys: bytes) -> list[GuestFile]:
    """Files for the root file system of a server without a configuration drive.

    ``keys`` are the authorized keys that root has already.
    """
    files = {}
    if server.public_key:
        files[KEYS] = GuestFile(KEYS, keys + key_text(server.public_key), 0o600)
    if server.metadata:
        files[META] = GuestFile(META, meta_js(server))
    files.update({file.path: file for file in personality(server)})
    return list(files.values())


def goes_to_root(server: WantedServer) -> bool:
    """Whether anything has to be put on the root disk."""
    if server.config_drive or server.windows:
        return False
    return bool(server.public_key or server.metadata or server.files)


def normal(path: str) -> str:
    """The path inside the guest's root that a client's path means."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
