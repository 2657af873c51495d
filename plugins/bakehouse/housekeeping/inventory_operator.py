"""The base of the operators of `housekeeping` and `revoke`.

It reads the deployed files, and decides about dry runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.fleet.load import load_fleets
from bakehouse.housekeeping.params import HousekeepingParams
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.lease import Claim, Owner, decide
from bakehouse.lease.semaphore import NOBODY
from bakehouse.operators.base import BakehouseOperator
from bakehouse.recipe.load import load_recipes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet
    from bakehouse.notify.models import Channel, NotificationEvent
    from bakehouse.recipe.model import Recipe


class InventoryOperator(BakehouseOperator):
    """An operator that reads the whole project.

    Args:
        include: The deployed folder with `recipes/` and `fleets/`, read when the task runs.
        **kwargs: Of `BakehouseOperator`.
    """

    def __init__(self, *, include: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.include = include

    @cached_property
    def fleets(self) -> list[Fleet]:
        """Those whose file is valid."""
        fleets, broken = load_fleets(Path(self.include) / "fleets")
        for mistakes in broken:
            self.log.warning("a fleet is skipped, its file has mistakes:\n%s", mistakes)
        return fleets

    @cached_property
    def _recipes(self) -> tuple[list[Recipe], list[str]]:
        recipes, broken = load_recipes(Path(self.include) / "recipes")
        for mistakes in broken:
            self.log.warning("a recipe's images are not changed:\n%s", mistakes)
        return recipes, [Path(m.mistakes[0].file).stem for m in broken]

    @property
    def recipes(self) -> list[Recipe]:
        """Those whose file is valid."""
        return self._recipes[0]

    @property
    def broken(self) -> list[str]:
        """The recipes whose file has mistakes."""
        return self._recipes[1]

    def only(self, context: Context) -> str:
        """Return the recipe of the form; empty for all."""
        return self.params_of(context, HousekeepingParams).recipe

    def rollouts_going_on(self, context: Context, fleets: Iterable[str]) -> dict[str, str]:
        """Return the fleets whose lease a running rollout holds, with the reason."""
        from bakehouse.history.location import ledger_url
        from bakehouse.lease.store import lease_name, lease_of

        found: dict[str, str] = {}
        for fleet in sorted(set(fleets)):
            newest = lease_of(ledger_url(), lease_name(fleet)).newest()
            if newest is None or newest.released:
                continue
            state = run_state(context, newest.owner)
            decision = decide(newest, NOBODY, state, datetime.now(UTC))
            if decision.claim is Claim.WAIT:
                found[fleet] = decision.why
        return found

    def run_states(self, context: Context, owners: Iterable[Owner]) -> dict[Owner, str | None]:
        """Return the state of each run; None for one that Airflow does not know."""
        return {owner: run_state(context, owner) for owner in owners}

    def refuse_dry_run(
        self,
        context: Context,
        why: str = "a dry run changes nothing: the previous task has listed what would be done",
    ) -> None:
        """Ends a task that would touch something, in a run that shall not. Raises a skip."""
        if not _is_scheduled(context) and self.params_of(context, HousekeepingParams).dry_run:
            raise AirflowSkipException(why)

    def notify(
        self,
        context: Context,
        channels: Iterable[Channel],
        occasion: NotificationEvent,
        title: str,
        text: str,
    ) -> None:
        """Each channel once, whichever file names it."""
        from bakehouse.notify.send import notify_from_task

        told: list[Channel] = []
        for channel in channels:
            if channel not in told:
                told.append(channel)
        notify_from_task(context, told, occasion, title, text)


def _is_scheduled(context: Context) -> bool:
    """Whether the run is never a dry run; `run_type` is an enum whose `str()` is its name."""
    kind = context["dag_run"].run_type
    return bool(getattr(kind, "value", kind) == "scheduled")
