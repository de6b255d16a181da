"""Programs end in time, with their children, and their failures carry their last words."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compute_agent.errors import HostFault, Retry
from compute_agent.process import Limits, run


def test_output_and_input() -> None:
    assert run(["cat"], timeout=10, input="one\n") == "one\n"


def test_failure_carries_the_last_words() -> None:
    with pytest.raises(HostFault, match=r"sh -c .* failed \(3\): no luck"):
        run(["sh", "-c", "echo no luck >&2; exit 3"], timeout=10)


def test_missing_program() -> None:
    with pytest.raises(HostFault, match="no-such-program"):
        run(["no-such-program"], timeout=10)


def test_time_limit_ends_children_too() -> None:
    started = time.monotonic()
    with pytest.raises(Retry, match=r"did not end in 0\.2 s"):
        run(["sh", "-c", "printf 'at it'; sleep 60 & wait"], timeout=0.2)
    assert time.monotonic() - started < 10


def test_what_is_not_wanted_any_more_is_ended() -> None:
    looks = 0

    def still(said: str) -> None:
        nonlocal looks
        looks += 1
        assert said == "at it"
        if looks == 2:
            raise Retry("enough")

    with pytest.raises(Retry, match="enough"):
        run(["sh", "-c", "printf 'at it'; sleep 60 & wait"], timeout=60, still=still)
    assert (
        run(["sh", "-c", "sleep 1.2; echo done"], timeout=60, still=lambda said: None) == "done\n"
    )
    with pytest.raises(Retry, match="did not end in"):
        run(["sleep", "60"], timeout=0.2, still=lambda said: None)


def test_security_6_limits_hold() -> None:
    few = Limits(address_space=64 * 1024 * 1024, cpu_seconds=10)
    with pytest.raises(HostFault, match="MemoryError"):
        run([sys.executable, "-c", "bytes(200_000_000)"], timeout=30, limits=few)


def test_programs_die_with_the_agent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = f"echo $$ > {note}; exec sleep 60"
    script = f"from compute_agent.process import run; run(['sh', '-c', '{program}'], timeout=60)"
    agent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while not (note.exists() and note.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = Path("/proc", note.read_text().strip())
    assert "sleep" in (child / "stat").read_text()
    agent.send_signal(signal.SIGKILL)
    agent.wait(10)
    while child.exists() and "Z" not in _state(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or _state(child) == "Z"


def _state(process: Path) -> str:
    try:
        return (process / "stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_no_program_begins_whose_agent_died_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel kills with the parent that there was when it was told; an agent may die before."""
    monkeypatch.setattr("compute_agent.process.os.getpid", lambda: 1)
    with pytest.raises(HostFault):
        run(["touch", str(tmp_path / "begun")], timeout=30)
    assert not (tmp_path / "begun").exists()
