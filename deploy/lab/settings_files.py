"""The settings files of a lab: the controller's, and each host's with no more than it needs.

Keys are the fields of ``db.settings.Settings``. What a lab does not decide itself may be chosen by
``up``'s environment (``UNDERCAST_SWEEP_SECONDS=1 deploy/up``): it ends in every settings file.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

from db.settings import Settings
from deploy.lab import files, names
from deploy.lab.names import HostNames, Lab

ZONE = "az-1.region-a.geo-1"
INTERNAL_PORT = 8780
HOST_STATE = Path("/var/lib/undercast/compute")  # as a host sees it: the same on every host

Values = dict[str, str | int]

_DECIDED = {"api_address", "api_fd", "hypervisor", "fake_hosts", "state_dir", "host_name"}


def secret(lab: Lab, name: str) -> str:
    """One of the lab's passwords, made up at first use."""
    return files.secret(lab.state / "secrets" / name)


def database_url(lab: Lab) -> str:
    """Undercast's own role, over TCP."""
    password, address = secret(lab, "database"), names.CONTROLLER_ADDRESS
    return f"postgresql://undercast:{password}@{address}:{names.POSTGRES_PORT}/undercast"


def redis_url(lab: Lab) -> str:
    """The lab's Redis."""
    return f"redis://:{secret(lab, 'redis')}@{names.CONTROLLER_ADDRESS}:{names.REDIS_PORT}/0"


def overrides() -> Values:
    """Settings that the environment chooses for the whole lab."""
    fields = {name: f"UNDERCAST_{name.upper()}" for name in Settings.model_fields}
    chosen = {name: os.environ[v] for name, v in fields.items() if v in os.environ}
    return {name: value for name, value in chosen.items() if name not in _DECIDED}


def value(name: str, chosen: Values) -> str | int:
    """What is chosen, or the setting's default."""
    default: str | int = Settings.model_fields[name].default
    return chosen.get(name, default)


def controller(lab: Lab, chosen: Values, *, fake_hosts: int) -> Values:
    """Settings of API, scheduler and operator's command, and of fake hosts (0: none)."""
    values: Values = {
        "database_url": database_url(lab),
        "redis_url": redis_url(lab),
        "zone": ZONE,
        "api_port": lab.api_port,
        "public_url": lab.public_url,
        "internal_address": names.CONTROLLER_ADDRESS,
        "internal_port": INTERNAL_PORT,
        "internal_secret": secret(lab, "internal"),
        "image_store": str(lab.state / "images"),
        "secret_key": secret(lab, "secret_key"),
    }
    if fake_hosts:
        values |= {
            "hypervisor": "fake",
            "fake_hosts": fake_hosts,
            "host_zone": ZONE,
            "management_address": names.CONTROLLER_ADDRESS,
            "state_dir": str(lab.state / "fake"),
        }
    return chosen | values


def host(host: HostNames, chosen: Values) -> Values:
    """Settings of one host's agent, metadata service and DHCP."""
    values: Values = {
        "database_url": database_url(host.lab),
        "redis_url": redis_url(host.lab),
        "internal_address": names.CONTROLLER_ADDRESS,
        "internal_port": INTERNAL_PORT,
        "internal_secret": secret(host.lab, "internal"),
        "host_name": host.name,
        "host_zone": ZONE,
        "management_address": host.management_address,
        "state_dir": str(HOST_STATE),
    }
    if "fault_dir" in chosen:  # every process has one of its own, for tests
        values["fault_dir"] = str(HOST_STATE / "faults")
    return chosen | values


def write(path: Path, values: Values) -> bool:
    """Write settings for root alone; returns whether they changed."""
    return files.write(path, render(values), mode=0o600)


def render(values: Values) -> str:
    """Settings as TOML. JSON's strings and numbers are TOML's too."""
    lines = ["# Written by deploy/up; the fields are described in db/settings.py."]
    text = "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
    tomllib.loads(text)
    return text + "\n"
