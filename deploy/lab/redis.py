"""A Redis of the lab's own. Hints and counts of rates may be lost: it keeps nothing on disk."""

from __future__ import annotations

from deploy.lab import files, names
from deploy.lab.names import Lab
from deploy.lab.postgres import as_user
from deploy.lab.programs import attempt
from deploy.lab.settings_files import secret

USER = "redis"

CONF = """\
bind {address}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir {directory}
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
"""


def prepare(lab: Lab) -> None:
    """Write the configuration, which holds the password, for Redis' user alone."""
    directory = files.directory(lab.state / "redis", 0o700, USER)
    files.write(
        directory / "redis.conf",
        CONF.format(
            address=names.CONTROLLER_ADDRESS,
            port=names.REDIS_PORT,
            password=secret(lab, "redis"),
            directory=directory,
        ),
        mode=0o600,
        owner=USER,
    )


def command(lab: Lab) -> list[str]:
    """The server, in the foreground, as its own user."""
    return [*as_user(USER), "/usr/bin/redis-server", str(lab.state / "redis" / "redis.conf")]


def is_ready(lab: Lab) -> bool:
    """Whether the server answers and takes the password."""
    answer = attempt(
        "ip", "netns", "exec", lab.namespace("ctl"),
        "redis-cli", "-h", names.CONTROLLER_ADDRESS, "-p", str(names.REDIS_PORT),
        timeout=5, stdin=f"AUTH {secret(lab, 'redis')}\nPING\n",
    )  # fmt: skip
    return answer.stdout.split() == ["OK", "PONG"]
