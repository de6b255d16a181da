"""The running lab that the end-to-end and fault tests drive: its API, database and hosts.

Nothing here knows how the lab is made; it reads what ``deploy/up`` leaves for its users.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from deploy.lab import host as host_of_lab
from deploy.lab import names

REPO = Path(__file__).resolve().parent.parent
T = TypeVar("T")
DEADLINE = 60.0  # seconds for anything that should become true; generous, for loaded machines


class Lab:
    """One lab by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = Path("/var/lib/undercast") / name
        self.key = self.state / "tests_key"
        self.hosts = sorted(path.name for path in (self.state / "hosts").glob("*"))

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    @cached_property
    def openrc(self) -> dict[str, str]:
        """Client settings, by name without ``OS_``."""
        words = (
            shlex.split(line, comments=True)
            for line in (self.state / "openrc").read_text().splitlines()
        )
        pairs = (word[-1].partition("=") for word in words if word)
        return {key.removeprefix("OS_"): value for key, _, value in pairs}

    @cached_property
    def engine(self) -> Engine:
        """The lab's database, by its unix socket (a path reaches into any network namespace)."""
        url = make_url(self.settings["database_url"]).set(
            drivername="postgresql+psycopg", host=None, port=None
        )
        url = url.update_query_dict({"host": str(self.state / "run")})
        return create_engine(
            url, native_inet_types=False, isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The controller's settings."""
        return tomllib.loads((self.state / "undercast.toml").read_text())

    def redis_cli(self, *words: str) -> str:
        """Say something to the lab's Redis."""
        url = make_url(self.settings["redis_url"])
        return self.on(
            "ctl", "redis-cli", "-h", str(url.host), "-p", str(url.port), "--no-auth-warning",
            "-a", str(url.password), *words,
        )  # fmt: skip

    def first_process(self, host: str) -> int:
        """Process id, in the machine's own namespace, of a host's pid 1."""
        pid = host_of_lab.first_process(names.Lab(self.name).host_named(host))
        assert pid is not None, f"{host} is off"
        return pid

    def redis_pid(self) -> int:
        """Process id of the lab's Redis, as it says itself (it shares our pid namespace)."""
        lines = self.redis_cli("INFO", "server").splitlines()
        return int(next(line for line in lines if line.startswith("process_id:")).split(":")[1])

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of a query."""
        with self.engine.connect() as conn:
            return list(conn.execute(text(sql), values))

    def on(self, where: str, *argv: str, check: bool = True, timeout: float = 60) -> str:
        """Run a program inside ``ctl``, ``out`` or a host, in all its namespaces; its output."""
        inside = [sys.executable, "-m", "deploy.lab", "exec", where, "--", *argv]
        return self._output(inside, check, timeout)

    def beside(self, where: str, *argv: str, check: bool = True, timeout: float = 60) -> str:
        """Run one of this machine's programs in the network of ``ctl``, ``out`` or a host."""
        return self._output(["ip", "netns", "exec", f"{self.name}-{where}", *argv], check, timeout)

    def _output(
        self, argv: list[str], check: bool, timeout: float, stdin: str | None = None
    ) -> str:
        done = subprocess.run(
            argv, cwd=REPO, env={**os.environ, "UNDERCAST_LAB": self.name}, check=False,
            capture_output=True, text=True, timeout=timeout, input=stdin,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def await_hosts(self) -> None:
        """Return when the scheduler takes every host for alive."""
        silent = """
            SELECT name FROM hosts h WHERE NOT EXISTS (
                SELECT FROM host_heartbeats b WHERE b.host_id = h.id
                   AND b.at > clock_timestamp() - interval '3 s')
        """
        eventually(lambda: not self.rows(silent), "all hosts are alive")

    def supervisor(self, *words: str, host: str | None = None) -> str:
        """Say something to the supervisor of the controller, or of a host."""
        where = ["--host", host] if host else []
        return self._output([sys.executable, "-m", "deploy.lab", "ctl", *where, *words], True, 120)

    def undercast(self, *words: str, stdin: str | None = None) -> str:
        """Say something as the lab's operator."""
        return self._output([str(REPO / "deploy" / "undercast"), *words], True, 120, stdin)

    def inventory(self, host: str) -> dict[str, list[int]]:
        """Ids of servers of which something is on a host, by kind of thing."""
        script = REPO / "tests" / "host_inventory.py"
        state = self.state / "hosts" / host / "state"
        found: dict[str, list[int]] = json.loads(
            self.on(host, sys.executable, str(script), str(state))
        )
        return found

    @property
    def fault_dirs(self) -> list[Path]:
        """Where injected faults are asked for: the scheduler's directory and each host's."""
        return [
            self.state / "faults",
            *(self.state / "hosts" / host / "state" / "faults" for host in self.hosts),
        ]


class Client:
    """A tenant's REST client."""

    def __init__(self, openrc: dict[str, str]) -> None:
        self.tenant = openrc["TENANT_ID"]
        credentials = {"username": openrc["USERNAME"], "password": openrc["PASSWORD"]}
        answer = httpx.post(
            f"{openrc['AUTH_URL']}/tokens",
            json={
                "auth": {"passwordCredentials": credentials, "tenantName": openrc["TENANT_NAME"]}
            },
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        access = answer.json()["access"]
        compute = next(s for s in access["serviceCatalog"] if s["type"] == "compute")
        self.http = httpx.Client(
            base_url=compute["endpoints"][0]["publicURL"],
            headers={"X-Auth-Token": access["token"]["id"]},
            timeout=30,
        )

    def create(self, name: str, **more: Any) -> dict[str, Any]:
        """POST /servers with the small flavor and the test image; the server."""
        body = {"name": name, "flavorRef": 1, "imageRef": self.image, **more}
        answer = self.http.post("/servers", json={"server": body})
        assert answer.status_code == 202, answer.text
        server: dict[str, Any] = answer.json()["server"]
        return server

    @cached_property
    def image(self) -> str:
        """Id of the lab's bootable image."""
        images = self.http.get("/images").json()["images"]
        return str(next(i["id"] for i in images if i["name"] == "mini"))

    def show(self, server_id: int) -> dict[str, Any] | None:
        """GET the server; None for 404."""
        answer = self.http.get(f"/servers/{server_id}")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        server: dict[str, Any] = answer.json()["server"]
        return server

    def delete(self, server_id: int) -> None:
        """DELETE the server."""
        answer = self.http.delete(f"/servers/{server_id}")
        assert answer.status_code == 204, answer.text

    def delete_all(self) -> None:
        """Delete every server of the tenant; returns when they are gone."""
        for server in self.http.get("/servers").json()["servers"]:
            self.http.delete(f"/servers/{server['id']}")
        eventually(lambda: not self.http.get("/servers").json()["servers"], "no servers")

    def settled(self, server_id: int) -> dict[str, Any] | None:
        """Wait until the server has no task, and return it; None when it is gone."""

        def look() -> tuple[dict[str, Any] | None] | None:
            server = self.show(server_id)
            busy = server is not None and ("(" in server["status"] or server["status"] == "REBUILD")
            return None if busy else (server,)

        return eventually(look, f"server {server_id} settles")[0]


def eventually(look: Callable[[], T | None], what: str, seconds: float = DEADLINE) -> T:
    """Poll until ``look`` gives something true."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
