"""The errors of Bakehouse, by what happens next: another try, a later moment, or failure.

Every error of Bakehouse is one of these siblings, none of which knows Airflow: `operators/base.py`
translates them once, `operators/retries.py` says how long the next try waits. Pure.
"""

from __future__ import annotations

BLOCKED_WAIT = 60.0  # seconds


class BakehouseError(Exception):
    """Base of all errors; the message names the error and what a person should do."""


class PermanentError(BakehouseError):
    """A retry cannot help: the task fails at once."""


class TransientError(BakehouseError):
    """The next try of the task may succeed.

    Attributes:
        wait: Seconds until another try makes sense, where that is known.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        """See the class."""
        super().__init__(message)
        self.wait = wait


class Blocked(BakehouseError):
    """Refused for now (quota, rate limit, a gate): the task waits deferred.

    Attributes:
        wait: Seconds until it makes sense to ask again.
    """

    def __init__(self, message: str, wait: float = BLOCKED_WAIT) -> None:
        """See the class."""
        super().__init__(message)
        self.wait = wait


class ZoneUnavailable(BakehouseError):
    """The zone has no capacity, or preempted the VM; another zone may have capacity.

    Attributes:
        nothing_created: The call was refused before anything was created.
    """

    def __init__(self, message: str, *, nothing_created: bool = False) -> None:
        """See the class."""
        super().__init__(message)
        self.nothing_created = nothing_created


class NotFound(BakehouseError):
    """The resource of the call does not exist (404)."""


class AlreadyExists(BakehouseError):
    """The name is in use (409)."""


class OutcomeUnknown(BakehouseError):
    """No answer, or a 5xx: whether the change happened is unknown. Look before acting again."""


RETRYABLE = (TransientError, ZoneUnavailable, OutcomeUnknown)
FINAL = (PermanentError, NotFound, AlreadyExists)
FAILURES = (*RETRYABLE, *FINAL)  # all but Blocked: what one of many calls may end with
