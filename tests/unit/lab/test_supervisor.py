"""Configuration that supervisord really understands as it is meant."""

from __future__ import annotations

import configparser
from pathlib import Path

from deploy.lab import supervisor
from deploy.lab.supervisor import Program


def parsed(*programs: Program) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(
        supervisor.render(
            list(programs),
            control=Path("/run/x.sock"),
            pid_file=Path("/run/x.pid"),
            log=Path("/run/x.log"),
        )
    )
    return parser


def test_programs_are_restarted_for_ever_and_stopped_with_their_children() -> None:
    section = parsed(Program("agent", ["/bin/true", "-x"], Path("/log")))["program:agent"]
    assert section["command"] == "/bin/true -x"
    assert section["autorestart"] == "true"
    assert int(section["startretries"]) >= 10**9
    assert section["stopasgroup"] == section["killasgroup"] == "true"


def test_guests_outlive_a_libvirtd_that_stops() -> None:
    section = parsed(Program("libvirtd", ["x"], Path("/log"), stop_group=False))["program:libvirtd"]
    assert section["stopasgroup"] == section["killasgroup"] == "false"


def test_percent_signs_are_not_expanded() -> None:
    section = parsed(Program("a", ["printf", "%s"], Path("/log"), environment={"A": "1%"}))
    assert section["program:a"]["command"] == "printf %%s"
    assert section["program:a"]["environment"] == 'A="1%%"'


def test_control_socket_is_for_root_alone() -> None:
    assert parsed()["unix_http_server"]["chmod"] == "0700"
