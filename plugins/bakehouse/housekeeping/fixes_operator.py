"""Find the security updates that members lack, and ask for the runs that give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.history.bake_events import UpdatesEvent
from bakehouse.history.fleet_events import MissingFixesEvent
from bakehouse.history.metric_export import export
from bakehouse.history.metrics import missing_fix_days
from bakehouse.history.missing_fixes import ImageFixes, missing_fixes
from bakehouse.housekeeping.drift import members
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.housekeeping.overdue_fixes import FixRequest, NewestImage, fix_request
from bakehouse.images.selection import created_at, newest_promoted
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.operators.reconcile import Done, Next
from bakehouse.triggers.supervisor_comms import trigger_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet
    from bakehouse.inventory.model import Inventory


class FindMissingFixes(InventoryOperator):
    """Looks at the archives for every image that members run -> [FixRequest]."""

    def reconcile(self, context: Context) -> Next:
        """Record what each image lacks, tell it for each member, and list the runs to ask for."""
        from bakehouse.history.ledger import Ledger
        from bakehouse.history.location import ledger_url

        only, now = self.only(context), datetime.now(UTC)
        fleets = [fleet for fleet in self.fleets if only in {"", fleet.recipe}]
        inventory = read_own_inventory(self.compute, machine_images=False)
        running = {fleet.name: self._running(fleet, inventory, now) for fleet in fleets}
        newest = {fleet.recipe: _newest(inventory, fleet.recipe) for fleet in fleets}
        images = {image: image_id for run in running.values() for image, image_id in run.values()}
        images |= {
            one.name: "" for one in newest.values() if one is not None and one.name not in images
        }
        self._look(context, images, now)
        events = Ledger(ledger_url()).events(kinds=(MissingFixesEvent, UpdatesEvent))
        fixes = missing_fixes(events)
        requests = []
        for fleet in fleets:
            on = {member: image for member, (image, _) in running[fleet.name].items()}
            self._tell(fleet, on, fixes, now)
            request = fix_request(fleet, on, fixes, newest[fleet.recipe], now)
            if request is not None:
                self.log.warning("%s: %s", request.dag_id or "no run helps", request.why)
                requests.append(request)
        return Done([request.model_dump(mode="json") for request in requests])

    def _running(
        self, fleet: Fleet, inventory: Inventory, now: datetime
    ) -> dict[str, tuple[str, str]]:
        """Return the image of each member, by name and id; one without an image is left out."""
        return {
            member.name: (member.image, member.image_id)
            for member in members(fleet, inventory, now)
            if member.image
        }

    def _look(self, context: Context, images: Mapping[str, str], now: datetime) -> None:
        from bakehouse.history.location import ledger_url
        from bakehouse.history.shared_reads import SharedReads
        from bakehouse.housekeeping.record import record_missing_fixes
        from bakehouse.updates.check import find_missing

        ledger, since = ledger_url(), getattr(context["dag_run"], "start_date", None) or now
        for image, image_id in sorted(images.items()):
            found = find_missing(ledger, image, now, SharedReads(ledger, since))
            record_missing_fixes(context, found, image_id)

    def _tell(
        self, fleet: Fleet, on: Mapping[str, str], fixes: Mapping[str, ImageFixes], now: datetime
    ) -> None:
        for member, image in sorted(on.items()):
            known = fixes.get(image)
            if known is not None and known.is_known:
                days = known.oldest.days(now) if known.oldest is not None else 0.0
                export([missing_fix_days(fleet.name, member, days)])
            if known is None or not known.is_known:
                why = "; ".join(known.unread) if known is not None else "nobody has looked"
                self.log.warning("%s: missing fixes of %s are unknown: %s", fleet.name, member, why)
            elif (fix := known.oldest) is not None:
                text = "%s: %s lacks %s %s (%s) for %s days, and %d fixes in all"
                told = (fix.package, fix.available, fix.suite, fix.days(now), len(known.missing))
                self.log.warning(text, fleet.name, member, *told)
            else:
                self.log.info("%s: %s lacks no fix", fleet.name, member)


class AskForFixes(InventoryOperator):
    """Triggers the runs that `find_missing_fixes` lists -> their ids. Each once a day."""

    def reconcile(self, context: Context) -> Next:
        """Trigger them; one that exists is left alone, so that a retry triggers none twice."""
        self.refuse_dry_run(context)
        told = context["ti"].xcom_pull(task_ids="find_missing_fixes") or []
        requests = [FixRequest.model_validate(one) for one in told]
        wanted = _one_each(request for request in requests if request.dag_id)
        if not wanted:
            raise AirflowSkipException("no fleet asks for a run")
        day = f"{context['dag_run'].run_after:%Y-%m-%d}"
        asked: list[str] = []
        for request in wanted:
            run_id = f"fixes__{day}"
            is_new = trigger_run(request.dag_id, run_id, request.conf, request.why)
            self.log.info("%s %s: %s", request.dag_id, run_id, "asked for" if is_new else "exists")
            asked.append(f"{request.dag_id} {run_id}")
        return Done(asked)


def _one_each(requests: Iterable[FixRequest]) -> list[FixRequest]:
    """Two fleets of one recipe ask for one bake."""
    return list({request.dag_id: request for request in requests}.values())


def _newest(inventory: Inventory, recipe: str) -> NewestImage | None:
    found = newest_promoted(inventory.images, recipe)
    if found is None:
        return None
    return NewestImage(name=str(found["name"]), created=created_at(found))
