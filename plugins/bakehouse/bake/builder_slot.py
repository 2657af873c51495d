"""A step that runs a machine: with one of the project's slots, in the first zone that has room."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from bakehouse.bake.plan import BakePlan
from bakehouse.bake.recipe_source import GIT
from bakehouse.core.errors import PermanentError, ZoneExhausted
from bakehouse.lease import builder_slots as builders
from bakehouse.operators.base import BakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class BuilderSlotOperator(BakehouseOperator):
    """`take_slot` before a machine is made; whoever deletes the run's machines lets go of it.

    A zone that has nothing left is passed by within the try: `zones_tried` counts them for `act`.
    """

    keeps = (*BakehouseOperator.keeps, "zones_tried")

    def __init__(self, *, git_conn_id: str = GIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.git_conn_id = git_conn_id  # for a bundle that is gone
        self.zones_tried = 0

    def take_slot(self, context: Context, plan: BakePlan) -> None:
        """Return with the slot, or defer until there is one and `act` again."""
        turn = builders.take(context, self.compute.project)
        if turn.slot is None:
            self._wait_for_slot(context, plan, turn.why)
        self.log.info("builders' slot %d: %s", turn.slot, turn.why)

    def _wait_for_slot(self, context: Context, plan: BakePlan, why: str) -> NoReturn:
        from bakehouse.history.location import ledger_url
        from bakehouse.lease.triggers import SlotTrigger

        patience = plan.builder.wait_for_slot
        self.log.info("%s; waiting at most %s", why, patience)
        trigger = SlotTrigger(
            ledger=ledger_url(),
            project=self.compute.project,
            owner=builders.owner_of(context).model_dump(),
            held_for=builders.HELD_FOR.total_seconds(),
            deadline=time.time() + patience.total_seconds(),
        )
        self.wait_for(trigger, "slot_taken", 2 * patience, patience=patience.total_seconds())

    def slot_taken(self, context: Context, event: dict[str, Any], patience: float) -> Any:
        """After the wait: on with it, or the end."""
        if event["slot"] is None:
            raise PermanentError(
                f"no turn within {patience / 3600:.1f} h (the recipe's builder.wait_for_slot):"
                f" {event['why']}; raise the Variable {builders.VARIABLE}, or spread the schedules"
            )
        return self.act(context)

    def _unless_blocked(self, context: Context, work: Callable[[], Any]) -> Any:
        """Act again, in the next zone, when one has nothing left."""
        try:
            return super()._unless_blocked(context, work)
        except ZoneExhausted as gone:
            plan = self.received(context, "plan_bake", BakePlan)
            self.zones_tried += 1
            self.turn += 1  # the old requestId would be answered with the old failure
            if self.zones_tried >= len(plan.zones):
                raise
            self.log.warning("%s; trying the next zone", gone)
            return self._unless_blocked(context, lambda: self.act(context))
