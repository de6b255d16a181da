"""The DHCP unit of a host: wait for the agent's configuration, then become dnsmasq."""

import os
import time

from compute_agent.dhcp import places
from db import log

POLL_SECONDS = 0.2


def main() -> None:
    """Replace this process by dnsmasq in the foreground; whoever started it restarts it."""
    log.configure("dhcp")
    path = places.configuration()
    if not path.exists():
        log.logger(__name__).info("waiting_for_configuration", path=str(path))
    while not path.exists():
        time.sleep(POLL_SECONDS)
    log.logger(__name__).info("starting_dnsmasq", path=str(path))
    os.execvp("dnsmasq", ["dnsmasq", "--keep-in-foreground", f"--conf-file={path}"])  # noqa: S606


if __name__ == "__main__":
    main()
