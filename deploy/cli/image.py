"""``undercast image`` (R156-R159, D43)."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy import Connection

from db import image_store
from db.image_store import Store, StoreAway
from db.queries import images_admin
from db.queries.images import RECORD_KEYS
from db.queries.images_admin import NewImage, StillUsed
from db.queries.zones import ZoneSummary
from deploy.cli import database, store
from deploy.cli.checks import name_checked
from deploy.cli.database import ZoneOption
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, Format, FormatOption, show_list, show_one, size

app = typer.Typer(no_args_is_help=True)
GB = 2**30
_ATTEMPTS = 3  # to name bytes that somebody else removes meanwhile
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "zone": "zone",
    "owner": lambda image: image.tenant_id or "public",
    "kind": "kind",
    "status": "status",
    "format": "disk_format",
    "size": lambda image: size(image.size),
    "disk": lambda image: size(image.virtual_size),
    "servers": "servers",
    "checksum": lambda image: (image.checksum or "")[:12],
}
_DETAILS: Columns = {
    **_COLUMNS,
    "checksum": "checksum",
    "kernel": "kernel_id",
    "ramdisk": "ramdisk_id",
    "least disk GB": "min_disk_gb",
    "least memory MB": "min_ram_mb",
}


class Kind(StrEnum):
    """What an image is for."""

    machine = "machine"
    kernel = "kernel"
    ramdisk = "ramdisk"


class DiskFormat(StrEnum):
    """How an image's bytes are laid out."""

    raw = "raw"
    qcow2 = "qcow2"


@app.callback()
def image() -> None:
    """Images to boot servers from."""


def _properties(given: list[str]) -> list[str]:
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals or len(key.encode()) > 255 or len(value.encode()) > 255:
            raise typer.BadParameter(f"{text!r} is not key=value of at most 255 bytes each")
        if key in (*RECORD_KEYS, "image_type", "image_state"):
            raise typer.BadParameter(f"{key} is the service's own; other options may set it")
    return given


@app.command()
def register(
    file: Annotated[str, typer.Argument(help='File with the image; "-" reads stdin.')],
    *,
    name: Annotated[str, typer.Option(callback=name_checked, help="Name that clients see.")],
    kind: Annotated[Kind, typer.Option(help="What it is for.")] = Kind.machine,
    disk_format: Annotated[
        DiskFormat | None, typer.Option(help="What it is declared to be; default: detected.")
    ] = None,
    kernel: Annotated[int | None, typer.Option(help="Id of the kernel that boots it.")] = None,
    ramdisk: Annotated[int | None, typer.Option(help="Id of the ramdisk that boots it.")] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", callback=lambda given: _properties(given or []),
                     help="Metadata key=value that clients see; may be repeated."),
    ] = None,
    min_ram: Annotated[int, typer.Option(min=0, help="Least memory of a flavor, MB.")] = 0,
    min_disk: Annotated[int, typer.Option(min=0, help="Least root disk, GB.")] = 0,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Register a public image: copied into the image store, inspected, and usable at once.

    Only raw disks and qcow2 that stand alone are taken; the file must be what it is declared to be.
    """
    if kind is not Kind.machine and (kernel or ramdisk or disk_format is DiskFormat.qcow2):
        raise typer.BadParameter("kernels and ramdisks are raw, and boot with nothing else")
    if ramdisk is not None and kernel is None:
        raise typer.BadParameter("a ramdisk needs the kernel that loads it: --kernel ID")
    with database.transaction() as conn:
        place = database.zone(conn, zone)
        _check_part(conn, place, kernel, Kind.kernel)
        _check_part(conn, place, ramdisk, Kind.ramdisk)
    where = image_store.store()
    where.size("0" * 64)  # a store that cannot be used shows before all bytes are copied
    with store.copied(file, where.incoming) as incoming:
        declared = "raw" if kind is not Kind.machine else disk_format
        facts = store.inspected(incoming, declared)
        _check_size(place, kind, facts.virtual_size)
        given = dict(text.split("=", 1) for text in properties or [])
        system = system_items(kind, has_kernel=kernel is not None)
        system.update({key: given.pop(key) for key in list(given) if key in system})
        new = NewImage(
            zone_id=place.id, name=name, kind=kind, disk_format=facts.format,
            size=incoming.size, virtual_size=facts.virtual_size, checksum=incoming.checksum,
            min_disk_gb=min_disk, min_ram_mb=min_ram, kernel_id=kernel, ramdisk_id=ramdisk,
            system=system, properties=given,
        )  # fmt: skip
        image_id = keep(incoming, new, where)
    with database.transaction() as conn:
        found = images_admin.find(conn, image_id)
    show_one(found, _DETAILS, format)


@app.command("list")
def list_images(format: FormatOption = Format.table) -> None:
    """List all images, public ones and tenants'."""
    with database.transaction() as conn:
        rows = images_admin.list_all(conn)
    show_list(rows, _COLUMNS, format)


