"""A real S3 server (moto's) on loopback, with a bucket and one user whose key it asks for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

BUCKET = "undercast-images"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
_SCRIPT = """
import json, sys, boto3
kw = dict(endpoint_url=sys.argv[1], region_name="us-east-1",
          aws_access_key_id="x", aws_secret_access_key="x")
boto3.client("s3", **kw).create_bucket(Bucket=sys.argv[2])
iam = boto3.client("iam", **kw)
iam.create_user(UserName="undercast")
iam.put_user_policy(UserName="undercast", PolicyName="all", PolicyDocument=sys.argv[3])
key = iam.create_access_key(UserName="undercast")["AccessKey"]
print(json.dumps({"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))
"""


@dataclass
class S3Server:
    """The server's process and what a client of it must say."""

    port: int
    process: subprocess.Popen[bytes] = field(init=False)
    options: dict[str, Any] = field(init=False)

    @property
    def url(self) -> str:
        """Where images lie in it."""
        return f"s3://{BUCKET}/images"

    def start(self) -> None:
        """It serves; with nothing in it but the bucket and the user."""
        words = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        address, deadline = f"http://127.0.0.1:{self.port}", time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/moto-api/", trust_env=False)
                break
            except httpx.HTTPError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        made = subprocess.check_output(
            [sys.executable, "-c", _SCRIPT, address, BUCKET, json.dumps(_POLICY)], timeout=60
        )
        self.options = {"endpoint_url": address, **json.loads(made)}
        httpx.post(f"{address}/moto-api/reset-auth", content="0", trust_env=False)

    def stop(self) -> None:
        """It is away, and what was in it is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = S3Server(free.getsockname()[1])
    made.start()
    try:
        yield made
    finally:
        made.stop()
