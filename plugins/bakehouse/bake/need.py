"""Skip a bake whose content exists: by the plan's decision, and again after waiting for others.

Two runs with the same content at the same time (a backfill beside a scheduled run, two dates of
one backfill) would bake it twice. The first one holds the content's lease. The other one waits for
it, then uses its image, or bakes itself if the first one has ended without an image.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.providers.standard.utils.skipmixin import SkipMixin

from bakehouse.bake.plan import BakePlan
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.selection import newest_with_content
from bakehouse.lease.builder_slots import HELD_FOR, owner_of, run_state
from bakehouse.lease.events import LeaseLooksFree
from bakehouse.lease.lease import Claim, Lease, acquire
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by

if TYPE_CHECKING:
    from airflow.sdk import Context

SAME_CONTENT_AT_MOST = timedelta(hours=6)


class NeedBake(BakehouseOperator, SkipMixin):
    """Ends the run, with the reason in the log, if an image has this content already.

    Skips only its direct followers: teardowns run whatever happens.
    """

    def reconcile(self, context: Context) -> Next:
        """Return True, skip the followers, or wait while another run bakes the same content."""
        plan = self.received(context, "plan_bake", BakePlan)
        if not plan.bake:
            return self._nothing_to_bake(context, plan, str(plan.existing_image))
        if not plan.force:
            if (wait := self._wait_for_others(context, plan)) is not None:
                return wait
            other = self._baked_meanwhile(plan)
            if other is not None:
                content_lease(plan).release(owner_of(context), datetime.now(UTC))
                return self._nothing_to_bake(context, plan, other)
        self._record_updates(context, plan)
        self.log.info("baking %s: %s", plan.image_name, plan.reason.text)
        return Done(True)

    @resumed_by(LeaseLooksFree)
    def other_run_ended(self, context: Context, event: LeaseLooksFree) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue after the wait for the other run."""
        if not event.free:
            raise PermanentError(
                f"another run has been baking the same content for {SAME_CONTENT_AT_MOST}:"
                f" {event.why}; stop it and clear this task"
            )
        return Again()

    def _wait_for_others(self, context: Context, plan: BakePlan) -> WaitFor | None:
        me, lease = owner_of(context), content_lease(plan)
        now = datetime.now(UTC)
        decision = acquire(lease, me, now, HELD_FOR, lambda owner: run_state(context, owner))
        return self._wait(context, plan, decision.why) if decision.claim is Claim.WAIT else None

    def _wait(self, context: Context, plan: BakePlan, why: str) -> WaitFor:
        from bakehouse.history.location import ledger_url
        from bakehouse.lease.store import content_lease_name
        from bakehouse.lease.triggers import LeaseTrigger

        self.log.info("another run bakes this content: %s", why)
        trigger = LeaseTrigger(
            ledger=ledger_url(),
            name=content_lease_name(plan.recipe, plan.content_key),
            owner=owner_of(context).model_dump(),
            deadline=time.time() + SAME_CONTENT_AT_MOST.total_seconds(),
        )
        return WaitFor(trigger, "other_run_ended", 2 * SAME_CONTENT_AT_MOST)

    def _baked_meanwhile(self, plan: BakePlan) -> str | None:
        """Return the image of this content that another run has created since the plan."""
        wanted = f"labels.{labels.CONTENT_KEY}={plan.content_key}"
        images = self.image_client(plan.kind).list(wanted)
        found = newest_with_content(plan.content_key, images, history=plan.history)
        name = str(found["name"]) if found else None
        return None if name == plan.existing_image else name

    def _record_updates(self, context: Context, plan: BakePlan) -> None:
        from bakehouse.bake.ledger_records import record_updates

        record_updates(context, plan)

    def _nothing_to_bake(self, context: Context, plan: BakePlan, image: str) -> Done:
        from bakehouse.bake.ledger_records import record_covers

        if plan.reason is Reason.ROLLED_BACK:
            self.log.warning("not baked: %s (%s)", plan.reason.text, image)
        else:
            self.log.info("nothing to bake: %s, %s", Reason.SAME_CONTENT.text, image)
        if plan.updates is not None and not plan.bake:
            self.log.info("%s", plan.updates.in_words())
        record_covers(context, plan, image)
        followers = context["task"].get_direct_relatives(upstream=False)
        self.skip(ti=context["ti"], tasks=[task for task in followers if not task.is_teardown])
        return Done(False)


def content_lease(plan: BakePlan) -> Lease:
    """Return the lease of a plan's content; the teardown releases it."""
    from bakehouse.history.location import ledger_url
    from bakehouse.lease.store import content_lease_name, lease_of

    return lease_of(ledger_url(), content_lease_name(plan.recipe, plan.content_key))
