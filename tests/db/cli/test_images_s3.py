"""``undercast image`` with its store in S3: from a file and from stdin, listed, deleted."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from db import image_store
from db.image_store.remote import Remote
from db.settings import settings
from tests.databases import emptied, using
from tests.db.cli.conftest import Undercast
from tests.s3_server import S3Server, s3_server

BYTES = b"kernel" * 1000


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as made:
        yield made


@pytest.fixture
def undercast(server: S3Server, database: URL, tmp_path: Path) -> Iterator[Undercast]:
    with using(
        database, image_store=server.url, image_store_options=json.dumps(server.options),
        image_staging=tmp_path / "staging",
    ) as engine:  # fmt: skip
        emptied(engine)
        command = Undercast(tmp_path / "staging")
        command.table("db", "upgrade")
        yield command
        store = Remote(server.url, json.dumps(server.options), tmp_path)
        for name in store.names(float("inf")):
            store.remove(name)


def stored() -> list[str]:
    return image_store.store().names(float("inf"))


def test_registered_and_deleted(undercast: Undercast, tmp_path: Path) -> None:
    source = tmp_path / "kernel"
    source.write_bytes(BYTES)
    words = ("image", "register", "--name", "k", "--kind", "kernel")
    first = undercast.json(*words, source)
    second = undercast.json(*words, "-", input=BYTES)
    checksum = hashlib.sha256(BYTES).hexdigest()
    assert first["checksum"] == second["checksum"] == checksum
    assert stored() == [checksum]
    assert image_store.store().read(checksum, 0, 10**6) == BYTES
    assert list(undercast.store.iterdir()) == []
    undercast.json("image", "delete", first["id"])
    assert stored() == [checksum]
    undercast.json("image", "delete", second["id"])
    assert stored() == []


def test_refused_before_it_goes_up(undercast: Undercast, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", evil, "4M"], check=True, timeout=30)
    assert "vmdk" in undercast.refused(1, "image", "register", evil, "--name", "x")
    assert stored() == []
    assert list(undercast.store.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"secret": "wrong"}, {"endpoint_url": "http://127.0.0.1:1"}], ids=["key", "away"]
)
def test_a_store_that_does_not_take_it(
    undercast: Undercast, server: S3Server, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    """One sentence that says what to look at; nothing is registered, no secret is shown."""
    kept = undercast.json("image", "register", "-", "--name", "kept", input=BYTES)
    options = json.dumps({**server.options, **wrong})
    monkeypatch.setenv("UNDERCAST_IMAGE_STORE_OPTIONS", options)
    settings.cache_clear()
    said = undercast.refused(1, "image", "register", "-", "--name", "x", input=BYTES + b"!")
    assert f"The image store {server.url} cannot be used" in said
    assert "image_store_options" in said
    assert str(server.options["secret"]) not in said
    assert list(undercast.store.iterdir()) == []
    gone = undercast.run("image", "delete", str(kept["id"]))
    assert gone.exit_code == 0
    assert "The bytes go later" in gone.stderr
    assert undercast.json("image", "list") == []
    monkeypatch.undo()
    settings.cache_clear()


def test_interrupted_it_leaves_nothing(undercast: Undercast) -> None:
    """^C while bytes still come by a pipe."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "deploy.cli.main",
         "image", "register", "-", "--name", "x"],
        stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(reader)
    os.write(writer, b"x" * 1000)
    deadline = time.monotonic() + 60
    while not undercast.store.exists() or not list(undercast.store.iterdir()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode not in (0, None)
    assert b"Traceback" not in err
    assert out == b""
    assert list(undercast.store.iterdir()) == []
    assert undercast.json("image", "list") == []
