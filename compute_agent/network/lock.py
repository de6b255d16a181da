"""The lock of a host's network: one agent per host, one change at a time, and changes are short."""

import threading

lock = threading.RLock()
