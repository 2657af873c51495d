"""Record that a run may have VMs, and take a builder slot, before a task creates one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bakehouse.core.errors import PermanentError
from bakehouse.lease import builder_slots
from bakehouse.operators.reconcile import Again, WaitFor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.plan import BakePlan
    from bakehouse.lease.events import SlotTaken
    from bakehouse.operators.base import BakehouseOperator


def take_slot(operator: BakehouseOperator, context: Context, plan: BakePlan) -> WaitFor | None:
    """Return None if the run has a slot, else the wait for one, after which `slot_taken` continues.

    Every insert of a run's VM follows this call in the same turn: the record of the run comes first
    of all, since delete_builder looks for neither VM nor slot of a run without one.
    """
    from bakehouse.history.location import ledger_url
    from bakehouse.history.machine_requests import MachineRequests

    MachineRequests(ledger_url()).record(plan.provenance)
    project = operator.compute.project
    turn = builder_slots.take(context, project)
    if turn.slot is not None:
        operator.log.info("builder slot %d: %s", turn.slot, turn.why)
        return None
    from bakehouse.lease.triggers import SlotTrigger

    operator.log.info("%s; waiting at most %s", turn.why, plan.builder.wait_for_slot)
    trigger = SlotTrigger(
        ledger=ledger_url(),
        project=project,
        owner=builder_slots.owner_of(context).model_dump(),
        held_for=builder_slots.HELD_FOR.total_seconds(),
        deadline=time.time() + plan.builder.wait_for_slot.total_seconds(),
    )
    return WaitFor(trigger, "slot_taken", 2 * plan.builder.wait_for_slot)


def has_slot(event: SlotTaken, plan: BakePlan) -> Again:
    """Continue after the wait for a slot.

    Raises:
        PermanentError: No slot became free within the recipe's `builder.wait_for_slot`.
    """
    if event.slot is None:
        hours = plan.builder.wait_for_slot.total_seconds() / 3600
        raise PermanentError(
            f"no builder slot within {hours:.1f} h (the recipe's builder.wait_for_slot):"
            f" {event.why}; raise the Variable {builder_slots.VARIABLE}, or spread the schedules"
        )
    return Again()
