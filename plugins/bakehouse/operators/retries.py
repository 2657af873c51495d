"""The wait before the next try of a task: by error and kind of task, with jitter.

Airflow asks the policy in the worker. It cannot give more tries than the task's `retries`, and does
not call it when a worker dies: then the task's own `retry_delay` counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from bakehouse.core.errors import (
    FINAL,
    BakehouseError,
    Blocked,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.core.tasks import TaskKind

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class BackOff:
    """An exponential back-off."""

    first: timedelta
    longest: timedelta

    def delay(self, tries: int, jitter: float) -> timedelta:
        """Return the wait after so many tries; `jitter` (0 to 1) shortens it by up to a third."""
        grown = self.first.total_seconds() * 2.0 ** min(max(tries, 1) - 1, 20)
        longest = self.longest.total_seconds()
        return timedelta(seconds=round(min(grown, longest) * (1 - jitter / 3), 1))


BACK_OFF = {
    TaskKind.GIT: BackOff(timedelta(seconds=20), timedelta(minutes=10)),
    TaskKind.CALLS: BackOff(timedelta(seconds=10), timedelta(minutes=10)),
    TaskKind.MACHINE: BackOff(timedelta(seconds=30), timedelta(minutes=15)),
    TaskKind.TEARDOWN: BackOff(timedelta(seconds=10), timedelta(minutes=20)),
}
ELSEWHERE = BackOff(timedelta(seconds=5), timedelta(minutes=15))


class ByError(RetryPolicy):
    """The retry policy: soon in another zone, else after the error's own wait, else by kind."""

    def __init__(self, kind: TaskKind) -> None:
        self.kind = kind

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide about a retry. `try_number` goes on after a clear; only later tries count."""
        error = cause_of(exception)
        if isinstance(error, FINAL):
            return RetryDecision.fail(str(error).partition("\n")[0])
        task: Any = context["task"] if context else None
        tries = try_number - max(0, max_tries - ((task and task.retries) or 0))
        jitter = jitter_of(context, try_number)
        if isinstance(error, ZoneUnavailable):
            return RetryDecision.retry(
                ELSEWHERE.delay(tries, jitter), "another zone may have capacity"
            )
        if isinstance(error, (Blocked, TransientError)) and error.wait:
            wait = timedelta(seconds=round(error.wait * (1 + jitter / 3), 1))
            return RetryDecision.retry(wait, "blocked")
        wait = BACK_OFF[self.kind].delay(tries, jitter)
        return RetryDecision.retry(wait, f"{type(error).__name__} of a task of kind {self.kind}")

    def serialize(self) -> dict[str, Any]:
        """Return the form that Airflow stores."""
        return {"kind": self.kind.value}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ByError:
        """Create the policy from its serialised form."""
        return cls(TaskKind(data["kind"]))


def cause_of(exception: BaseException) -> BaseException:
    """Return the translated error of Bakehouse, else the exception itself."""
    cause = exception.__cause__
    return cause if isinstance(cause, BakehouseError) else exception


def jitter_of(context: Context | None, try_number: int) -> float:
    """Return a value from 0 to 1 for each run, task and try, so that retries are spread."""
    ti = context["ti"] if context else None
    name = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{try_number}" if ti else str(try_number)
    return int(sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def retry_arguments(kind: TaskKind) -> dict[str, Any]:
    """Return the retry arguments of an operator."""
    return {
        "retry_policy": ByError(kind),
        # for a try whose worker died, since then nobody asks the policy
        "retry_delay": BACK_OFF[kind].first,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": BACK_OFF[kind].longest,
    }
