"""Bakehouse's errors as Airflow's own, and why a try has failed as the end of its log."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskDeferralTimeout,
)

from bakehouse.core.errors import (
    FINAL,
    RETRYABLE,
    TransientError,
)
from bakehouse.operators.failure_log import is_explained, say_last
from bakehouse.operators.failure_reason import keep_reason

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from airflow.sdk import Context


log = logging.getLogger(__name__)


@contextmanager
def keeping_the_reason(context: Context) -> Generator[None]:
    """Keep why this try fails, for the run's result and as the end of its log.

    A skip or a deferral is no failure. An error of ours says all in its message; of any other the
    frames come first.
    """
    try:
        yield
    except (AirflowSkipException, DownstreamTasksSkipped):
        raise
    except Exception as error:
        keep_reason(context, error)
        if not is_explained(error):
            log.exception("an error that Bakehouse does not expect")
        say_last(context, error)
        raise


@contextmanager
def as_airflow_errors() -> Generator[None]:
    """Translate errors of Bakehouse into Airflow's; the cause stays on the exception.

    Raises:
        AirflowFailException: If a retry cannot help.
        AirflowException: If a retry may help; the retry policy reads the cause.
    """
    try:
        yield
    except FINAL as error:
        raise AirflowFailException(str(error)) from error
    except RETRYABLE as error:
        raise AirflowException(str(error)) from error


def trigger_failure(told: Mapping[str, Any]) -> Exception:
    """Return why a trigger has failed; Airflow's own method would say no more than that it has.

    TaskDeferralTimeout if the wait took too long, else TransientError: another try may help, as may
    a triggerer that was started again.
    """
    why = str(getattr(told.get("error"), "value", told.get("error")) or "Unknown")
    frames = "".join(told.get("traceback") or ()).strip()
    if not frames:
        if why == TriggerFailureReason.TRIGGER_TIMEOUT.value:
            return TaskDeferralTimeout(why)
        return TransientError(f"the trigger failed: {why}")
    last = frames.splitlines()[-1].strip()
    name, _, said = last.partition(": ")
    if not name.startswith("bakehouse.core.errors."):
        log.error("the trigger failed:\n%s", frames)
    else:
        last = said or name
    return TransientError(f"the trigger failed: {last}")
