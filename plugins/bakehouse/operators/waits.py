"""Says that a task waits, since when and why: in its log, the ledger and the run's note."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.core.tasks import WAITS
from bakehouse.history.recording import record, run_fields
from bakehouse.history.wait_events import WaitDetail, WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.core.reasons import Reason


def begin_wait(context: Context, reason: Reason, detail: WaitDetail, **image: Any) -> None:
    """Record that this task waits. `image`: the event's recipe, image and git_sha, if known."""
    event = WaitsEvent(
        **run_fields(context),
        **image,
        reason=reason,
        subject=_subject(context, detail),
        detail=detail,
    )
    record(event)
    note = {"since": detail.since.isoformat(), "why": detail.why, "member": detail.member}
    context["ti"].xcom_push(key=WAITS, value=note)


def end_wait(context: Context, reason: Reason, detail: WaitDetail, **image: Any) -> None:
    """Record that this task waits no longer."""
    event = WaitedEvent(
        **run_fields(context),
        **image,
        reason=reason,
        subject=_subject(context, detail),
        detail=detail,
    )
    record(event)
    context["ti"].xcom_push(key=WAITS, value=None)


def now() -> datetime:
    """This moment, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def _subject(context: Context, detail: WaitDetail) -> str:
    """Tell the waits of one run apart."""
    where = detail.member or detail.what
    return f"{where} in {context['ti'].task_id} since {detail.since.isoformat()}"
