"""The demo tenant's REST client: just enough of compute v1.1 to boot a server and watch it."""

from __future__ import annotations

from typing import Any, Self

import httpx

from deploy.lab.cloud import USER, Client
from deploy.lab.programs import LabError

_TIMEOUT = 30.0


class Compute:
    """Compute v1.1 with a token. Its methods raise LabError with what the API answered."""

    def __init__(self, client: Client) -> None:
        self._http = httpx.Client(timeout=_TIMEOUT)
        credentials = {"username": USER, "password": client.password}
        auth = {"passwordCredentials": credentials, "tenantId": client.tenant_id}
        access = self._ask("POST", f"{client.auth_url}/tokens", {"auth": auth})["access"]
        compute = next(s for s in access["serviceCatalog"] if s["type"] == "compute")
        self._http.headers["X-Auth-Token"] = access["token"]["id"]
        self._http.base_url = httpx.URL(compute["endpoints"][0]["publicURL"] + "/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def has_keypair(self, name: str) -> bool:
        """Whether the user has a keypair of this name."""
        listed = self._ask("GET", "os-keypairs")["keypairs"]
        return name in {entry["keypair"]["name"] for entry in listed}

    def import_keypair(self, name: str, public_key: str) -> None:
        """Give the user a keypair, by its public half."""
        self._ask("POST", "os-keypairs", {"keypair": {"name": name, "public_key": public_key}})

    def servers(self) -> list[dict[str, Any]]:
        """All servers, in detail."""
        found: list[dict[str, Any]] = self._ask("GET", "servers/detail")["servers"]
        return found

    def image_named(self, name: str) -> str:
        """Id of an image."""
        images = self._ask("GET", "images")["images"]
        return str(next(image["id"] for image in images if image["name"] == name))

    def flavor_named(self, name: str) -> int:
        """Id of a flavor."""
        flavors = self._ask("GET", "flavors")["flavors"]
        return int(next(flavor["id"] for flavor in flavors if flavor["name"] == name))

    def create(self, **body: object) -> dict[str, Any]:
        """Ask for a server."""
        server: dict[str, Any] = self._ask("POST", "servers", {"server": body})["server"]
        return server

    def server(self, server_id: int) -> dict[str, Any] | None:
        """A server in detail; None when it is gone."""
        answer = self._answer("GET", f"servers/{server_id}", None)
        if answer.status_code == 404:
            return None
        server: dict[str, Any] = self._checked(answer)["server"]
        return server

    def delete(self, server_id: int) -> None:
        """Ask for a server's end."""
        self._ask("DELETE", f"servers/{server_id}")

    def _ask(self, method: str, url: str, body: object = None) -> Any:
        return self._checked(self._answer(method, url, body))

    def _answer(self, method: str, url: str, body: object) -> httpx.Response:
        try:
            return self._http.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise LabError(f"the API does not answer: {method} {url}: {error}") from error

    def _checked(self, answer: httpx.Response) -> Any:
        request = answer.request
        if answer.is_error:
            text = answer.text[:500]
            raise LabError(f"{request.method} {request.url}: {answer.status_code} {text}")
        return answer.json() if answer.content else None
