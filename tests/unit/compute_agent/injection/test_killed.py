"""An agent that is killed while it makes disks: nothing of it goes on, and the next one does it.

Needs root and /dev/fuse, as an agent does.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from compute_agent.disks import disks, places
from compute_agent.guest_files import Injected
from db.wanted import WantedServer
from tests.lab import eventually
from tests.unit.compute_agent.disks.test_disks import MIB, info
from tests.unit.compute_agent.injection.test_inject import (
    KEY,
    KEYS,
    Guest,
    Place,
    ext4,
    personality,
    place,
    tree,
)

__all__ = ["place"]  # the fixture
FILES = {"/etc/motd": b"new\n", "/opt/deep/data": bytes(range(256)) * 40}
KILLS = 6  # of a test, each at another moment
AGENT = """
import json, sys
from pathlib import Path
from compute_agent.disks import disks
from db.wanted import WantedServer

class Images:
    def fetch(self, image):
        return Path(sys.argv[2]) / image.checksum

server = WantedServer.from_json(json.loads(Path(sys.argv[1]).read_text()))
print("ready", flush=True)
sys.stdin.readline()
disks.build(server, Images())
print("built", flush=True)
"""


class Agent:
    """A process that makes a server's disks when it is told to."""

    def __init__(self, place: Place, server: WantedServer) -> None:
        record = place.directory / "server.json"
        record.write_text(json.dumps(server.to_json()))
        self._process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(record), str(place.cache.directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._await("ready")

    def _await(self, word: str) -> None:
        assert self._process.stdout is not None
        assert f"{word}\n" in self._process.stdout

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def time_needed(self) -> float:
        started = time.monotonic()
        self.begin()
        self._await("built")
        return time.monotonic() - started

    def end(self) -> None:
        """Kill it; returns when it is dead."""
        self._process.kill()
        self._process.communicate(timeout=30)


def told_of(directory: Path, file: str) -> list[str]:
    """Processes of which ``file`` in /proc speaks of the directory."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):  # it ended meanwhile
            if str(directory).encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def nothing_goes_on(place: Place) -> None:
    """No process works for the dead agent, and nothing is mounted for it anywhere."""
    eventually(lambda: not told_of(place.directory, "cmdline"), "no process is left", 20)
    eventually(lambda: not told_of(place.directory, "mountinfo"), "nothing is mounted", 20)


def is_right(server: WantedServer, told: Injected) -> None:
    """The disks are as of an agent that nobody disturbed."""
    directory = places.server_directory(server.id)
    names = {path.name for path in directory.iterdir()}
    drive = {places.CONFIG_DRIVE} if server.config_drive else set()
    wanted = {places.ROOT_DISK, places.EPHEMERAL_DISK, "injected.json", *drive}
    assert names - {places.CONSOLE_LOG} == wanted
    assert told.failed == ()
    assert info(directory / places.EPHEMERAL_DISK)["virtual-size"] == disks.GIB
    for name in (places.ROOT_DISK, places.EPHEMERAL_DISK):
        check = ["qemu-img", "check", "-q", "-f", "qcow2", str(directory / name)]
        subprocess.run(check, check=True, timeout=60)
    guest = Guest(server)
    guest.check()
    for path, data in FILES.items():
        if server.config_drive:
            read = ["mcopy", "-n", "-i", str(directory / places.CONFIG_DRIVE), f"::{path}", "-"]
            assert subprocess.check_output(read, timeout=30) == data
            assert guest.read("/etc/motd") == b"old\n"
        else:
            assert guest.read(path) == data
            assert KEY in (guest.read(KEYS) or b"").decode()


@pytest.mark.parametrize("config_drive", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment(place: Place, *, seed: int, config_drive: bool) -> None:
    """SIGKILL: no daemon, no mount, no half of a disk; the step that runs again is right."""
    image = ext4(tree(place), place.directory / "image", 16 * MIB)
    server, told = place.build(
        image, root_gb=1, disk_gb=1, public_key=KEY, files=personality(*FILES.items()),
        config_drive=config_drive,
    )  # fmt: skip
    is_right(server, told)
    disks.erase(server.id)
    undisturbed = Agent(place, server)
    needed = undisturbed.time_needed()
    undisturbed.end()
    moments = random.Random(seed)
    for _ in range(KILLS):
        disks.erase(server.id)
        agent = Agent(place, server)
        agent.begin()
        time.sleep(moments.uniform(0, needed))
        agent.end()
        nothing_goes_on(place)
        is_right(server, disks.build(server, place.cache))  # type: ignore[arg-type]
