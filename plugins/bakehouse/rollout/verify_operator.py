"""The operator that watches the members of a stage while it soaks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.operations import instance_events
from bakehouse.core.errors import (
    BakehouseError,
    PermanentError,
    TransientError,
)
from bakehouse.core.time import format_utc
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members
from bakehouse.rollout.events import SoakEnded
from bakehouse.rollout.fleet_operator import (
    FAILED_IN_SOAK,
    FleetOperator,
    now,
)
from bakehouse.rollout.second_try import Cause
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.swap import (
    Swap,
    outcome_of,
)
from bakehouse.rollout.watch import cause_of_end, look

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.images.links import Resource

# Beyond the soak time: a member whose last report is not healthy is decided on within some periods
# of at most 10 minutes.
WATCH_ENDS_WITHIN = timedelta(minutes=90)
COMPARED_AT_MOST = 20  # members not replaced: more of them would cost reads and say no more


class VerifyStage(FleetOperator):
    """Watches the members of a stage, and of those before it, for the fleet's `soak` -> names.

    Fails as soon as one of them has failed, and ends well only when each is healthy. The members'
    old disks stay: they are the way back if a later stage fails.

    Args:
        stage: Counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, stage: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Watch for the soak time; without one, until every member is healthy at one look."""
        context["ti"].xcom_push(FAILED_IN_SOAK, [])
        self.begun_plan(context)
        swaps, soak = self._replaced(context), self.fleet.soak or timedelta(0)
        if not self.picked(context, self.stage):
            return Done(self._succeeded(context))
        if not soak and self._are_healthy(swaps):
            return Done(self._succeeded(context))
        return self._watch(swaps, soak, self._others(context, swaps) if soak else {})

    @resumed_by(SoakEnded)
    def soaked(self, context: Context, event: SoakEnded) -> Next:
        """Continue when the watch has ended."""
        if event.error:
            raise TransientError(event.error)
        if event.failed:
            why = {failed.member: failed.why for failed in event.failed}
            told = [
                outcome_of(
                    swap, State.UNHEALTHY, why[swap.member], self._members_own(swap)
                ).model_dump(mode="json")
                for swap in self._replaced(context)
                if swap.member in why
            ]
            context["ti"].xcom_push(FAILED_IN_SOAK, told)
            each = "; ".join(f"{member}: {reason}" for member, reason in why.items())
            raise PermanentError(f"stage {self.stage} did not stay healthy: {each}")
        return Done(self._succeeded(context))

    def _members_own(self, swap: Swap) -> Cause | None:
        """Return the member's own reason, such as a lost host; None: it is the image's."""
        if swap.metadata is not None:
            return Cause.NOT_RENDERED
        try:
            instance = self.compute.instance(swap.zone, swap.member)
            events = instance_events(self.compute.operations(swap.zone), swap.member)
        except BakehouseError as error:
            self.log.warning("whether the host of %s was lost is unknown: %s", swap.member, error)
            return None
        return cause_of_end(swap, instance, [event.kind for event in events])

    def _replaced(self, context: Context) -> list[Swap]:
        """Return the members of this stage and of those before it."""
        stages = range(1, self.stage + 1)
        return [swap for stage in stages for swap in self.picked(context, stage)]

    def _others(self, context: Context, swaps: list[Swap]) -> dict[str, str]:
        """Return members that are not replaced yet and were not ill, to compare with."""
        done = {swap.member for swap in swaps}
        usual = (r for r in self.plan_of(context).reported if r.name not in done and not r.ill)
        return dict([(report.name, report.zone) for report in usual][:COMPARED_AT_MOST])

    def _watch(self, swaps: list[Swap], soak: timedelta, others: dict[str, str]) -> WaitFor:
        from bakehouse.rollout.soak_trigger import SoakTrigger

        began = now()
        if soak:
            self.log.info("watching stage %d until %s", self.stage, format_utc(began + soak))
        trigger = SoakTrigger(
            swaps=[swap.model_dump(mode="json") for swap in swaps],
            conn_id=self.gcp_conn_id,
            began=began.timestamp(),
            until=(began + soak).timestamp(),
            others=others,
            numbers=dict(self.fleet.compare),
        )
        return WaitFor(trigger, "soaked", soak + WATCH_ENDS_WITHIN)

    def _succeeded(self, context: Context) -> list[str]:
        self.check_lease(context)
        swaps = self.picked(context, self.stage)
        self.log.info("stage %d succeeded: %d members", self.stage, len(swaps))
        return [swap.member for swap in swaps]

    def _are_healthy(self, swaps: list[Swap]) -> bool:
        there = members.standing(self.compute, {swap.member: swap.zone for swap in swaps})
        return all(self._is_healthy(swap, there.get(swap.member)) for swap in swaps)

    def _is_healthy(self, swap: Swap, instance: Resource | None) -> bool:
        moment, health = now(), members.health(self.compute, swap.zone, swap.member)
        return look(None, swap, instance, health, moment).is_good(moment, again=False)
