"""Builder slots: the limit of builders that a project runs at a time.

A slot entitles a run to one running VM: first its builder, then the VM of its smoke test. See
docs/decisions/0030-builders-at-a-time.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.lease.lease import Lease, Owner
from bakehouse.lease.semaphore import SlotGrant, acquire_slot, release_slots

if TYPE_CHECKING:
    from airflow.sdk import Context

VARIABLE = "bakehouse_builders"
DEFAULT_LIMIT = 8
HELD_FOR = timedelta(hours=26)  # longer than any builder; counts if Airflow does not know the run


def limit() -> int:
    """Read the Variable `bakehouse_builders`. Raises PermanentError if it is not a number."""
    from airflow.sdk import Variable

    value = str(Variable.get(VARIABLE, default=str(DEFAULT_LIMIT)))
    if not value.strip().isdigit() or int(value) < 1:
        raise PermanentError(f"the Variable {VARIABLE} is {value!r}: set it to a number, 1 or more")
    return int(value)


def owner_of(context: Context) -> Owner:
    """Return this run as the owner of a lease."""
    ti = context["ti"]
    return Owner(dag_id=ti.dag_id, run_id=ti.run_id)


def take(context: Context, project: str) -> SlotGrant:
    """Acquire a slot for this run, if one is free or the run has one already."""
    return acquire_slot(
        _slots(project, allowed := limit()),
        allowed,
        owner_of(context),
        datetime.now(UTC),
        HELD_FOR,
        lambda owner: run_state(context, owner),
    )


def release(context: Context, project: str) -> list[int]:
    """Release this run's slot; return its number, if there was one."""
    return release_slots(_slots(project, 0), owner_of(context), datetime.now(UTC))


def run_state(context: Context, owner: Owner) -> str | None:
    """Return the state of the run that holds a lease; None if Airflow does not know the run."""
    try:
        state = context["ti"].get_dagrun_state(owner.dag_id, owner.run_id)
    except AirflowRuntimeError as error:
        detail = error.error.detail or {}
        if detail.get("status_code") == 404:
            return None
        raise TransientError(f"Airflow did not return the state of {owner}: {error}") from error
    return DagRunState(state).value  # an enum whose str() is not its value


def _slots(project: str, limit: int) -> dict[int, Lease]:
    from bakehouse.history.location import ledger_url
    from bakehouse.lease.store import builder_slots

    return builder_slots(ledger_url(), project, limit)
