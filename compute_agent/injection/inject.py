"""The whole of an injection: which disk, which files, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compute_agent.errors import StepError
from compute_agent.guest_files import GuestFile, Injected, goes_to_root, root_files
from compute_agent.injection.export import exported
from compute_agent.injection.filesystem import Filesystem, root_file_system
from db import log
from db.wanted import WantedServer

_logger = log.logger(__name__)


def inject(server: WantedServer, disk: Path, base: Path, make: Callable[[], None]) -> Injected:
    """Let ``make`` make the new root disk, and put into it what belongs there.

    When that breaks, the disk is made again, and stays as its image is. Raises what ``make`` does.
    """
    make()
    if not goes_to_root(server):
        return Injected()
    try:
        with exported(disk, base, server.image.disk_format) as export:
            system = root_file_system(export, has_kernel=server.kernel is not None)
            report = _fill(system, server)
    except (StepError, OSError, KeyError) as error:
        _logger.warning("nothing injected", server=server.id, error=str(error))
        make()
        return Injected(failed=(f"anything: {error}",))
    _logger.info("injected", server=server.id, done=report.done, failed=report.failed)
    return report


def _fill(system: Filesystem, server: WantedServer) -> Injected:
    files = root_files(server, system.keys() if server.public_key else b"")
    failed = {repr(file.path): "no possible name" for file in files if _odd(file)}
    fit = [file for file in files if not _odd(file)]
    failed |= system.write(fit)
    return Injected(
        tuple(file.path for file in fit if file.path not in failed),
        tuple(f"{path} ({reason})" for path, reason in failed.items()),
    )


def _odd(file: GuestFile) -> bool:
    """Whether debugfs has no word for the file's name."""
    return file.path == "/" or any(ord(c) < 32 or ord(c) == 127 for c in file.path)
