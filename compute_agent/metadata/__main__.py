"""The metadata unit of a host, ``python -m compute_agent.metadata``: needs no control plane."""

import asyncio
import contextlib
import resource
import signal

from compute_agent.metadata.service import Service
from db import log


async def serve() -> None:
    """Serve until the process is told to stop."""
    service = Service()
    following = asyncio.create_task(service.run())
    for stop in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(stop, following.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await following
    finally:
        await service.close()


def main() -> None:
    """Run the service with structured logs."""
    log.configure("metadata")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a few for each guest add up
    log.logger(__name__).info("metadata_service_starts")
    asyncio.run(serve())


if __name__ == "__main__":
    main()
