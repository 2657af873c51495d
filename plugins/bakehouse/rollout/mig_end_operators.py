"""The end of a rollout to a managed instance group: its way back, and its verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.reasons import Reason
from bakehouse.images.links import resource_name
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.reconcile import Done, Next
from bakehouse.rollout import mig_calls
from bakehouse.rollout.events import GroupMoved
from bakehouse.rollout.fleet_operator import (
    STAYS,
    STRANDED,
    FleetOperator,
)
from bakehouse.rollout.mig_plan import same, versions_of
from bakehouse.rollout.rollout_states import LEFT_BEHIND, RolloutState, stage_failed
from bakehouse.rollout.states import STUCK
from bakehouse.rollout.strategies.mig import back, moving, outcome_of, way_back
from bakehouse.rollout.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from bakehouse.operators.reconcile import Ask
    from bakehouse.rollout.mig_plan import GroupPlan
    from bakehouse.rollout.plan import RolloutPlan


class PlanGroupRollback(FleetOperator):
    """Returns the way back of the group, if a stage has failed -> [GroupMove]."""

    def reconcile(self, context: Context) -> Next:
        """Decide when every task of every stage has ended."""
        states = self.states(context)
        if states.get(self.near("plan")) != "success":
            raise AirflowSkipException("nothing was planned, so nothing is rolled back")
        short = {task.removeprefix(self.near("")): state for task, state in states.items()}
        if not stage_failed(short):
            self.log.info("every stage succeeded")
            return Done([])
        failed = ", ".join(task for task, state in sorted(short.items()) if state == "failed")
        self.notify(
            context, NotificationEvent.ROLLOUT_HALT, "the rollout has halted", f"failed: {failed}"
        )
        why = self.stays(context)
        context["ti"].xcom_push(STAYS, why)
        if why:
            self.log.warning("the group stays as it is: %s", why)
            return Done([])
        self.check_lease(context)
        made = self.plan_of(context)
        context["ti"].xcom_push(STRANDED, [])
        if made.group is None or not self._is_touched(made.group):
            self.log.info("the group was not changed")
            return Done([])
        move = back(made, made.group)
        if why := self._closed(made.group):
            from bakehouse.rollout.record import record_instances

            self.log.error("the group %s cannot go back: %s", move.member, why)
            outcome = outcome_of(move, STUCK, why)
            record_instances(context, move, STUCK, GroupMoved(why=why), [], {})
            context["ti"].xcom_push(STRANDED, [outcome.model_dump(mode="json")])
            return Done([])
        self.log.info("%s", moving(move))
        self.notify(
            context, NotificationEvent.ROLL_BACK, "goes back to its previous template", move.member
        )
        return Done([move.model_dump(mode="json")])

    def _is_touched(self, group: GroupPlan) -> bool:
        there = self.compute.group(group.zone, group.name)
        return there is None or not same(versions_of(there), group.versions)

    def _closed(self, group: GroupPlan) -> str:
        """Return why the group cannot go back; empty if it can.

        With a template whose image is gone the group would delete instances and make none.
        """
        from bakehouse.rollout import mig_facts

        there = self.compute.group(group.zone, group.name)
        if there is None or str(there["id"]) != group.id:
            return Reason.MEMBER_LOST.text
        gone = [v for v in way_back(group) if self.compute.template(v.template) is None]
        if gone:
            return f"its template {resource_name(gone[0].template)} does not exist any more"
        return group.closed or mig_facts.image_gone(self.compute, group)


class GroupVerdict(Verdict):
    """Reports how the group's move has ended, and gives it back its own update policy."""

    def counts(self, made: RolloutPlan) -> str:
        """Say what a good rollout has moved."""
        if made.group is None:
            return "the group runs the image already"
        return f"the group {made.group.name} of {made.group.size} instances has its new template"

    def leftovers(
        self, context: Context, made: RolloutPlan, ending: RolloutState
    ) -> Iterator[tuple[str, Ask]]:
        """Return the update policy that the group had, and after a way back the new template.

        A group that could not go back keeps its updates stopped: they would go on with the image.
        """
        group = made.group
        if group is None or ending in LEFT_BEHIND:
            return
        request = self.request_id(context, f"policy of {group.name} {self.memory.failed}")
        yield (
            f"give {group.name} its own update policy again",
            partial(mig_calls.restore_policy, self.compute, group, request),
        )
        if ending is RolloutState.ROLLED_BACK:
            name = resource_name(group.goal)
            request = self.request_id(context, f"delete {name} {self.memory.failed}")
            yield (
                f"delete the template {name}, which nothing uses",
                partial(mig_calls.delete_template, self.compute, group, made.run, request),
            )
