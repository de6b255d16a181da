"""The API's processes: a supervisor that holds the sockets, and workers that serve them.

The public socket is inherited as a file descriptor (systemd, supervisor) or bound here; the
internal one is bound on the management address. Workers are spawned, so that each makes its own
engines; they stop when the supervisor does, however it ended.
"""

import ctypes
import multiprocessing
import os
import signal
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from db import log
from db.settings import settings

SECONDS_TO_FINISH = 10  # of requests that run when the API is told to stop
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until told to stop (SIGTERM, SIGINT), then let running requests finish."""
    log.configure("api")
    config = uvicorn.Config(
        "api.server:worker",
        factory=True,
        workers=settings().api_workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    sockets = [public_socket(), listen(settings().internal_address, settings().internal_port)]
    Multiprocess(config, sockets).run()


def worker() -> ASGIApp:
    """The application of a worker process."""
    from api.app import create_app  # noqa: PLC0415 - the supervisor needs none of it

    log.configure("api")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and not supervisor.is_alive():  # it ended before prctl was called
        raise SystemExit("the supervisor is gone")
    return create_app()


def public_socket() -> socket.socket:
    """The inherited listening socket, else one bound to the settings' address."""
    inherited = settings().api_fd
    if inherited is None:
        return listen(settings().api_address, settings().api_port)
    found = socket.socket(fileno=os.dup(inherited))
    if inherited == 0:  # workers reopen standard input, which must not be the socket
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    return found


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens on an IPv4 address. Raises OSError when it cannot."""
    return socket.create_server((address, port), backlog=2048)
