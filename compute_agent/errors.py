"""How work on a host fails: three classes, and each says what the operation does with it.

    AgentError
    ├── Retry       try the same step again, later
    ├── HostFault   undo here, choose another host
    └── Fatal       undo, and the server ends in ERROR

The message is for the operator: log and timeline. Clients never see it.
"""


class AgentError(Exception):
    """Work on this host failed; ``message`` tells the operator what and why.

    Raise one of the subclasses. Anything that is none of them counts as :class:`HostFault`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Retry(AgentError):
    """Something was away or slow for now.

    The operation keeps its step and its host and tries again after a back-off; when its deadline
    passes first, it goes on as after a :class:`HostFault`.
    """


class HostFault(AgentError):
    """This host cannot do it, another one may.

    The operation undoes what it made here, releases the claim, excludes the host and schedules
    the server again, on at most three hosts in all.
    """


class Fatal(AgentError):
    """No host can do it: the request itself is at fault, such as an image that is not what it says.

    The operation undoes what it made and the server ends in ERROR with a fault for the client.
    """
