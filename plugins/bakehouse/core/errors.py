"""What happens next when something went wrong: another try, a later moment, or the end.

Every error of Bakehouse is one of these siblings, none of which knows Airflow: `operators/base.py`
translates them once, `operators/retries.py` says how long the next try waits. Pure.
"""

from __future__ import annotations

BLOCKED_WAIT = 60.0  # seconds


class BakehouseError(Exception):
    """Base of all; the message says what happened to what, and what a person should do."""


class PermanentError(BakehouseError):
    """No try can heal this: the task fails at once."""


class TransientError(BakehouseError):
    """The next try of the task may succeed.

    Attributes:
        wait: Seconds until another try makes sense, where that is known.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Blocked(BakehouseError):
    """Refused for now from outside (quota, rate limit, a gate): the task waits deferred.

    Attributes:
        wait: Seconds until it makes sense to ask again.
    """

    def __init__(self, message: str, wait: float = BLOCKED_WAIT) -> None:
        super().__init__(message)
        self.wait = wait


class ZoneUnavailable(BakehouseError):
    """This zone cannot give what is asked for, or took it away; another zone may have it.

    Attributes:
        nothing_created: The call was refused before anything was made, as by a stock-out.
    """

    def __init__(self, message: str, *, nothing_created: bool = False) -> None:
        super().__init__(message)
        self.nothing_created = nothing_created


class NotFound(BakehouseError):
    """What the call names is not there (404)."""


class AlreadyExists(BakehouseError):
    """The name is in use (409)."""


class OutcomeUnknown(BakehouseError):
    """No answer, or a 5xx: whether the change happened is unknown. Look before acting again."""


RETRYABLE = (TransientError, ZoneUnavailable, OutcomeUnknown)
FINAL = (PermanentError, NotFound, AlreadyExists)
FAILURES = (*RETRYABLE, *FINAL)  # all but Blocked: what one of many calls may end with