@app.command()
def delete(
    image: Annotated[int, typer.Argument(help="Id of the image.")],
    format: FormatOption = Format.table,
) -> None:
    """Retire an image. Its bytes go when no other image and no live server needs them."""
    try:
        with database.transaction() as conn:
            found = images_admin.find(conn, image)
            checksum = images_admin.delete(conn, image)
    except StillUsed as error:
        users = ", ".join(map(str, error.ids))
        raise Refused(f"Image {image} boots other images: {users}. Delete them first.") from error
    if found is None or checksum is None:
        raise NotFound(f"There is no image {image}.")
    if checksum:
        try:
            drop_unneeded(checksum, image_store.store())
        except StoreAway as error:
            print(f"undercast: {error} The bytes go later.", file=sys.stderr)
    show_one(found, _DETAILS, format)


def keep(incoming: store.Incoming, new: NewImage, where: Store) -> int:
    """The bytes are stored under their checksum, and the image is there; returns its id."""
    for _ in range(_ATTEMPTS):
        store.bring(incoming, where)
        with database.transaction() as conn:
            images_admin.lock_bytes(conn, incoming.checksum)
            if where.place(incoming.path, incoming.checksum):
                return images_admin.register(conn, new)
    raise Refused("Somebody deletes the same bytes again and again; try once more.")


def drop_unneeded(checksum: str, where: Store) -> None:
    """The bytes are gone unless an image or a live server needs them."""
    with database.transaction() as conn:
        images_admin.lock_bytes(conn, checksum)
        if images_admin.unneeded(conn, [checksum]):
            where.remove(checksum)


def system_items(kind: Kind, *, has_kernel: bool) -> dict[str, str]:
    """Items of every public image that are the operator's alone (D43d)."""
    today = datetime.now(UTC).strftime("%Y%m%d")
    whole = kind is Kind.machine and not has_kernel
    return {
        "architecture": "x86_64",
        "image_location": "local",
        "image_state": "available",
        "hp_image_id": secrets.token_hex(16),
        "hp_image_type": "disk" if whole else kind.value,
        "hp_image_version": today,
        "hp_image_builddate": today,
        "hp_md_version": "1",
    }


def _check_part(conn: Connection, place: ZoneSummary, image_id: int | None, kind: Kind) -> None:
    if image_id is None:
        return
    found = images_admin.find(conn, image_id)
    if found is None:
        raise NotFound(f"There is no image {image_id} to be the {kind}.")
    if found.kind != kind or found.zone != place.name or found.status != "ACTIVE":
        raise Refused(f"Image {image_id} is no usable {kind} in zone {place.name}.")


def _check_size(place: ZoneSummary, kind: Kind, virtual_size: int) -> None:
    """Root disks never shrink, so an image must fit the zone's."""
    if kind is Kind.machine and place.root_gb and virtual_size > place.root_gb * GB:
        raise Refused(
            f"Its disk has {size(virtual_size)} and root disks in {place.name} have"
            f" {place.root_gb} GB."
        )
