"""Why a step did not do what it should. The message is for operators, never for clients."""


class StepError(Exception):
    """Root of the family; its text goes to the timeline."""


class Retry(StepError):  # noqa: N818 - says what to do, not what went wrong
    """It may work in a moment (a service is away, a lock is held): back off, same host."""


class HostFault(StepError):  # noqa: N818
    """Not on this host: undo here, release the claim, schedule on another host."""


class Fatal(StepError):  # noqa: N818
    """No host can: undo, ERROR. ``public`` is the text that the client may read."""

    def __init__(self, message: str, public: str | None = None) -> None:
        super().__init__(message)
        self.public = public


class LeaseLost(Exception):  # noqa: N818
    """Another worker holds the operation, or it ended: stop at once and write nothing."""


class InProgress(Exception):  # noqa: N818
    """The subject has a live exclusive operation: 409 by constraint."""
