"""Settings of every Undercast process: the one documented place.

Read, strongest first, from environment variables ``UNDERCAST_<NAME>`` and from the TOML file
``$UNDERCAST_CONFIG`` (default ``/etc/undercast/undercast.toml``), whose keys are the field names
below in lower case. Secrets are ``SecretStr`` and never print.
"""

import json
import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from db.rates import DEFAULT_RATES, Rates

CONFIG_VARIABLE = "UNDERCAST_CONFIG"
DEFAULT_CONFIG = "/etc/undercast/undercast.toml"


class Settings(BaseSettings):
    """One instance per process, from :func:`settings`."""

    model_config = SettingsConfigDict(
        env_prefix="UNDERCAST_", extra="ignore", hide_input_in_errors=True
    )

    # Where the truth and the hints are
    database_url: SecretStr = Field(
        SecretStr("postgresql://undercast@127.0.0.1/undercast"),
        description="Postgres, as a libpq URI with the password in it.",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis, for Celery's messages and the counts of rates; it may lose both.",
    )

    # The API
    zone: str = Field(
        "az-1.region-a.geo-1",
        description="Zone served to requests whose Host header names no zone's own address.",
    )
    api_address: str = Field("127.0.0.1", description="Address the public API binds to.")
    api_port: int = Field(8774, description="TCP port of the public API (compute and identity).")
    api_fd: int | None = Field(
        None, description="Inherited listening socket to serve instead of binding one."
    )
    api_workers: int = Field(2, ge=1, description="uvicorn worker processes.")
    public_url: str = Field(
        "http://127.0.0.1:8774",
        description="Base URL of identity, and of zones without an address of their own.",
    )
    internal_address: str = Field(
        "127.0.0.1", description="Controller's management address, where hosts fetch images."
    )
    internal_port: int = Field(8780, description="TCP port of the internal interface.")
    internal_secret: SecretStr = Field(
        SecretStr(""), description="Bearer secret of the internal interface; empty refuses all."
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Encrypts the secrets of access keys: 32 random characters or more, the same"
        " for every API process and for `undercast`. Empty: there are no access keys.",
    )
    admin_role: str = Field(
        "admin", description="Role whose holders may validate and revoke everybody's tokens."
    )
    token_hours: int = Field(24, ge=1, description="Life of a token in hours (R9).")
    duplicate_name_status: Literal[400, 409] = Field(
        400, description="Status of the fault for a server name already in use (D15)."
    )
    rates: Rates = Field(
        DEFAULT_RATES,
        description="Rates of every tenant: tables [[rates]], in the environment JSON; [] for none."
        " Fields: db/rates.py. A tenant's own values: `undercast limit`.",
    )
    v2_alias: bool = Field(True, description="Serve /v2 beside /v1.1 (D76).")
    image_store: str = Field(
        "/var/lib/undercast/images",
        description="Where the bytes of images lie: a directory of the controller, or a URL that"
        " fsspec knows, as s3://bucket/prefix.",
    )
    image_store_options: SecretStr = Field(
        SecretStr("{}"),
        description="What that store wants to be told: a table, in the environment JSON. For S3:"
        " key, secret, endpoint_url.",
    )
    image_staging: Path = Field(
        Path("/var/lib/undercast/staging"),
        description="Directory in which bytes wait on their way to a store that is a URL.",
    )
    largest_upload_gb: int = Field(
        1024, ge=1, description="Largest file that a host may bring into the image store, GB."
    )
    console_bytes: int = Field(
        65536, ge=1024, description="How much of a console's end clients may read (D38)."
    )

    # Operations
    lease_seconds: float = Field(10.0, gt=0, description="How long a worker holds an operation.")
    sweep_seconds: float = Field(5.0, gt=0, description="How often each worker asks for due work.")
    heartbeat_seconds: float = Field(3.0, gt=0, description="How often a host says it is alive.")
    silent_seconds: float = Field(
        15.0, gt=0, description="A host that said nothing for this long gets no new servers."
    )
    create_deadline_seconds: float = Field(900.0, gt=0, description="A create ends by then.")
    action_deadline_seconds: float = Field(
        900.0, gt=0, description="A reboot or rebuild ends by then."
    )
    snapshot_deadline_seconds: float = Field(
        7200.0, gt=0, description="An image of a server is made by then."
    )
    snapshot_silent_seconds: float = Field(
        30.0, gt=0, description="An image whose host says nothing for this long ends in ERROR."
    )
    address_quarantine_seconds: float = Field(
        660.0, ge=0, description="Rest of a released address; longer than a DHCP lease."
    )
    dhcp_lease_seconds: int = Field(600, ge=120, description="DHCP lease.")

    # A compute host
    host_name: str = Field(
        default_factory=socket.gethostname, description="Name of this compute host."
    )
    host_zone: str = Field("az-1.region-a.geo-1", description="Zone that this host belongs to.")
    management_address: str = Field(
        "127.0.0.1", description="Host's address for libvirtd, VNC and the agent."
    )
    agent_port: int = Field(
        8781, description="TCP port of the agent's own interface on the management address."
    )
    hypervisor: Literal["libvirt", "fake"] = Field(
        "libvirt", description="'fake' boots nothing: for scale and fault tests only."
    )
    fake_hosts: int = Field(10, ge=1, description="Hosts that one agent plays when fake.")
    libvirt_uri: str = Field("qemu:///system", description="libvirt connection of the agent.")
    libvirt_user: str = Field("libvirt-qemu", description="Unix user that qemu runs as.")
    injection_user: str = Field(
        "daemon", description="Unix user, owner of nothing, who reads guests' file systems."
    )
    virtualization: Literal["auto", "kvm", "qemu"] = Field(
        "auto", description="'auto' takes KVM only where the CPU has it and /dev/kvm opens."
    )
    state_dir: Path = Field(
        Path("/var/lib/undercast/compute"), description="Servers' disks, image cache, lock file."
    )
    image_cache_gb: float = Field(
        0, ge=0, description="Most that the image cache takes, GB; 0: a quarter of its disk."
    )
    image_cache_tenant_share: float = Field(
        0.5, gt=0, le=1, description="Part of it that private images of one tenant may take."
    )
    config_drive_layout: Literal["1", "both"] = Field(
        "1", description="Layout of config drives: '1', or 'both' 1 and that of OpenStack 2012.2."
    )
    bridge: str = Field("br100", description="Bridge of the guests.")
    flat_interface: str = Field("eth1", description="Interface that joins the hosts' bridges.")
    public_interface: str = Field("eth2", description="Interface towards the outside.")
    reconcile_seconds: float = Field(30.0, gt=0, description="Period of reconcile.")
    agent_threads: int = Field(8, ge=1, description="Operations that an agent runs side by side.")
    ram_ratio: float = Field(1.0, gt=0, description="Memory promised per memory present.")
    vcpu_ratio: float = Field(16.0, gt=0, description="Virtual per physical processors.")
    disk_ratio: float = Field(1.0, gt=0, description="Disk promised per disk present.")
    reserved_ram_mb: int = Field(1024, ge=0, description="Memory kept for the host itself, MB.")

    # Diagnosis
    log_level: str = Field("INFO", description="Least level that is logged.")
    fault_dir: Path | None = Field(
        None,
        description="Tests only: a file <kind>.<step>.<before|after|twice> in it is one fault.",
    )

    @field_validator("image_store")
    @classmethod
    def _somewhere(cls, value: str) -> str:
        if not value.startswith("/") and "://" not in value:
            raise ValueError("an absolute path or a URL")
        return value

    @field_validator("image_store_options", mode="before")
    @classmethod
    def _table(cls, value: object) -> object:
        """JSON of a table, whichever of the two was given."""
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        if isinstance(value, SecretStr):
            return value
        if not isinstance(value, dict):
            raise ValueError("a table of options, in the environment JSON")  # noqa: TRY004
        return SecretStr(json.dumps(value))

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if value and len(value) < 32:
            raise ValueError("32 characters or more, or none")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no .env."""
        path = os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(path))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Settings of this process, read once. Raises pydantic.ValidationError naming bad fields."""
    return Settings()  # type: ignore[call-arg]
