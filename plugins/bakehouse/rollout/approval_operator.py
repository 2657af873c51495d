"""The operator that asks a person, between two stages, whether the rollout goes on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from bakehouse.core.errors import BakehouseError, PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.core.tasks import WAITS
from bakehouse.history.wait_events import WaitDetail
from bakehouse.images.links import resource_name
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.reconcile import Done, Next
from bakehouse.operators.waits import begin_wait, end_wait, now
from bakehouse.rollout import members
from bakehouse.rollout.approval import Decision, Question
from bakehouse.rollout.fleet_operator import DECISION, FleetOperator
from bakehouse.rollout.mig_progress import managed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.fleet.model import Fleet
    from bakehouse.operators.held_operator import Tell
    from bakehouse.rollout.health import Health
    from bakehouse.rollout.mig_plan import GroupPlan
    from bakehouse.rollout.plan import RolloutPlan

MOST_IMAGES = 3  # old ones whose packages are compared
MOST_REPORTS = 50  # members whose reports are read for the question


class ApproveStage(FleetOperator, ApprovalOperator):
    """Asks in Airflow (Required Actions) whether the stages behind this one may begin.

    A rejection and a time-out fail the task, so that no further member is touched
    (`fail_on_reject`): with Airflow's default a task with the rule none_failed runs after a
    rejection.

    Args:
        fleet: of the rollout; it has `approval`.
        stage: the stage before the question, counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, fleet: Fleet, stage: int, **kwargs: Any) -> None:
        super().__init__(
            fleet=fleet,
            subject=f"{fleet.name}: go on after stage {stage}?",
            body="",
            fail_on_reject=True,
            response_timeout=fleet.approval.timeout if fleet.approval else None,
            **kwargs,
        )
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Ask, unless nothing is left to approve."""
        made = self.plan_of(context)
        if not self._goes_on(made):
            self.log.info("no stage with a member follows: nothing to approve")
            return Done(None)
        question = self._question(made)
        self.subject, self.body = question.subject, question.body()
        self.log.info("%s\n%s", self.subject, self.body)
        self.notify(
            context,
            NotificationEvent.APPROVAL,
            f"waits for an approval after stage {self.stage}",
            f"{made.image.name}; at most {self.response_timeout}, then"
            f" {self.fleet.approval.on_timeout if self.fleet.approval else 'roll_back'}",
        )
        until = now() + self.response_timeout if self.response_timeout else None
        self._tell(context, begin_wait, now(), until, Reason.NEEDS_APPROVAL.text, made)
        return self._ask(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Next:
        """Go on after an approval.

        Raises:
            PermanentError: It was rejected, or nobody answered in time.
        """
        try:
            answer = super().execute_complete(context, event)
        except HITLRejectException:
            self._end(context, "rejected", _name(event))
        except HITLTimeoutError:
            self._end(context, "timed_out", "")
        decision = Decision(stage=self.stage, decision="approved", by=_name(answer))
        self._answered(context, decision)
        context["ti"].xcom_push(key=DECISION, value=decision.model_dump(mode="json"))
        self.log.info("%s", decision.in_words())
        return Done(decision.model_dump(mode="json"))

    def _ask(self, context: Context) -> NoReturn:
        ApprovalOperator.execute(self, context)
        raise AssertionError("Airflow's operator parks the task")

    def _end(self, context: Context, decision: Any, by: str) -> NoReturn:
        ended = Decision(stage=self.stage, decision=decision, by=by)
        self._answered(context, ended)
        context["ti"].xcom_push(key=DECISION, value=ended.model_dump(mode="json"))
        raise PermanentError(f"{ended.in_words()}; no further member is changed")

    def _answered(self, context: Context, decision: Decision) -> None:
        said = context["ti"].xcom_pull(task_ids=self.task_id, key=WAITS)
        if said:
            since = datetime.fromisoformat(said["since"])
            self._tell(context, end_wait, since, None, decision.in_words(), self.plan_of(context))

    def _tell(
        self,
        context: Context,
        record: Tell,
        since: datetime,
        until: datetime | None,
        why: str,
        made: RolloutPlan,
    ) -> None:
        detail = WaitDetail(what=self.fleet.name, since=since, until=until, why=why)
        image = made.image
        known = {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}
        record(context, Reason.NEEDS_APPROVAL, detail, **known)

    def _goes_on(self, made: RolloutPlan) -> bool:
        numbers = range(1, len(made.stages) + 1)
        if made.group is not None:
            moving = [number for number in numbers if made.group.moves(number)]
        else:
            moving = [number for number in numbers if made.stages[number - 1]]
        return any(n <= self.stage for n in moving) and any(n > self.stage for n in moving)

    def _question(self, made: RolloutPlan) -> Question:
        if made.group is not None:
            return self._question_of_group(made, made.group)
        done = [change for stage in made.stages[: self.stage] for change in stage]
        names = {change.name for change in done}
        others = [report for report in made.reported if report.name not in names]
        images = (change.old.image for change in made.changes if change.old.image)
        olds = dict.fromkeys(resource_name(image) for image in images)
        return Question(
            plan=made,
            stage=self.stage,
            done={change.name: self._health(change.zone, change.name) for change in done},
            others={
                report.name: self._health(report.zone, report.name)
                for report in others[:MOST_REPORTS]
            },
            packages={old: self._packages(old, made.image.name) for old in [*olds][:MOST_IMAGES]},
        )

    def _question_of_group(self, made: RolloutPlan, group: GroupPlan) -> Question:
        """Return the question about a managed group, whose instances are those of the moment."""
        every = self.compute.managed_instances(group.zone, group.name)
        there = [one for shown in every if (one := managed(shown)).is_quiet][:MOST_REPORTS]
        reports = {one: self._health(one.zone, one.name) for one in there}
        old = resource_name(group.old_image)
        return Question(
            plan=made,
            stage=self.stage,
            done={one.name: h for one, h in reports.items() if one.template == group.goal},
            others={one.name: h for one, h in reports.items() if one.template != group.goal},
            packages={old: self._packages(old, made.image.name)} if old else {},
        )

    def _health(self, zone: str, name: str) -> Health | None:
        try:
            return members.health(self.compute, zone, name)
        except BakehouseError as error:
            self.log.warning("the report of %s cannot be read: %s", name, error)
            return None

    def _packages(self, old: str, new: str) -> str:
        from bakehouse.history.diff import diff_images, summarize
        from bakehouse.history.location import ledger_url
        from bakehouse.history.manifest_store import ManifestNotFound, read_manifest

        try:
            before, after = (read_manifest(ledger_url(), image) for image in (old, new))
        except ManifestNotFound as missing:
            return f"unknown, {missing}"
        return summarize(diff_images(old, before, new, after))


def _name(event: Any) -> str:
    by = event.get("responded_by_user") or {} if isinstance(event, dict) else {}
    user = by if isinstance(by, dict) else vars(by)
    return str(user.get("name") or user.get("id") or "")
