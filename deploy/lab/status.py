"""``status``: what runs of a lab, and where it is."""

from __future__ import annotations

from rich.table import Table

from deploy.lab import controller, fabric, host
from deploy.lab.controller import Shape
from deploy.lab.names import Lab
from deploy.lab.programs import LabError
from deploy.lab.progress import console
from deploy.lab.supervisor import Client


def show(lab: Lab) -> bool:
    """Print it; returns whether everything runs."""
    shape = Shape.of(lab)
    if shape is None or not controller.client(lab).is_running():
        console.print(f"Lab {lab.name} is down; state, if any, is in {lab.state}.")
        return False
    table = Table("where", "program", "state", "log")
    places = [("ctl", controller.client(lab), lab.log)]
    good = True
    for each in lab.hosts(shape.real_hosts):
        try:
            places.append((each.name, host.control(each), each.log))
        except LabError as error:
            table.add_row(each.name, "", f"[red]{error}[/]", str(error.log))
            good = False
    for place, client, log in places:
        for name, state in _states(client).items():
            good &= state == "RUNNING"
            color = "green" if state == "RUNNING" else "red"
            table.add_row(place, name, f"[{color}]{state}[/]", str(log / f"{name}.log"))
    console.print(table)
    console.print(f"namespaces: {' '.join(fabric.namespaces(lab))}")
    console.print(f"API: {lab.public_url}   state: {lab.state}")
    return good


def _states(client: Client) -> dict[str, str]:
    try:
        return client.states()
    except LabError as error:
        return {"supervisord": str(error)}
