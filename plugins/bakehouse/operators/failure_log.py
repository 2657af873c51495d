"""The end of a failed task's log: details, then the reason in one line, then what to do.

Airflow's task runner logs `Task failed with exception` with all frames of the exception, and no
exception can keep it from that. So the process of a task that fails gets one more processor of
structlog, which puts the reason in the place of that line and drops what would follow it.
docs/decisions/0075-the-end-of-a-failed-tasks-log.md says why no other place could do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException
from structlog.exceptions import DropEvent

from bakehouse.core.errors import BakehouseError
from bakehouse.operators.failure_reason import one_line

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from airflow.sdk import Context

RUNNER = "Task failed with exception"  # what Airflow's task runner logs
FOLLOWS = frozenset({"::group::Post Execute", "::endgroup::", "Retry policy decision"})

CORRECT = "What to do: correct that, then clear this task, or trigger the DAG again"
CLEAR = "What to do: no try is left; clear this task once the cause is gone"
REPORT = "What to do: report this error of Bakehouse with the traceback above it"


def is_explained(error: BaseException) -> bool:
    """Whether the message says all there is to know; the frames of other errors are needed."""
    known = (BakehouseError, AirflowNotFoundException)
    return isinstance(error, known) or isinstance(error.__cause__, known)


def last_words(error: BaseException, what_to_do: str = "") -> str:
    """Return the details of an error, its reason in one line, and what to do. Pure.

    Args:
        error: What the task raises.
        what_to_do: By default what follows from the kind of the error.
    """
    said = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    reason = one_line(error)
    whole = said[:1] if said and reason.endswith("…") else []
    details = [*whole, *said[1:]] if is_explained(error) else []
    return "\n".join([*details, reason, what_to_do or _remedy(error)])


def _remedy(error: BaseException) -> str:
    if not is_explained(error):
        return REPORT
    hopeless = isinstance(error, (AirflowFailException, AirflowNotFoundException))
    return CORRECT if hopeless else CLEAR


class ReasonLast:
    """A processor of structlog: the runner's line becomes the last words of the task."""

    def __init__(self, words: str) -> None:
        self.words = words
        self._said = False

    def __call__(self, _: Any, __: str, line: MutableMapping[str, Any]) -> Any:
        """Return the line to log. Raises DropEvent."""
        if line.get("event") == RUNNER:
            line["event"] = self.words
            line.pop("exc_info", None)
            self._said = True
        elif self._said and line.get("event") in FOLLOWS:
            raise DropEvent
        return line


def say_last(context: Context, error: BaseException, what_to_do: str = "") -> None:
    """Let the log of this process end with the reason of the error."""
    processors = structlog.get_config()["processors"]
    if not isinstance(processors, list):
        return  # another Airflow: its line comes last, with the same reason
    processors[:] = [one for one in processors if not isinstance(one, ReasonLast)]
    # in place, since the runner's logger has this very list
    processors.insert(0, ReasonLast(last_words(error, what_to_do or _next_try(context, error))))


def _next_try(context: Context, error: BaseException) -> str:
    """Say when Airflow tries again, as it will decide by the same policy in a moment."""
    ti: Any = context["ti"]
    task: Any = context.get("task")
    number, most = ti.try_number, getattr(ti, "max_tries", None)
    policy = getattr(task, "retry_policy", None)
    if most is None or policy is None or number > most or isinstance(error, AirflowFailException):
        return ""
    decision = policy.evaluate(error, number, most, context)
    if decision.retry_delay is None:
        return ""
    first = most - (task.retries or 0)  # tries before a clear do not count
    wait = round(decision.retry_delay.total_seconds())
    following = f"try {number - first + 1} of {most - first + 1}"
    return f"What to do: nothing yet; {following} begins in {wait} s"
