"""Images of real guests (R161-R165): consistent, with progress, and what a lost host leaves of one.

The guests have a large disk with much on it, so that a copy takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import actions, ledger
from tests.e2e.test_actions import mark, marked, no_images, running, settled
from tests.e2e.test_servers import BOOT, addresses, host_of, inside, ssh, ssh_words
from tests.lab import DEADLINE, Client, Lab, eventually

__all__ = ["no_images"]  # the fixture
LARGEST_PAUSE = 1.0  # seconds that a guest may stand still in all, as its own clock has it
CHURN = "while :; do dd if=/dev/urandom of=/root/churn bs=64k count=8 conv=fsync; done"
FILLED = "sha256sum /root/fill-0 /root/fill-59"
BEATS = "while :; do cat /proc/uptime; usleep 20000; done"

pytestmark = pytest.mark.usefixtures("no_images", "empty")


@pytest.fixture(autouse=True, scope="module")
def large_disks(lab: Lab) -> Iterator[None]:
    """Root disks of 2 GB, in place of the image's 48 MB."""
    zone = json.loads(lab.undercast("zone", "list", "--format", "json"))[0]
    lab.undercast("zone", "set", zone["name"], "--root-gb", "2")
    yield
    lab.undercast("zone", "set", zone["name"], "--root-gb", str(zone["root_gb"] or 0))


def fill(lab: Lab, server: dict[str, Any]) -> None:
    """240 MB are on the disk."""
    ssh(lab, server, "dd if=/dev/urandom of=/run/blob bs=1M count=4")
    for first in range(0, 60, 15):
        files = f"$(seq {first} {first + 14})"
        ssh(lab, server, f"for i in {files}; do cat /run/blob > /root/fill-$i; done; sync")


