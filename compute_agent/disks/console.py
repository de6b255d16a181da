"""What a guest wrote to its console, kept within bounds: a guest must not fill its host's disk.

qemu appends to the log and keeps it open, so the file is shortened in place. What the guest writes
between the reading of the tail and the cut is lost; a console is no archive (OSSA-2013-026).
"""

from pathlib import Path

from compute_agent.disks import places

MOST_BYTES = 1024 * 1024  # a log larger than this is cut
KEPT_BYTES = 256 * 1024  # to this much, its end


def trim_consoles() -> None:
    """Cut the console logs of this host that have grown too large."""
    for log in places.servers_directory().glob(f"*/{places.CONSOLE_LOG}"):
        _trim(log)


def tail(server_id: int, size: int) -> bytes:
    """Return the last ``size`` bytes of a console at most; nothing when there is none."""
    try:
        return _tail(places.server_directory(server_id) / places.CONSOLE_LOG, size)
    except FileNotFoundError:
        return b""


def _trim(log: Path) -> None:
    try:
        if log.stat().st_size <= MOST_BYTES:
            return
        kept = _tail(log, KEPT_BYTES)
        with log.open("ab") as file:  # append mode, as qemu's: both write at the end
            file.truncate(0)
            file.write(kept)
    except FileNotFoundError:
        return  # erased meanwhile


def _tail(log: Path, size: int) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read(size)
