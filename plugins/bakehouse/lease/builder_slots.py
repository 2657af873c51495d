"""How many builders of a project run at a time, and who they are.

A slot is a run's right to one running machine, first its builder, then the machine that tries the
image; docs/decisions/0030-builders-at-a-time.md holds why.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.lease.lease import Lease, Owner
from bakehouse.lease.semaphore import Turn, release_all, take_one

if TYPE_CHECKING:
    from airflow.sdk import Context

VARIABLE = "bakehouse_builders"
DEFAULT_LIMIT = 8
HELD_FOR = timedelta(hours=26)  # longer than any builder; matters when Airflow forgot the run


def limit() -> int:
    """The Airflow variable `bakehouse_builders`. Raises PermanentError when it is no number."""
    from airflow.sdk import Variable

    told = str(Variable.get(VARIABLE, default=str(DEFAULT_LIMIT)))
    if not told.strip().isdigit() or int(told) < 1:
        raise PermanentError(f"the Variable {VARIABLE} is {told!r}: set it to a number, 1 or more")
    return int(told)


def owner_of(context: Context) -> Owner:
    """This run, as the holder of a lease."""
    ti = context["ti"]
    return Owner(dag_id=ti.dag_id, run_id=ti.run_id)


def take(context: Context, project: str) -> Turn:
    """A slot for this run, if it has none and one is free."""
    return take_one(
        _slots(project, allowed := limit()),
        allowed,
        owner_of(context),
        datetime.now(UTC),
        HELD_FOR,
        lambda owner: run_state(context, owner),
    )


def release(context: Context, project: str) -> list[int]:
    """Let go of this run's slot; its number, if it had one."""
    return release_all(_slots(project, 0), owner_of(context), datetime.now(UTC))


def run_state(context: Context, owner: Owner) -> str | None:
    """Airflow's state of the run that holds a lease; None when it knows no such run."""
    try:
        state = context["ti"].get_dagrun_state(owner.dag_id, owner.run_id)
    except AirflowRuntimeError as error:
        detail = error.error.detail or {}
        if detail.get("status_code") == 404:
            return None
        raise TransientError(f"Airflow does not say how {owner} fares: {error}") from error
    return DagRunState(state).value  # an enum whose str() is not its value


def _slots(project: str, limit: int) -> dict[int, Lease]:
    from bakehouse.history.location import ledger_url
    from bakehouse.lease.store import builder_slots

    return builder_slots(ledger_url(), project, limit)