class Beats:
    """The guest's clock, read from outside all the while. It stands when the guest stands."""

    def __init__(self, lab: Lab, server: dict[str, Any]) -> None:
        self.seen: list[tuple[float, float]] = []  # our clock, the guest's
        self._told = subprocess.Popen(
            ["ip", "netns", "exec", f"{lab.name}-{host_of(lab, server)}",
             *ssh_words(lab, addresses(server)[0], BEATS)], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        eventually(lambda: self.seen, "the guest tells its time")

    def _read(self) -> None:
        assert self._told.stdout is not None
        for line in self._told.stdout:
            self.seen.append((time.monotonic(), float(line.split()[0])))

    def close(self) -> None:
        self._told.kill()
        self._told.wait()
        self._reader.join()
        assert self._told.stdout is not None
        self._told.stdout.close()

    def stood_still(self) -> float:
        """Seconds that the guest's clock lost against ours since the beginning."""
        (began, first), (ended, last) = self.seen[0], self.seen[-1]
        return (ended - began) - (last - first)


@contextmanager
def beating(lab: Lab, server: dict[str, Any]) -> Iterator[Beats]:
    beats = Beats(lab, server)
    try:
        yield beats
    finally:
        beats.close()


def watched(client: Client, image_id: str) -> list[tuple[str, int]]:
    """Every status and progress that the image shows until it is not SAVING any more."""
    seen: list[tuple[str, int]] = []

    def look() -> bool:
        image = client.http.get(f"/images/{image_id}").json()["image"]
        seen.append((image["status"], image["progress"]))
        return bool(image["status"] != "SAVING")

    eventually(look, f"image {image_id} settles")
    return seen


def test_r161_r162_a_guest_that_writes_all_the_while(
    lab: Lab, client: Client, keypair: str
) -> None:
    """What was synced is in the image; the guest goes on; progress grows; kernel and ramdisk stay.

    The image's servers boot by the same kernel and ramdisk as the first one's.
    """
    source = running(lab, client, keypair, "e2e-writing")
    fill(lab, source)
    ssh(lab, source, f"({CHURN}) >/dev/null 2>&1 &")
    mark(lab, source, "synced-before")
    with beating(lab, source) as beats:
        before = len(beats.seen)
        image_id = actions.create_image(client, source["id"], "e2e writing")
        seen = watched(client, image_id)
        eventually(lambda: len(beats.seen) > before, "the guest beats")
        stood_still = beats.stood_still()
    assert stood_still < LARGEST_PAUSE
    mark(lab, source, "synced-after")

    progress = [percent for _, percent in seen]
    assert seen[-1] == ("ACTIVE", 100)
    assert progress == sorted(progress)
    assert len(set(progress)) > 3, progress
    assert set(progress[:-1]) <= set(range(100))

    base, image = (
        client.http.get(f"/images/{i}").json()["image"] for i in (client.image, image_id)
    )
    for key in ("kernel_id", "ramdisk_id"):
        assert image["metadata"][key] == base["metadata"][key] != "None"
    sql = "SELECT kernel_id, ramdisk_id FROM images WHERE id = :id"
    assert lab.rows(sql, id=int(image_id)) == lab.rows(sql, id=int(client.image))

    copy = running(lab, client, keypair, "e2e-written", imageRef=image_id)
    assert marked(lab, copy) == "synced-before"
    assert marked(lab, source) == "synced-after"
    assert kernel_of(lab, copy) == kernel_of(lab, source)
    assert ssh(lab, copy, FILLED) == ssh(lab, source, FILLED)


def kernel_of(lab: Lab, server: dict[str, Any]) -> list[str]:
    """Kernel and ramdisk by which the server's domain boots."""
    domain = f"i-{server['id']:08x}"
    lines = lab.on(host_of(lab, server), "virsh", "dumpxml", domain).splitlines()
    found = [line.strip() for line in lines if "<kernel>" in line or "<initrd>" in line]
    assert len(found) == 2
    return found


def begun(lab: Lab, server: dict[str, Any]) -> bool:
    """A copy of the server's disk is being made."""
    host = lab.state / "hosts" / host_of(lab, server) / "state"
    return bool(list((host / "servers" / str(server["id"])).glob("snapshot-*.new")))


def imaging(lab: Lab, client: Client, server: dict[str, Any], name: str) -> str:
    """An image of which a part is copied."""
    image_id = actions.create_image(client, server["id"], name)
    eventually(lambda: begun(lab, server), "the copy is begun")
    return image_id


def nothing_is_left(lab: Lab, host: str) -> None:
    """Neither the copy on the host, nor a part of it in the image store."""
    eventually(lambda: not lab.inventory(host)["snapshots"], "the copy is removed")
    incoming = (lab.state / "images").glob
    eventually(lambda: not list(incoming(".incoming-*")), "its part is removed", 2 * DEADLINE)
    ledger.balance(lab)


def another_works(lab: Lab, client: Client, server: dict[str, Any]) -> None:
    assert settled(client, server["id"])["status"] == "ACTIVE"
    image_id = actions.create_image(client, server["id"], "e2e another")
    assert actions.image_settled(client, image_id)["status"] == "ACTIVE"
    settled(client, server["id"])


@contextmanager
def cut_off(lab: Lab, host: str) -> Iterator[None]:
    """Nobody of the management network hears the host; its guests go on."""
    chains = (("input", "iif"), ("output", "oif"))
    for name, interface in chains:
        hook = f"chain ip cut {name} {{ type filter hook {name} priority -300; }}"
        lab.beside(host, "nft", f"add table ip cut; add {hook};"
                   f"add rule ip cut {name} {interface} eth0 drop")  # fmt: skip
    try:
        yield
    finally:
        lab.beside(host, "nft", "delete", "table", "ip", "cut")


def test_a_host_that_is_cut_off_in_the_middle(lab: Lab, client: Client, keypair: str) -> None:
    """The image ends in ERROR; the host, back again, drops the copy; the guest noticed nothing."""
    server = running(lab, client, keypair, "e2e-cut-off")
    fill(lab, server)
    host, since = host_of(lab, server), ssh(lab, server, "cat /proc/sys/kernel/random/boot_id")
    image_id = imaging(lab, client, server, "e2e cut off")
    with cut_off(lab, host):
        assert actions.image_settled(client, image_id)["status"] == "ERROR"
        assert settled(client, server["id"])["status"] == "ACTIVE"
    lab.await_hosts()
    nothing_is_left(lab, host)
    another_works(lab, client, server)
    assert client.http.get(f"/images/{image_id}").json()["image"]["status"] == "ERROR"
    assert ssh(lab, server, "cat /proc/sys/kernel/random/boot_id") == since


def test_a_host_that_loses_power_in_the_middle(lab: Lab, client: Client, keypair: str) -> None:
    """The image ends in ERROR, whether the host stays off or is back at once; its space is free."""
    server = running(lab, client, keypair, "e2e-plug")
    fill(lab, server)
    mark(lab, server, "synced")
    host = host_of(lab, server)
    image_id = imaging(lab, client, server, "e2e plug")
    os.kill(lab.first_process(host), signal.SIGKILL)
    lab.supervisor("stop", host)
    try:
        assert actions.image_settled(client, image_id)["status"] == "ERROR"
        assert settled(client, server["id"])["status"] == "ACTIVE"
    finally:
        lab.supervisor("start", host)
    assert eventually(lambda: inside_or_not(lab, server), "the guest is started again", BOOT)
    nothing_is_left(lab, host)

    image_id = imaging(lab, client, server, "e2e plug again")
    os.kill(lab.first_process(host), signal.SIGKILL)
    assert actions.image_settled(client, image_id)["status"] == "ERROR"
    assert eventually(lambda: inside_or_not(lab, server), "the guest is started again", BOOT)
    assert marked(lab, server) == "synced"
    nothing_is_left(lab, host)
    another_works(lab, client, server)


def inside_or_not(lab: Lab, server: dict[str, Any]) -> str:
    """The guest's name, "" while it or its host is off."""
    try:
        return inside(lab, server)
    except subprocess.TimeoutExpired:
        return ""
