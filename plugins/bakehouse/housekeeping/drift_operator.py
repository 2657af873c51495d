"""Show which members are not on their image, differ from the template, are ill, or are missing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.history.pinned import PAST, pinned_images
from bakehouse.history.rollout_events import RolloutEndedEvent
from bakehouse.housekeeping.drift import Drift, drift, members, regions_of_addresses, running
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.lease import Owner
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.rollout.declared_fleet import by_name
from bakehouse.rollout.events import SurveyEnded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet
    from bakehouse.inventory.model import Inventory

SURVEY_AT_MOST = timedelta(minutes=30)
BACKSTOP = timedelta(minutes=5)


class ShowDrift(InventoryOperator):
    """Lists members that are not on their image, not as declared, ill, or missing -> [Drift]."""

    def reconcile(self, context: Context) -> Next:
        """Read the reports of the members that run, then compare each fleet with its image."""
        from bakehouse.rollout.survey_trigger import SurveyTrigger

        fleets = self._wanted(context)
        inventory = read_own_inventory(self.compute, machine_images=False)
        # whoever is in mid-swap is silent on purpose
        busy = self.rollouts_going_on(context, (fleet.name for fleet in fleets))
        quiet = [fleet for fleet in fleets if fleet.name not in busy]
        wanted = sorted({member for fleet in quiet for member in running(fleet, inventory)})
        if not wanted:
            return self._show(context, inventory, {})
        deadline = time.time() + SURVEY_AT_MOST.total_seconds()
        trigger = SurveyTrigger(wanted=wanted, conn_id=self.gcp_conn_id, deadline=deadline)
        return WaitFor(trigger, "surveyed", SURVEY_AT_MOST + BACKSTOP)

    @resumed_by(SurveyEnded)
    def surveyed(self, context: Context, event: SurveyEnded) -> Next:
        """Compare each fleet with its newest promoted image."""
        if event.unread:
            self.log.warning("not every report could be read: %s", event.unread)
        inventory = read_own_inventory(self.compute, machine_images=False)
        return self._show(context, inventory, event.ill)

    def _wanted(self, context: Context) -> list[Fleet]:
        only = self.only(context)
        return [fleet for fleet in self.fleets if only in {"", fleet.recipe}]

    def _show(self, context: Context, inventory: Inventory, ill: Mapping[str, str]) -> Done:
        from bakehouse.history.hold_store import read_holds
        from bakehouse.history.ledger import Ledger
        from bakehouse.history.location import ledger_url
        from bakehouse.housekeeping.record import record_drift, record_members

        now = datetime.now(UTC)
        pinned = pinned_images(Ledger(ledger_url()).recent(RolloutEndedEvent, now - PAST, now))
        held = read_holds(ledger_url())
        self._record_cut_short(context, now)
        found: list[dict[str, Any]] = []
        for fleet in self._wanted(context):
            reserved = {
                region: by_name(self.compute.addresses(region))
                for region in sorted(regions_of_addresses(fleet))
            }
            seen = drift(fleet, inventory, now, ill, pinned.get(fleet.name), reserved)
            self._log_drift(seen)
            if fleet.name in held:
                self.log.info("%s", held[fleet.name])
            every = members(fleet, inventory, now)
            record_members(context, fleet.recipe, fleet.name, every)
            record_drift(context, fleet.recipe, seen)
            found.append(seen.model_dump(mode="json"))
        return Done(found)

    def _record_cut_short(self, context: Context, now: datetime) -> None:
        """Rollouts whose run was deleted are under way no longer."""
        from bakehouse.history.cut_short import KINDS, cut_short
        from bakehouse.history.ledger import Ledger
        from bakehouse.history.location import ledger_url
        from bakehouse.history.recording import record

        ledger = Ledger(ledger_url())
        _, found = cut_short(
            lambda: ledger.events(kinds=KINDS),
            lambda dag_id, run_id: run_state(context, Owner(dag_id=dag_id, run_id=run_id)),
            now,
            context["ti"].task_id,
        )
        for event in found:
            self.log.warning(
                "the rollout %s of %s is cut short: %s",
                event.run_id,
                event.detail.fleet,
                event.detail.why,
            )
            record(event)

    def _log_drift(self, seen: Drift) -> None:
        count = f"{seen.on_newest} of {seen.on_newest + len(seen.behind)} members"
        self.log.info("%s: %s on the newest image, %s", seen.fleet, count, seen.newest or "none")
        for member in seen.behind:
            age = "which was deleted" if member.age_days is None else f"{member.age_days} days old"
            self.log.warning("%s: %s runs %s, %s", seen.fleet, member.name, member.image, age)
        for member in seen.strayed:
            text = "%s: %s runs %s instead of %s, the image of the fleet's last rollout"
            self.log.warning(text, seen.fleet, member.name, member.image or "nothing", seen.pinned)
        for other in seen.others:
            told = "; ".join(other.differs)
            self.log.warning("%s: %s differs from the template: %s", seen.fleet, other.name, told)
        for name in seen.undeclared:
            self.log.warning("%s: %s was created for it, and its file lacks it", seen.fleet, name)
        if seen.strayed or seen.others or seen.missing:
            self.log.info("%s: `reconcile` in the form of roll_out__%s mends it", *[seen.fleet] * 2)
        for ill in seen.ill:
            self.log.warning("%s: %s: %s", seen.fleet, ill.name, ill.why)
        if seen.missing:
            names = ", ".join(seen.missing)
            self.log.warning("%s: no instance exists for %s", seen.fleet, names)
