"""The operators that delete leftovers: VMs, disks, candidates, templates, rendered bundles.

One task plans, the next one acts: the plan is kept if the second task is killed, and a dry run is
the plan alone. The second task reads the resources again, and changes only what was planned and has
not changed since.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from bakehouse.bake.recipe_source import bundle_store
from bakehouse.housekeeping import sweep, template_sweep
from bakehouse.housekeeping.bundles import expired_bundles
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.housekeeping.params import HousekeepingParams
from bakehouse.housekeeping.sweep import Found
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE
from bakehouse.images.labels import FLEET
from bakehouse.images.links import labels_of
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.operators.reconcile import Done, Next

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from airflow.sdk import Context

    from bakehouse.inventory.model import Inventory
    from bakehouse.operators.reconcile import Ask
    from bakehouse.recipe.bundle import StoredBundle


class PlanSweep(InventoryOperator):
    """Decides about each leftover, with the reason -> [Found]."""

    def reconcile(self, context: Context) -> Next:
        """Read the resources, and decide."""
        self.params_of(context, HousekeepingParams)  # refuses what it does not know
        inventory = read_own_inventory(self.compute, templates=True)
        every = resources_to_sweep(self, context, inventory)
        for found in every:
            self.log.info("%s", found)
        for bundle in bundles_to_sweep(self, context, inventory):
            self.log.info("bundle %s/%s: sweep, expired", bundle.recipe, bundle.name)
        going = sum(found.sweep for found in every)
        self.log.info("%d to be deleted, %d stay", going, len(every) - going)
        return Done([found.model_dump(mode="json") for found in every])


class Sweep(InventoryOperator):
    """Deletes planned leftovers, unless they have changed -> [Found], the deleted ones."""

    def reconcile(self, context: Context) -> Next:
        """Delete the leftovers: VMs first, then disks and images."""
        from bakehouse.housekeeping.record import record_swept

        self.refuse_dry_run(context)
        planned = [f for f in self.received_list(context, "plan_sweep", Found) if f.sweep]
        keys = {(f.kind, f.id) for f in planned}
        due = self._due(context, keys)
        for found in due:
            record_swept(context, found)
        machines = [found for found in due if found.kind == "instance"]
        wait = self.carry_out(
            self._deletions(context, machines),
            self._deletions(context, self._others(context, due, keys)),
        )
        return wait or Done(self._gone(context, planned))

    def _due(self, context: Context, keys: Collection[tuple[str, str]]) -> list[Found]:
        every = resources_to_sweep(self, context, read_own_inventory(self.compute, templates=True))
        return [found for found in every if found.sweep and (found.kind, found.id) in keys]

    def _others(
        self, context: Context, due: list[Found], keys: Collection[tuple[str, str]]
    ) -> Iterator[Found]:
        """Return disks and images, read again after the VMs, whose disks are free by then."""
        again = any(found.attached for found in due)
        now = self._due(context, keys) if again else due
        yield from (f for f in now if f.kind != "instance" and not f.attached)

    def _deletions(self, context: Context, every: Iterable[Found]) -> Iterator[tuple[str, Ask]]:
        for found in every:
            where = f" in {found.zone}" if found.zone else ""
            self.log.info("deleting %s%s: %s", found.name, where, found.reason.text)
            yield f"delete {found.kind} {found.name}", self._deletion(context, found)

    def _deletion(self, context: Context, found: Found) -> Ask:
        request = self.request_id(context, f"delete {found.kind} {found.id}")
        if found.kind == "instance":
            return partial(self.compute.delete_instance, found.zone, found.name, request)
        if found.kind == "template":
            return partial(self.compute.delete_template, found.name, request)
        if found.kind == "disk":
            return partial(self.compute.delete_disk, found.zone, found.name, request)
        kind = MACHINE_IMAGE if found.kind == "machine image" else CUSTOM_IMAGE
        return partial(self.image_client(kind).delete, found.name, request)

    def _gone(self, context: Context, planned: list[Found]) -> list[dict[str, Any]]:
        now = read_own_inventory(self.compute, templates=True)
        every = (*now.instances, *now.disks, *now.images, *now.machine_images, *now.templates)
        standing = {str(resource["id"]) for resource in every}
        gone = [found for found in planned if found.id not in standing]
        for found in gone:
            self.log.info("swept %s %s: %s", found.kind, found.name, found.reason.text)
        for found in planned:
            if found.id in standing:
                self.log.info("%s %s stays: it has changed since the plan", found.kind, found.name)
        for bundle in bundles_to_sweep(self, context, now):
            bundle_store().delete(bundle)
            self.log.info("swept bundle %s/%s: expired", bundle.recipe, bundle.name)
        self.log.info("%d swept", len(gone))
        return [found.model_dump(mode="json") for found in gone]


def resources_to_sweep(
    operator: InventoryOperator, context: Context, inventory: Inventory
) -> list[Found]:
    """Return the decision for each resource of these lists."""
    fleets = {f for disk in inventory.disks if (f := labels_of(disk).get(FLEET))}
    fleets |= template_sweep.fleets_of(inventory.templates)
    facts = sweep.SweepFacts(
        now=datetime.now(UTC),
        states=operator.run_states(context, sweep.owners(inventory)),
        busy_fleets=operator.rollouts_going_on(context, fleets),
    )
    only = operator.only(context)
    every = [*sweep.plan(inventory, facts), *template_sweep.plan(inventory, facts)]
    return [found for found in every if only in {"", found.recipe}]


def bundles_to_sweep(
    operator: InventoryOperator, context: Context, inventory: Inventory
) -> list[StoredBundle]:
    """Return expired rendered bundles."""
    stored = bundle_store().listed()
    return expired_bundles(stored, inventory, datetime.now(UTC), operator.only(context))
