"""Files are written whole, with the rights that they are asked to have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.lab import files, operate, programs, progress
from deploy.lab.names import REPO


def test_write_says_whether_it_changed_anything(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert files.write(path, "a", mode=0o600)
    assert not files.write(path, "a", mode=0o600)
    assert files.write(path, "a", mode=0o644)
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_goes_over_what_a_stopped_run_left(tmp_path: Path) -> None:
    (tmp_path / "file.new").write_text("half")
    files.write(tmp_path / "file", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failed_program_is_told_with_its_last_words() -> None:
    with pytest.raises(programs.LabError, match=r"sh -c echo no >&2; exit 3 failed .3.: no"):
        programs.run("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(programs.LabError, match="cannot be started"):
        programs.run("/does/not/exist")
    with pytest.raises(programs.LabError, match="did not end in"):
        programs.run("sleep", "5", timeout=0.05)


def test_wait_gives_up_and_names_the_log() -> None:
    with pytest.raises(programs.LabError, match="it is not ready") as caught:
        progress.wait(lambda: False, "it", seconds=0, log=Path("/some.log"))
    assert caught.value.log == Path("/some.log")


def test_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert progress.tail(log, 2) == ["(No such file or directory)"]
    log.write_bytes(b"one\n\ntwo\nthree \xff\n")
    assert progress.tail(log, 2) == ["two", "three \N{REPLACEMENT CHARACTER}"]


def test_operators_command_answers_with_its_exit_code() -> None:
    code, out, complaint = operate._run(["--help"], "")
    assert (code, complaint) == (0, "")
    assert "tenant" in out
    assert operate._run(["no-such-noun"], "")[0] == 2


@pytest.mark.parametrize("script", ["up", "down", "undercast", "lab/machine.sh"])
def test_scripts_are_sound_bash(script: str) -> None:
    subprocess.run(["bash", "-n", str(REPO / "deploy" / script)], check=True, timeout=10)


@pytest.mark.parametrize("script", ["up", "down", "undercast"])
def test_scripts_have_help(script: str) -> None:
    done = subprocess.run(
        [REPO / "deploy" / script, "--help"], check=True, capture_output=True, text=True, timeout=30
    )
    assert "sage" in done.stdout
