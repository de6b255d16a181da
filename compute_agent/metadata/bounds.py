"""What one guest may take of the metadata service, so that the others notice nothing.

Beside these, a connection that waits, or whose request comes in slowly, ends after IDLE_SECONDS,
and so does one that does not take its answer (``TCP_USER_TIMEOUT``). What is more than a guest may
have costs the service next to nothing: a reset, or a pause, and a line in the log now and then.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

MOST_CONNECTIONS = 32  # of one guest at a time; more are refused
MOST_PER_SECOND = 1000  # requests; more are made to wait
BURST = 200  # requests that need not wait after a pause
IDLE_SECONDS = 5.0
LINGER_SECONDS = 1.0  # for the rest of a body that nobody wants
SEND_BUFFER = 128 * 1024  # bytes; more than the largest answer
LOG_SECONDS = 60.0


@dataclass(slots=True)
class Pace:
    """Spreads requests that come too fast."""

    _due: float = 0.0

    async def keep(self) -> None:
        """Return when it is this request's turn."""
        now = time.monotonic()
        self._due = max(self._due + 1 / MOST_PER_SECOND, now - BURST / MOST_PER_SECOND)
        if self._due > now:
            await asyncio.sleep(self._due - now)


@dataclass(slots=True)
class Seldom:
    """Says when something that a guest can cause at will may be logged again."""

    _next: float = 0.0

    def due(self) -> bool:
        """Whether LOG_SECONDS have passed since this was last true."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + LOG_SECONDS
        return True
