"""The operators that retire images beyond a recipe's `image.keep`.

One task plans, the next one acts: the plan is kept if the second task is killed, and a dry run is
the plan alone. The second task reads the resources again, and changes only what was planned and has
not changed since.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.inventory.listing import read_inventory, read_own_inventory
from bakehouse.operators.reconcile import Done, Next
from bakehouse.retire.machine_images import plan_machine_image_retirement
from bakehouse.retire.references import references, with_running_rollouts
from bakehouse.retire.retirement import Action, Decision, is_done, plan_retirement

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.operators.reconcile import Ask


_UNUSABLE = frozenset({Action.MAKE_OBSOLETE, Action.DELETE})
PLAIN = frozenset({Reason.WITHIN_KEEP, Reason.FAMILYS_NEWEST})


class PlanRetire(InventoryOperator):
    """Decides for each image whether it is retired by one step, with the reason -> [Decision]."""

    def reconcile(self, context: Context) -> Next:
        """Read the resources, and decide."""
        every = retirement_decisions(self, context)
        for decision in every:
            self.log.info("%s", decision)
        going = sum(decision.do is not Action.LEAVE for decision in every)
        self.log.info("%d are retired by one step, %d stay", going, len(every) - going)
        return Done([decision.model_dump(mode="json") for decision in every])


class Retire(InventoryOperator):
    """Retires each planned image by one step, unless it has changed -> [Decision]."""

    def reconcile(self, context: Context) -> Next:
        """Retire each image by one step, if it is still due."""
        from bakehouse.history.image_choices import withdraw
        from bakehouse.housekeeping.record import record_retired

        self.refuse_dry_run(context)
        every = self.received_list(context, "plan_retire", Decision)
        planned = {(d.id, d.do): d for d in every if d.do is not Action.LEAVE}
        now = {(decision.id, decision.do) for decision in retirement_decisions(self, context)}
        due = [decision for key, decision in planned.items() if key in now]
        for decision in due:
            self.log.info("%s", decision)
            record_retired(context, decision)
        withdraw(decision.image for decision in due if decision.do in _UNUSABLE)
        wait = self.carry_out((f"{d.do} {d.image}", self._ask(context, d)) for d in due)
        if wait is not None:
            return wait
        self._record_kept(context, every)
        return Done(self._done(list(planned.values())))

    def _done(self, planned: list[Decision]) -> list[dict[str, Any]]:
        now = read_own_inventory(self.compute)
        standing = {str(image["id"]): image for image in (*now.images, *now.machine_images)}
        done = [d for d in planned if is_done(d, standing.get(d.id))]
        for decision in planned:
            if decision not in done:
                self.log.info("%s stays: it has changed since the plan", decision.image)
        self.log.info("%d were retired by one step", len(done))
        return [decision.model_dump(mode="json") for decision in done]

    def _ask(self, context: Context, decision: Decision) -> Ask:
        request = self.request_id(context, f"{decision.do} {decision.id}")
        if decision.do is Action.DELETE:
            return partial(self.image_client(decision.kind).delete, decision.image, request)
        return partial(self.compute.deprecate_image, decision.image, dict(decision.body), request)

    def _record_kept(self, context: Context, every: list[Decision]) -> None:
        from bakehouse.housekeeping.record import record_kept

        held = [d for d in every if d.do is Action.LEAVE and d.reason not in PLAIN]
        for recipe in sorted({decision.recipe for decision in held}):
            record_kept(context, recipe, [d for d in held if d.recipe == recipe])


def retirement_decisions(operator: InventoryOperator, context: Context) -> list[Decision]:
    """Return the decision for each promoted image."""
    only, inventory = operator.only(context), read_inventory(operator.compute)
    busy = operator.rollouts_going_on(context, (fleet.name for fleet in operator.fleets))
    recipes = {f.recipe: busy[f.name] for f in operator.fleets if f.name in busy}
    found = plan_retirement(
        inventory.images,
        {recipe.name: recipe.image.keep for recipe in operator.recipes},
        with_running_rollouts(references(inventory, operator.recipes), inventory.images, recipes),
        datetime.now(UTC),
        operator.broken,
    )
    keeps = {recipe.name: recipe.image.keep for recipe in operator.recipes}
    found += plan_machine_image_retirement(
        inventory.machine_images, keeps, datetime.now(UTC), operator.broken
    )
    return [decision for decision in found if only in {"", decision.recipe}]
