"""``undercast <noun> <verb>``. Nouns are imported when they are called, so that help is instant.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 the database is away.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from deploy.cli.errors import reported

NOUNS = {
    "db": "The schema: upgrade, downgrade, version.",
    "zone": "Availability zones.",
    "tenant": "Tenants, the customers.",
    "user": "Users and their membership of tenants.",
    "quota": "Limits of a tenant in a zone.",
    "limit": "How often a tenant may ask in a zone: rate limits.",
    "flavor": "Sizes of servers.",
    "image": "Images to boot servers from.",
    "network": "The network of a zone and its fixed addresses.",
    "pool": "Pools of public addresses.",
    "floating": "Floating addresses: which tenant holds them, and where they lead.",
    "group": "Security groups of all tenants: their rules, and where they are in force.",
    "host": "Compute hosts: alive, enabled, how full.",
    "server": "Servers of all tenants: where they are, what happened to them, and why.",
    "operation": "What is under way, what went wrong, what is stuck.",
}


class Nouns(TyperGroup):
    """The nouns as stubs, which is all that help needs; the one that is called is loaded."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = {noun: TyperGroup(name=noun, help=text) for noun, text in NOUNS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The noun that is called, loaded."""
        noun, _, rest = super().resolve_command(ctx, args)
        module = import_module(f"deploy.cli.{noun}")
        return noun, get_group(module.app), rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what it raises becomes one sentence on stderr and an exit code."""
        with reported():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Nouns,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Lists and records come as tables, or with --format json for scripts."
    " Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 database away.",
)


@app.callback()
def undercast() -> None:
    """Operate Undercast: tenants, images, networks, hosts, and what happened to every server.

    Settings come from $UNDERCAST_CONFIG (default /etc/undercast/undercast.toml) and from the
    environment.
    """


def main() -> None:
    """Entry point of the installed command."""
    app(prog_name="undercast")


if __name__ == "__main__":
    main()
