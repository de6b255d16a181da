"""Actions on servers of a lab, and what follows of them."""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import Connection

from db.queries import image_changes, server_actions
from db.queries.server_actions import NewSnapshot, Rebuild
from db.scope import Scope
from tests.lab import Client, Lab, eventually

TIME = {"deadline_seconds": 300.0}


def _scope(lab: Lab, client: Client) -> Scope:
    (zone,) = lab.rows("SELECT id FROM zones")
    (user,) = lab.rows("SELECT id FROM users WHERE name = :n", n=lab.openrc["USERNAME"])
    return Scope(client.tenant, zone.id, user.id, "req-tests")


def _do(lab: Lab, ask: Any) -> Any:
    with lab.engine.execution_options(isolation_level="READ COMMITTED").begin() as conn:
        return ask(conn)


def reboot(lab: Lab, client: Client, server_id: int) -> None:
    """Reboot a server."""
    scope = _scope(lab, client)
    _do(lab, lambda conn: server_actions.request_reboot(conn, scope, server_id, **TIME))


def rebuild(lab: Lab, client: Client, server_id: int, *, image: int, **more: Any) -> None:
    """Rebuild a server from an image."""
    scope = _scope(lab, client)
    wanted = Rebuild(image, **more)
    _do(lab, lambda conn: server_actions.request_rebuild(conn, scope, server_id, wanted, **TIME))


def create_image(lab: Lab, client: Client, server_id: int, name: str) -> int:
    """Begin an image of a server; the image's id."""
    scope = _scope(lab, client)

    def ask(conn: Connection) -> int:
        new = NewSnapshot(name, "http://lab")
        made = server_actions.request_create_image(conn, scope, server_id, new, **TIME)
        assert made is not None
        return made.image_id

    return int(_do(lab, ask))


def delete_image(lab: Lab, client: Client, image_id: int) -> None:
    """Delete an image of the tenant's."""
    scope = _scope(lab, client)
    assert _do(lab, lambda conn: image_changes.delete(conn, scope, image_id))


def image_settled(client: Client, image_id: int) -> dict[str, Any]:
    """Wait until an image is not SAVING any more, and return it."""

    def look() -> dict[str, Any] | None:
        image: dict[str, Any] = client.http.get(f"/images/{image_id}").json()["image"]
        return None if image["status"] == "SAVING" else image

    return eventually(look, f"image {image_id} settles")


def console(lab: Lab, client: Client, server_id: int) -> bytes:
    """What the guest wrote to its console, as the API reads it."""
    scope = _scope(lab, client)
    place = _do(lab, lambda conn: server_actions.console_place(conn, scope, server_id))
    program = (
        "import asyncio; from api.servers.console import console_of;"
        f"print(asyncio.run(console_of({place.host_address!r}, {server_id})).hex())"
    )
    config = f"UNDERCAST_CONFIG={lab.state / 'undercast.toml'}"
    return bytes.fromhex(lab.beside("ctl", "env", config, sys.executable, "-c", program))
