"""``undercast zone``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from db.queries import zones
from deploy.cli.checks import name_argument
from deploy.cli.database import transaction
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "compute URL": lambda zone: zone.compute_url or "(the settings' public_url)",
    "root GB": lambda zone: zone.root_gb or "as the image",
    "domain": "hostname_domain",
    "hosts": "hosts",
    "servers": "servers",
}


@app.callback()
def zone() -> None:
    """Availability zones."""


def _url(text: str | None) -> str | None:
    if text is not None and not _URL.fullmatch(text):
        raise typer.BadParameter("like https://az-1.example.com, without a path")
    return text


def _domain(text: str | None) -> str | None:
    if text is not None and not _DOMAIN.fullmatch(text):
        raise typer.BadParameter("lower case letters, digits, dashes and dots")
    return text


@app.command()
def create(
    name: Annotated[str, name_argument("Name such as az-1.region-a.geo-1.")],
    compute_url: Annotated[
        str | None,
        typer.Option(callback=_url, help="Address of its compute API; default: public_url."),
    ] = None,
    root_gb: Annotated[
        int, typer.Option(min=0, max=65536, help="Size of root disks; 0: as large as the image.")
    ] = 0,
    domain: Annotated[
        str, typer.Option(callback=_domain, help="Domain of servers' host names.")
    ] = "novalocal",
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make a zone. Every tenant gets its group "default" there."""
    with transaction() as conn:
        made = zones.create(conn, name, compute_url=compute_url, root_gb=root_gb, domain=domain)
        found = zones.find(conn, name)
        if not made and (found is None or not if_missing):
            raise Refused(f"There is a zone of the name {name} or of that URL already.")
    show_one(found, _COLUMNS, format)


@app.command("set")
def set_zone(
    name: Annotated[str, name_argument("Name of the zone.")],
    root_gb: Annotated[
        int | None,
        typer.Option(min=0, max=65536, help="Size of new root disks; 0: as large as the image."),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(callback=_domain, help="Domain of servers' host names.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Change what a zone gives to servers; disks that are there keep their size."""
    with transaction() as conn:
        if not zones.change(conn, name, root_gb=root_gb, domain=domain):
            raise NotFound(f"There is no zone {name}; see `undercast zone list`.")
        found = zones.find(conn, name)
    show_one(found, _COLUMNS, format)


@app.command("list")
def list_zones(format: FormatOption = Format.table) -> None:
    """List the zones."""
    with transaction() as conn:
        rows = zones.list_all(conn)
    show_list(rows, _COLUMNS, format)
