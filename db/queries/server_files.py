"""What a client puts into a guest at its birth: user data and personality (R186-R191, R202)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA

Files = tuple[tuple[str, bytes], ...]  # path and contents of each, in the client's order

_ADD = text("""
    INSERT INTO server_files (server_id, position, path, contents)
    SELECT s.id, f.position, f.path, f.contents FROM unnest(CAST(:ids AS bigint[])) AS s(id)
    CROSS JOIN unnest(CAST(:paths AS text[]), :contents)
         WITH ORDINALITY AS f(path, contents, position)
""").bindparams(bindparam("contents", type_=ARRAY(BYTEA)))
_DROP = text("DELETE FROM server_files WHERE server_id = :id")
_USER_DATA = text("SELECT user_data FROM servers WHERE id = :id")
_FILES = text("SELECT path, contents FROM server_files WHERE server_id = :id ORDER BY position")


@dataclass(frozen=True, slots=True)
class GuestData:
    """Decoded user data, None without, and files in the client's order."""

    user_data: bytes | None
    files: Files


def add(conn: Connection, server_ids: Sequence[int], files: Files) -> None:
    """Keep the files of new servers."""
    if files:
        paths, contents = zip(*files, strict=True)
        values = {"ids": list(server_ids), "paths": list(paths), "contents": list(contents)}
        conn.execute(_ADD, values)


def replace(conn: Connection, server_id: int, files: Files) -> None:
    """The server has these files and no others (R152)."""
    conn.execute(_DROP, {"id": server_id})
    add(conn, [server_id], files)


def find(conn: Connection, server_id: int) -> GuestData:
    """What is to be put into the server's guest. Raises NoResultFound without such a server."""
    user_data = conn.execute(_USER_DATA, {"id": server_id}).scalar_one()
    rows = conn.execute(_FILES, {"id": server_id})
    return GuestData(user_data, tuple((row.path, row.contents) for row in rows))
