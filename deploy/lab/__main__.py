"""``python -m deploy.lab``: the lab's command line, which deploy/up and deploy/down call."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.lab import names
from deploy.lab.names import Lab
from deploy.lab.programs import LabError

PLACES = "ctl (the controller), out (the outside world) or a host: cmp1, cmp2, ..."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m deploy.lab",
        description=f"The lab named by {names.VARIABLE} (default: {names.DEFAULT}).",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring the lab up; what works already is left alone")
    up.add_argument(
        "--hosts", type=int, metavar="N", help="compute hosts (default: as before, or 2)"
    )
    up.add_argument(
        "--hypervisor", choices=["libvirt", "fake"], help="default: as before, or libvirt"
    )
    up.add_argument(
        "--image", action="append", choices=["debian"], default=[],
        help="build and register this image too: debian, Debian 12 with cloud-init",
    )  # fmt: skip
    up.add_argument("--no-server", action="store_true", help="without the demo server")
    down = verbs.add_parser("down", help="stop the lab and leave the machine clean")
    down.add_argument("--purge", action="store_true", help="remove its state too")
    verbs.add_parser("status", help="what runs")
    enter = verbs.add_parser("exec", help="run a command somewhere in the lab")
    enter.add_argument("place", help=PLACES)
    enter.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    ctl = verbs.add_parser("ctl", help="supervisorctl of the controller or of a host")
    ctl.add_argument("--host", metavar="NAME", help="such as cmp1")
    ctl.add_argument("command", nargs=argparse.REMAINDER, metavar="WORD")
    # What supervisors call, not people:
    verbs.add_parser("controller")
    verbs.add_parser("operate")
    verbs.add_parser("launch").add_argument("program", choices=["api", "scheduler", "agent"])
    for verb in ("boot", "init"):
        verbs.add_parser(verb).add_argument("host")
    return top


def main() -> int:
    """Run one command; returns its exit status."""
    arguments = parser().parse_args()
    try:
        lab = names.current()
        return _run(lab, arguments)
    except LabError as error:
        from deploy.lab import progress  # noqa: PLC0415 - boot and init do without

        progress.explain(error)
    except ValueError as error:
        print(f"deploy: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndeploy: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 1


def _run(lab: Lab, arguments: argparse.Namespace) -> int:
    """Each verb imports what it needs: hosts boot fast, and people wait less."""
    match arguments.verb:
        case "up":
            _up(lab, arguments)
        case "down":
            from deploy.lab.down import down  # noqa: PLC0415

            with _alone(lab):
                down(lab, purge=arguments.purge)
        case "status":
            from deploy.lab.status import show  # noqa: PLC0415

            return 0 if show(lab) else 1
        case "exec":
            argv = _command_in(lab, arguments.place, _after_dashes(arguments.command))
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is meant
        case "ctl":
            argv = _supervisorctl(lab, arguments.host, _after_dashes(arguments.command))
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is meant
        case _:
            _become(lab, arguments)
    return 0


def _become(lab: Lab, arguments: argparse.Namespace) -> None:
    """The verbs of supervisors: this process turns into what they name."""
    match arguments.verb:
        case "controller":
            from deploy.lab import controller  # noqa: PLC0415

            controller.run(lab)
        case "launch":
            from deploy.lab import controller  # noqa: PLC0415

            controller.launch(lab, arguments.program)
        case "operate":
            from deploy.lab import operate  # noqa: PLC0415

            operate.serve()
        case "boot":
            from deploy.lab import host  # noqa: PLC0415

            host.boot(lab.host_named(arguments.host))
        case "init":
            from deploy.lab import host_init  # noqa: PLC0415

            host_init.init(lab.host_named(arguments.host))


def _up(lab: Lab, arguments: argparse.Namespace) -> None:
    from deploy.lab.controller import Shape  # noqa: PLC0415
    from deploy.lab.up import up  # noqa: PLC0415

    before = Shape.of(lab) or Shape()
    hypervisor = arguments.hypervisor or before.hypervisor
    shape = Shape(before.hosts if arguments.hosts is None else arguments.hosts, hypervisor)
    with _alone(lab):
        up(lab, shape, first_server=not arguments.no_server, debian="debian" in arguments.image)


def _command_in(lab: Lab, place: str, argv: list[str]) -> list[str]:
    from deploy.lab import host  # noqa: PLC0415

    if not argv:
        raise LabError("what shall be run? python -m deploy.lab exec PLACE -- COMMAND")
    if place in ("ctl", "out", "fab"):
        return ["ip", "netns", "exec", lab.namespace(place), *argv]
    return host.enter(lab.host_named(place), argv)


def _supervisorctl(lab: Lab, host_name: str | None, words: list[str]) -> list[str]:
    from deploy.lab import controller, host  # noqa: PLC0415

    tool = [str(names.PYTHON), "-m", "supervisor.supervisorctl", "-c"]
    if host_name is None:
        return [*tool, str(controller.supervisord_conf(lab)), *words]
    this = lab.host_named(host_name)
    return host.enter(this, [*tool, str(host.INSIDE / host.SUPERVISORD_CONF), *words])


def _after_dashes(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["--"] else words


@contextmanager
def _alone(lab: Lab) -> Iterator[None]:
    """One up or down of a lab at a time."""
    names.BASE.mkdir(parents=True, exist_ok=True)
    path = names.BASE / f".{lab.name}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"another up or down of lab {lab.name} is at work") from None
        yield
        # The name goes with the lab's state; who opened it before finds nobody to wait for.
        if not lab.state.exists():
            path.unlink(missing_ok=True)
            _remove_if_empty()


def _remove_if_empty() -> None:
    try:
        names.BASE.rmdir()
    except OSError:
        return  # other labs live there


if __name__ == "__main__":
    sys.exit(main())
