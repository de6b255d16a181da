"""``server.json``: what a host keeps about a server to serve its guest without the control plane.

The file holds the record that came from the database (``wanted``) beside the few facts that the
host chose itself (``host``). It is replaced by rename, so that a reader, such as the metadata
service, sees the old one or the new one, never a part. It holds the tenant's metadata: root alone
may read it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

from compute_agent.disks.places import (
    make_passable,
    publish,
    server_directory,
    servers_directory,
)
from db.wanted import WantedServer

FILE = "server.json"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """Contents of one ``server.json``."""

    wanted: WantedServer
    metadata_port: int  # TCP port of the metadata service for this server alone


def path_of(server_id: int) -> Path:
    """Where the server's record is, if it has one."""
    return server_directory(server_id) / FILE


def read(server_id: int) -> ServerRecord | None:
    """The server's record; None when it is missing or cannot be understood.

    What cannot be understood counts as missing, because the record is made again from the database.
    """
    try:
        data = orjson.loads(path_of(server_id).read_bytes())
        return ServerRecord(WantedServer.from_json(data["wanted"]), **data["host"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


Stamp: TypeAlias = tuple[int, int, int]


def stamp(server_id: int) -> Stamp | None:
    """What is another one whenever the record was replaced; None without a record."""
    try:
        status = path_of(server_id).stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def write(record: ServerRecord) -> None:
    """Make ``record`` the server's record, also through a power failure."""
    host = asdict(record)
    del host["wanted"]
    final = make_passable(server_directory(record.wanted.id)) / FILE
    new = final.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps({"wanted": record.wanted.to_json(), "host": host}))
    publish(new, final)
    _tell()


def remove(server_id: int) -> None:
    """The server has no record. Its directory goes too if nothing else is in it."""
    for path in (path_of(server_id), path_of(server_id).with_suffix(".new")):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # disks are in it, or there is none
        server_directory(server_id).rmdir()
    _tell()


def changed() -> int:
    """A number that is another one after every :func:`write` and :func:`remove`."""
    try:
        return servers_directory().stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _tell() -> None:
    """Make :func:`changed` change: one ``stat`` tells a reader that there is something to read."""
    now = time.time_ns()  # the kernel's own stamps are too coarse to tell two changes apart
    with contextlib.suppress(FileNotFoundError):  # no server was ever here
        os.utime(servers_directory(), ns=(now, now))


def ids() -> set[int]:
    """Ids of the servers that have a directory here, with or without a record."""
    try:
        return {
            int(entry.name) for entry in os.scandir(servers_directory()) if entry.name.isdigit()
        }
    except FileNotFoundError:
        return set()


def records() -> Iterator[ServerRecord]:
    """Records of all servers here."""
    for server_id in sorted(ids()):
        record = read(server_id)
        if record is not None:
            yield record
