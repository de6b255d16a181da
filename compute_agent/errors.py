"""How work on a host fails; each class says what the operation does with it.

    StepError
    ├── Retry       try the same step again, later, on this host
    ├── HostFault   undo here, choose another host (at most three in all)
    └── Fatal       undo, and the server ends in ERROR

The message is for the operator: log and timeline. Clients never see it.
"""

from db.operations.errors import Fatal, HostFault, Retry, StepError

__all__ = ["Fatal", "HostFault", "Retry", "StepError"]
