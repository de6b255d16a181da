"""``undercast flavor`` (R210-R214)."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import flavors, flavors_admin
from db.wanted import MOST_RXTX_CAP
from deploy.cli.checks import name_argument
from deploy.cli.database import transaction
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "vcpus": "vcpus",
    "memory MB": "ram_mb",
    "ephemeral disk GB": "disk_gb",
    "swap MB": "swap_mb",
    "rxtx Mbit/s": "rxtx_cap",
}


@app.callback()
def flavor() -> None:
    """Sizes of servers."""


@app.command()
def create(
    name: Annotated[str, name_argument("Name of the flavor.")],
    *,
    vcpus: Annotated[int, typer.Option(min=1, max=1024, help="Virtual processors.")],
    ram: Annotated[int, typer.Option(min=1, max=2**26, help="Memory, MB.")],
    disk: Annotated[int, typer.Option(min=0, max=2**20, help="Ephemeral disk, GB; 0: none.")] = 0,
    swap: Annotated[
        int, typer.Option(min=0, max=2**26, help="Swap that clients see, MB; no disk is made.")
    ] = 0,
    rxtx_cap: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_RXTX_CAP,
            help="Bandwidth, Mbit/s (10^6 bits), of each direction by itself; 0: no limit.",
        ),
    ] = 0,
    id: Annotated[
        int | None, typer.Option(min=1, max=2**53, help="Id; default: the next free one.")
    ] = None,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make a flavor."""
    with transaction() as conn:
        made = flavors_admin.create(
            conn, name, id=id, vcpus=vcpus, ram_mb=ram, disk_gb=disk, swap_mb=swap,
            rxtx_cap=rxtx_cap,
        )  # fmt: skip
        found = flavors_admin.find(conn, str(id) if id is not None else name)
        if not made and (found is None or found.name != name or not if_missing):
            raise Refused(f"A flavor has the name {name}, or has or had that id, already.")
    show_one(found, _COLUMNS, format)


@app.command()
def defaults(format: FormatOption = Format.table) -> None:
    """Make those of the six standard flavors, 100 to 105, that are missing."""
    with transaction() as conn:
        made = flavors_admin.create_defaults(conn)
    show_list(made, _COLUMNS, format)


@app.command("list")
def list_flavors(format: FormatOption = Format.table) -> None:
    """List the flavors."""
    with transaction() as conn:
        rows = flavors.list_all(conn)
    show_list(rows, _COLUMNS, format)


@app.command()
def delete(
    flavor: Annotated[str, typer.Argument(help="Id or name of the flavor.")],
    format: FormatOption = Format.table,
) -> None:
    """Retire a flavor. Servers that have it keep their size."""
    with transaction() as conn:
        found = flavors_admin.find(conn, flavor)
        if found is None or not flavors_admin.delete(conn, found.id):
            raise NotFound(f"There is no flavor {flavor}.")
    show_one(found, _COLUMNS, format)
