"""The one family of errors. Each class states HTTP status, root element and the tenant's text.

    Fault
    |-- BadRequest 400            |-- OverLimit 413: a quota (retryAfter 0)
    |-- Unauthorized 401          |   |-- BodyTooLarge
    |-- Forbidden 403             |   `-- RateLimited: a rate (retryAfter 1 or more)
    |-- NotFound 404              |-- BadMediaType 415
    |-- BadMethod 405             |-- ServerFault 500
    `-- InProgress 409            |-- NotSupported 501
                                  `-- ServiceUnavailable 503

Roots are the table of R83, texts those of wire-notes 9.2. A message is fit for tenants (R86): it is
one of these texts or one that the calling code wrote out, never an exception's. Nothing else in the
API makes an error body.
"""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any, ClassVar

Body = dict[str, dict[str, Any]]


class Fault(Exception):  # noqa: N818
    """An answer that says why not. ``message`` replaces the class's text."""

    status: ClassVar[int]
    root: ClassVar[str]
    text: ClassVar[str]

    def __init__(self, message: str | None = None, *, details: str | None = None) -> None:
        self.message = message or self.text
        self.details = details
        super().__init__(self.message)

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the fault."""
        return {}

    def members(self) -> dict[str, Any]:
        """Members below the root, also the children of the XML form (R80-R82)."""
        members: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.details is not None:
            members["details"] = self.details
        return members

    def body(self) -> Body:
        """JSON form in compute (wire-notes 9.1)."""
        return {self.root: self.members()}

    def identity_body(self) -> Body:
        """JSON form in identity, HP's (wire-notes 4.2): the text is in ``details``."""
        root = "identityFault" if self.status == HTTPStatus.INTERNAL_SERVER_ERROR else self.root
        return {
            root: {
                "code": self.status,
                "message": HTTPStatus(self.status).phrase.upper(),
                "details": self.details or self.message,
                "otherAttributes": {},
            }
        }


class BadRequest(Fault):
    """The request says something that cannot be."""

    status, root = 400, "badRequest"
    text = (
        "The server could not comply with the request since it is either malformed or otherwise"
        " incorrect."
    )


class Unauthorized(Fault):
    """No token, or none that is good here (R8-R10, D28). ``identity_url`` is where to get one."""

    status, root = 401, "unauthorized"
    text = (
        "This server could not verify that you are authorized to access the document you"
        " requested. Either you supplied the wrong credentials (e.g., bad password), or your"
        " browser does not understand how to supply the credentials required."
    )

    def __init__(self, identity_url: str, *, details: str | None = None) -> None:
        super().__init__(details=details)
        self.identity_url = identity_url

    @property
    def headers(self) -> dict[str, str]:
        """Where to get a token."""
        return {"WWW-Authenticate": f"Keystone uri='{self.identity_url}'"}


class Forbidden(Fault):
    """Known, but not allowed (D45)."""

    status, root = 403, "forbidden"
    text = "Access was denied to this resource."


class NotFound(Fault):
    """Not there, or another tenant's (R85, D29)."""

    status, root = 404, "itemNotFound"
    text = "The resource could not be found."


class BadMethod(Fault):
    """A known path, another method (R89, D25). ``allow`` are the methods that there are."""

    status, root = 405, "badMethod"
    text = "The method is not allowed for this resource."

    def __init__(self, method: str, allow: Collection[str]) -> None:
        super().__init__(f"The method {method} is not allowed for this resource.")
        self.allow = sorted(allow)

    @property
    def headers(self) -> dict[str, str]:
        """The methods that there are."""
        return {"Allow": ", ".join(self.allow)}


class InProgress(Fault):
    """The state does not allow it now (R155)."""

    status, root = 409, "inProgress"
    text = "There was a conflict when trying to complete your request."


class OverLimit(Fault):
    """More than a quota allows (R74). ``retry_after`` 0 says that waiting does not help (D12)."""

    status, root = 413, "overLimit"
    text = "Quota exceeded."
    retry_after = 0

    @property
    def headers(self) -> dict[str, str]:
        """Seconds until the same request may pass."""
        return {"Retry-After": str(self.retry_after)}

    def members(self) -> dict[str, Any]:
        """As of every fault, and the seconds again."""
        return {**super().members(), "retryAfter": self.retry_after}


class BodyTooLarge(OverLimit):
    """A body over 1 MiB (D26)."""

    text = "The body of your request was too large for this server."


class RateLimited(OverLimit):
    """A request too soon (R71, R73). It is admitted after ``retry_after`` seconds (R72, D12)."""

    text = "This request was rate-limited."

    def __init__(self, details: str, retry_after: int) -> None:
        super().__init__(details=details)
        self.retry_after = retry_after


class BadMediaType(Fault):
    """A body of another Content-Type than the two (R20, D26)."""

    status, root = 415, "badMediaType"
    text = "Unsupported Content-Type"


class ServerFault(Fault):
    """A defect of ours (R87). Operators find the traceback by the request id."""

    status, root = 500, "cloudServersFault"
    text = "The server has either erred or is incapable of performing the requested operation."


class NotSupported(Fault):
    """Something that this service does not do (R7, D49)."""

    status, root = 501, "notImplemented"
    text = "The requested operation is not implemented for this server."


class ServiceUnavailable(Fault):
    """Something that we need is away (R88)."""

    status, root = 503, "serviceUnavailable"
    text = "The server is currently unavailable. Please try again at a later time."
