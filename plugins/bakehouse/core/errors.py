"""What happens next when something went wrong: another try, a later moment, or the end.

Every error that leaves a task of Bakehouse is one of these three; `cloud/errors.py` says which,
`retries.py` how long the next try waits.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException


class TransientError(AirflowException):
    """The next try of the task may succeed: Airflow retries with its back-off."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait  # seconds until another try makes sense, where that is known


class ZoneUnavailable(TransientError):
    """This zone cannot give what is asked for, or took it away; the next try goes to another."""


class ZoneExhausted(ZoneUnavailable):
    """ZoneUnavailable, and nothing was made here."""


class Blocked(TransientError):
    """Blocked from outside (quota, rate limit, a gate): the step waits deferred, using no try.

    `Step` catches it; only a step that has waited past its deadline fails, as with TransientError.
    """

    def __init__(self, message: str, wait: float = 60.0) -> None:
        super().__init__(message, wait)
        self.wait: float = wait


class PermanentError(AirflowFailException):
    """No try can heal this; the task fails at once and the message says what a person should do."""
