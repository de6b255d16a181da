"""Actions on servers of a lab, and what follows of them."""

from __future__ import annotations

from typing import Any

from tests.lab import Client, eventually


def act(client: Client, server_id: int, body: dict[str, Any], status: int = 202) -> Any:
    """POST an action; the answer."""
    answer = client.http.post(f"/servers/{server_id}/action", json=body)
    assert answer.status_code == status, answer.text
    return answer


def reboot(client: Client, server_id: int) -> None:
    """Reboot a server (R147)."""
    act(client, server_id, {"reboot": {"type": "SOFT"}})


def rebuild(client: Client, server_id: int, image: str, **more: Any) -> None:
    """Rebuild a server from an image (R150)."""
    act(client, server_id, {"rebuild": {"imageRef": image, **more}})


def create_image(client: Client, server_id: int, name: str) -> str:
    """Begin an image of a server (R161); the image's id, which is there at once (D88)."""
    answer = act(client, server_id, {"createImage": {"name": name}})
    location: str = answer.headers["Location"]
    assert client.http.get(location).json()["image"]["status"] in ("SAVING", "ACTIVE")
    return location.rpartition("/")[2]


def delete_image(client: Client, image_id: str) -> None:
    """Delete an image (R170)."""
    answer = client.http.delete(f"/images/{image_id}")
    assert answer.status_code == 204, answer.text


def image_settled(client: Client, image_id: str) -> dict[str, Any]:
    """Wait until an image is not SAVING any more, and return it."""

    def look() -> dict[str, Any] | None:
        image: dict[str, Any] = client.http.get(f"/images/{image_id}").json()["image"]
        return None if image["status"] == "SAVING" else image

    return eventually(look, f"image {image_id} settles")


def console(client: Client, server_id: int) -> str:
    """What the guest wrote to its console (R207)."""
    answer = act(client, server_id, {"os-getConsoleOutput": {}}, 200)
    said: str = answer.json()["output"]
    return said
