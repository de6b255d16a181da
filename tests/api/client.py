"""A client of the application, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from lxml import etree
from starlette.types import ASGIApp

from tests.api.world import ALPHA, BASE, HOST_2, PUBLIC_KEY, token_of


class Api:
    """Sends requests as Ann of tenant alpha, unless told otherwise; notes nudges."""

    def __init__(self, runner: asyncio.Runner, app: ASGIApp) -> None:
        self._runner, self._app = runner, app
        self.nudged: list[tuple[str, int | None]] = []  # None: look

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "ann",
        tenant: str = ALPHA,
        base: str = BASE,
        headers: Mapping[Any, Any] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One request. A path without a leading slash is below the tenant's."""
        return self.all([
            self.prepare(
                method, path, body, token=token, tenant=tenant, base=base, headers=headers,
                content=content,
            )
        ])[0]  # fmt: skip

    def prepare(
        self, method: str, path: str, body: Any = None, *, token: str | None = "ann",
        tenant: str = ALPHA, base: str = BASE, headers: Mapping[Any, Any] | None = None,
        content: bytes | None = None,
    ) -> httpx.Request:  # fmt: skip
        """A request to be sent by :meth:`all`."""
        sent: dict[Any, Any] = dict(headers or {})
        if token:
            sent["X-Auth-Token"] = token_of(token)
        url = base + (path if path.startswith("/") else f"/v1.1/{tenant}/{path}")
        return httpx.Request(method, url, json=body, content=content, headers=sent)

    def all(self, requests: Sequence[httpx.Request]) -> list[httpx.Response]:
        """Send requests at the same time."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport) as client:
                return list(await asyncio.gather(*map(client.send, requests)))

        return self._runner.run(run())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self("DELETE", path, **options)

    def create(self, name: str, image: int, **members: Any) -> httpx.Response:
        """POST servers."""
        options = {key: members.pop(key) for key in ("token", "tenant", "base") if key in members}
        server = {"name": name, "imageRef": str(image), "flavorRef": "100", **members}
        return self.post("servers", {"server": server}, **options)

    def add_key(self, name: str = "key.pub") -> httpx.Response:
        """POST os-keypairs with a key."""
        return self.post("os-keypairs", {"keypair": {"name": name, "public_key": PUBLIC_KEY}})

    def xml(self, method: str, path: str, content: str = "", **options: Any) -> httpx.Response:
        """A request in XML, answered in XML."""
        headers = {"Accept": "application/xml"}
        if content:
            headers["Content-Type"] = "application/xml"
        body = content.encode() if content else None
        return self(method, path, content=body, headers=headers, **options)

    @property
    def looked(self) -> list[str]:
        """Hosts that were told to look, in order."""
        return [
            target.removeprefix("host.") for target, operation in self.nudged if operation is None
        ]


ZONE_2_BASE = f"http://{HOST_2}"


def fault(response: httpx.Response) -> tuple[int, str, str]:
    """Status, root and message of a fault, which must be well formed (R80-R82)."""
    if response.headers["content-type"] == "application/xml; charset=UTF-8":
        element = etree.fromstring(response.content)
        assert element.get("code") == str(response.status_code)
        children = {etree.QName(child).localname: child.text or "" for child in element}
        return response.status_code, etree.QName(element).localname, children["message"]
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    ((root, members),) = response.json().items()
    assert members["code"] == response.status_code
    return response.status_code, root, members["message"]
