"""Files that a client puts into its guest: personality (R186-R191)."""

from __future__ import annotations

from collections.abc import Sequence

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
