"""Keeping house: sweep what runs left behind, retire images, show which fleets drift.

Each is planned by one task and done by the next: the plan survives whatever happens to the doing,
and a dry run is the plan alone. Whoever does it looks again first, and touches only what was
planned and is still so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from bakehouse.bake.recipe_source import bundle_store
from bakehouse.cloud.events import InstancesGone
from bakehouse.core.errors import FAILURES, PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.housekeeping import sweep
from bakehouse.housekeeping.bundles import expired_bundles
from bakehouse.housekeeping.drift import Drift, drift
from bakehouse.housekeeping.inventory_operator import Ask, InventoryOperator
from bakehouse.housekeeping.sweep import Found
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE
from bakehouse.images.labels import FLEET
from bakehouse.images.links import labels_of
from bakehouse.inventory.listing import read_inventory, read_own_inventory
from bakehouse.inventory.model import Inventory
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.retire.machine_images import plan_machine_image_retirement
from bakehouse.retire.references import references, with_running_rollouts
from bakehouse.retire.retirement import Action, Decision, is_done, plan_retirement

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.recipe.bundle import StoredBundle

GONE_WITHIN = timedelta(minutes=10)
PLAIN = frozenset({Reason.WITHIN_KEEP, Reason.FAMILYS_NEWEST})


class SweepOperator(InventoryOperator):
    """A step that looks for what was left behind."""

    def look(self, context: Context) -> list[Found]:
        """All of it now, each with its decision."""
        return self.decide(context, read_own_inventory(self.compute))

    def expired_bundles(self, context: Context, inventory: Inventory) -> list[StoredBundle]:
        """Rendered bundles beside the ledger that nobody needs any more."""
        stored = bundle_store().listed()
        return expired_bundles(stored, inventory, datetime.now(UTC), self.only(context))

    def decide(self, context: Context, inventory: Inventory) -> list[Found]:
        """What becomes of each thing in these lists."""
        fleets = {f for disk in inventory.disks if (f := labels_of(disk).get(FLEET))}
        facts = sweep.SweepFacts(
            now=datetime.now(UTC),
            states=self.run_states(context, sweep.owners(inventory)),
            busy_fleets=self.rollouts_going_on(context, fleets),
        )
        only = self.only(context)
        return [found for found in sweep.plan(inventory, facts) if only in {"", found.recipe}]


class PlanSweep(SweepOperator):
    """What no run owns any more, and what stays, each with its reason -> [Found]."""

    def reconcile(self, context: Context) -> Next:
        """Look, and decide."""
        inventory = read_own_inventory(self.compute)
        every = self.decide(context, inventory)
        for found in every:
            self.log.info("%s", found)
        for bundle in self.expired_bundles(context, inventory):
            self.log.info("bundle %s/%s: sweep, expired", bundle.recipe, bundle.name)
        going = sum(found.sweep for found in every)
        self.log.info("%d to be swept, %d stay", going, len(every) - going)
        return Done([found.model_dump(mode="json") for found in every])


class Sweep(SweepOperator):
    """Deletes what was planned to be swept, if it still is -> what is gone, [Found]."""

    def reconcile(self, context: Context) -> Next:
        """Delete what still is to be swept: machines first, then disks and images."""
        from bakehouse.housekeeping.record import record_swept

        self.refuse_dry_run(context)
        planned = [f for f in received(context, "plan_sweep", Found) if f.sweep]
        keys = {(f.kind, f.id) for f in planned}
        due = [f for f in self.look(context) if f.sweep and (f.kind, f.id) in keys]
        for found in due:
            record_swept(context, found)
        machines = [f for f in due if f.kind == "instance"]
        names, refused = self._delete_machines(context, machines)
        if names:
            return self._until_gone(names)
        others = [f for f in due if f.kind != "instance" and not f.attached]
        asked = ((f"delete {f.kind} {f.name}", self._deletion(context, f)) for f in others)
        return self.carry_out(asked, refused) or Done(self._gone(context, planned))

    @resumed_by(InstancesGone)
    def instances_gone(self, context: Context, event: InstancesGone) -> Next:
        """After the machines: disks and images are left, or nothing."""
        if event.left:
            raise TransientError(f"still there: {', '.join(event.left)}")
        return Again()

    def _deletion(self, context: Context, found: Found) -> Ask:
        request = self.request_id(context, f"delete {found.kind} {found.id}")
        if found.kind == "disk":
            return partial(self.compute.delete_disk, found.zone, found.name, request)
        kind = MACHINE_IMAGE if found.kind == "machine image" else CUSTOM_IMAGE
        return partial(self.image_client(kind).delete, found.name, request)

    def _delete_machines(
        self, context: Context, machines: Iterable[Found]
    ) -> tuple[dict[str, list[str]], list[str]]:
        """Names by zone of those that go, and why others were refused."""
        names: dict[str, list[str]] = {}
        refused: list[str] = []
        for found in machines:
            self.log.info("deleting %s in %s: %s", found.name, found.zone, found.reason.text)
            request = self.request_id(context, f"delete {found.id}")
            try:
                self.compute.delete_instance(found.zone, found.name, request)
            except FAILURES as error:
                refused.append(str(error))
            else:
                names.setdefault(found.zone, []).append(found.name)
        return names, refused

    def _until_gone(self, names: dict[str, list[str]]) -> WaitFor:
        from bakehouse.cloud.triggers import GoneTrigger

        deadline = time.time() + GONE_WITHIN.total_seconds()
        trigger = GoneTrigger(conn_id=self.gcp_conn_id, machines=names, deadline=deadline)
        return WaitFor(trigger, "instances_gone", 2 * GONE_WITHIN)

    def _gone(self, context: Context, planned: list[Found]) -> list[dict[str, Any]]:
        now = read_own_inventory(self.compute)
        every = (*now.instances, *now.disks, *now.images, *now.machine_images)
        standing = {str(resource["id"]) for resource in every}
        gone = [found for found in planned if found.id not in standing]
        for found in gone:
            self.log.info("swept %s %s: %s", found.kind, found.name, found.reason.text)
        for found in planned:
            if found.id in standing:
                self.log.info(
                    "%s %s stays after all: something has changed", found.kind, found.name
                )
        for bundle in self.expired_bundles(context, now):
            bundle_store().delete(bundle)
            self.log.info("swept bundle %s/%s: expired", bundle.recipe, bundle.name)
        self.log.info("%d swept", len(gone))
        return [found.model_dump(mode="json") for found in gone]


class RetireOperator(InventoryOperator):
    """A step that looks at the images."""

    def look(self, context: Context) -> list[Decision]:
        """All that were promoted, each with its decision."""
        inventory, only = read_inventory(self.compute), self.only(context)
        busy = self.rollouts_going_on(context, (fleet.name for fleet in self.fleets))
        recipes = {f.recipe: busy[f.name] for f in self.fleets if f.name in busy}
        found = plan_retirement(
            inventory.images,
            {recipe.name: recipe.image.keep for recipe in self.recipes},
            with_running_rollouts(references(inventory, self.recipes), inventory.images, recipes),
            datetime.now(UTC),
            self.broken,
        )
        keeps = {recipe.name: recipe.image.keep for recipe in self.recipes}
        found += plan_machine_image_retirement(
            inventory.machine_images, keeps, datetime.now(UTC), self.broken
        )
        return [decision for decision in found if only in {"", decision.recipe}]


class PlanRetire(RetireOperator):
    """Which image goes a stage further, and which stays, each with its reason -> [Decision]."""

    def reconcile(self, context: Context) -> Next:
        """Look, and decide."""
        every = self.look(context)
        for decision in every:
            self.log.info("%s", decision)
        going = sum(decision.do is not Action.LEAVE for decision in every)
        self.log.info("%d go a stage further, %d stay", going, len(every) - going)
        return Done([decision.model_dump(mode="json") for decision in every])


class Retire(RetireOperator):
    """Does what was planned, if it is still so -> [Decision]: one stage for each image and run."""

    def reconcile(self, context: Context) -> Next:
        """Take each image one stage further, if it is still due."""
        from bakehouse.housekeeping.record import record_retired

        self.refuse_dry_run(context)
        every = received(context, "plan_retire", Decision)
        planned = {(d.id, d.do): d for d in every if d.do is not Action.LEAVE}
        now = {(decision.id, decision.do) for decision in self.look(context)}
        due = [decision for key, decision in planned.items() if key in now]
        for decision in due:
            self.log.info("%s", decision)
            record_retired(context, decision)
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
                self.log.info("%s stays after all: something has changed", decision.image)
        self.log.info("%d went a stage further", len(done))
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


class ShowDrift(InventoryOperator):
    """Which members do not run the newest promoted image, and how old theirs is -> [Drift]."""

    def reconcile(self, context: Context) -> Next:
        """Compare each fleet with its newest promoted image."""
        from bakehouse.housekeeping.record import record_drift

        inventory = read_own_inventory(self.compute, machine_images=False)
        only = self.only(context)
        found: list[Drift] = []
        for fleet in self.fleets:
            if only in {"", fleet.recipe}:
                seen = drift(fleet, inventory, datetime.now(UTC))
                self._log_drift(seen)
                record_drift(context, fleet.recipe, seen)
                found.append(seen)
        return Done([seen.model_dump(mode="json") for seen in found])

    def _log_drift(self, seen: Drift) -> None:
        count = f"{seen.on_newest} of {seen.on_newest + len(seen.behind)} members"
        self.log.info("%s: %s on the newest image, %s", seen.fleet, count, seen.newest or "none")
        for member in seen.behind:
            age = "which is gone" if member.age_days is None else f"{member.age_days} days old"
            self.log.warning("%s: %s runs %s, %s", seen.fleet, member.name, member.image, age)


def received(context: Context, task_id: str, model: Callable[..., Any]) -> list[Any]:
    """The list that the planning task returned. Raises PermanentError without one."""
    told: list[Mapping[str, Any]] | None = context["ti"].xcom_pull(task_ids=task_id)
    if told is None:
        raise PermanentError(f"{task_id} returned no XCom: clear {task_id} and downstream")
    return [model(**item) for item in told]
