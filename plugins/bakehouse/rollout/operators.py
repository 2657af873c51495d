"""The operators before a stage: image, plan, members of the stage."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.core.tasks import NOTE
from bakehouse.history.pinned import PAST, pinned_images
from bakehouse.history.price_reads import read_prices
from bakehouse.history.rollout_events import RolloutEndedEvent
from bakehouse.images.links import resource_name
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.lease import Claim, acquire
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.base import is_backfill, rolls_out
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members, target_images
from bakehouse.rollout.beside import BESIDE, Beside
from bakehouse.rollout.cost import cost_lines
from bakehouse.rollout.events import GatesAnswered
from bakehouse.rollout.fleet_operator import (
    LEASE_TIME,
    PROGRESS,
    FleetOperator,
    now,
)
from bakehouse.rollout.gate_questions import questions, with_answers
from bakehouse.rollout.plan import Change, RolloutPlan, Skipped, Target
from bakehouse.rollout.plan_text import plan_lines
from bakehouse.rollout.rollout_states import is_stage_task
from bakehouse.rollout.strategies.swap import forward
from bakehouse.rollout.way_back import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airflow.sdk import Context

    from bakehouse.rollout.gate_questions import Question
    from bakehouse.rollout.params import RolloutParams

BACKSTOP = timedelta(minutes=5)  # beyond the trigger's own deadline
DRAFT = "draft"  # an XCom of plan: the plan while its gates are asked


class ChooseImage(FleetOperator):
    """Pins the image of this rollout by its id -> Target. Creates no resource.

    Args:
        image: Name or id; empty for the newest promoted one of the fleet's recipe.
        **kwargs: Of `FleetOperator`.
    """

    template_fields = ("image",)

    def __init__(self, *, image: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image = image

    def reconcile(self, context: Context) -> Next:
        """Choose the image, or skip if no rollout is requested."""
        form = self.form(context)  # refuses what it does not know
        if form.release:
            self._release(context, form)
        if not rolls_out(context):
            raise AirflowSkipException(f"no rollout: {Reason.NOT_ASKED_FOR.text}")
        if is_backfill(context):
            raise AirflowSkipException(f"no rollout: {Reason.BACKFILL.text}")
        wanted, named = str(self.image or "").strip(), bool(form.image)
        if form.metadata and (wanted or form.reconcile):
            raise PermanentError(
                "metadata are changed without an image: leave image and reconcile empty, or trigger"
                " two runs"
            )
        if (form.reconcile or form.metadata) and not wanted:
            wanted = self._pinned()
        chosen = target_images.choose(
            self.compute,
            self.fleet.recipe,
            wanted,
            by_person=named or form.force or bool(form.metadata),
            fleet=self.fleet.name,
            of_history=named or form.force or form.reconcile,
            attested=None if form.metadata else self.attested(),
        )
        if not (named or form.force or form.metadata):
            self._keep_out(context, chosen)
        self.log.info("rolling out %s (id %s, commit %s)", chosen.name, chosen.id, chosen.git_sha)
        return Done(chosen.model_dump(mode="json"))

    def _keep_out(self, context: Context, chosen: Target) -> None:
        """Skip the rollout if a person has rolled the fleet back from this image."""
        from bakehouse.history.hold_store import read_hold
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.holding import refusal

        why = refusal(self.compute, read_hold(ledger_url(), self.fleet.name), chosen)
        if why:
            context["ti"].xcom_push(NOTE, f"no rollout: {why}")
            raise AirflowSkipException(f"no rollout: {why}")

    def _release(self, context: Context, form: RolloutParams) -> NoReturn:
        """Release the hold of the fleet, and skip the rollout."""
        from bakehouse.history.hold_store import read_hold
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.record_decisions import record_release

        if form.image or form.members or form.metadata or form.reconcile:
            raise PermanentError(
                "release only releases the hold: leave image, members, metadata and reconcile"
                " empty, or trigger two runs"
            )
        hold = read_hold(ledger_url(), self.fleet.name)
        if hold is None:
            said = f"{self.fleet.name} has no hold: nothing to release"
        else:
            record_release(context, hold, form.why)
            said = f"released: {hold}"
        context["ti"].xcom_push(NOTE, said)
        raise AirflowSkipException(said)

    def _pinned(self) -> str:
        """Return the id of the image that the fleet is on; empty: it has never been rolled out."""
        from bakehouse.history.ledger import Ledger
        from bakehouse.history.location import ledger_url

        found = Ledger(ledger_url()).recent(RolloutEndedEvent, now() - PAST, now())
        pinned = pinned_images(found).get(self.fleet.name)
        if pinned is None:
            self.log.info("no rollout of %s has ended well yet: the newest image", self.fleet.name)
            return ""
        self.log.info(
            "%s is on %s: only members that differ are changed", self.fleet.name, pinned.name
        )
        return pinned.id


class PlanningOperator(FleetOperator, SkipMixin):
    """The base of what plans -> RolloutPlan. It asks the gates, deferred, before it concludes.

    Args:
        include: The folder that may have the prices by which the plan says what it costs.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, include: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.include = str(include) if include else None

    def reconcile(self, context: Context) -> Next:
        """Read the fleet and plan, then ask the gates."""
        self.check_lease(context)
        image = self.received(context, self.near("choose_image"), Target)
        form = self.form(context)
        # again: this run may have waited for the fleet
        target_images.check(self.compute, image, None if form.metadata else self.attested())
        made = self.make(context, image, form)
        asked, not_asked = questions(made, self.fleet.gate)
        if not asked:
            return self._conclude(context, with_answers(made, (), not_asked, now()))
        return self._ask(context, made, asked)

    @abstractmethod
    def make(self, context: Context, image: Target, form: RolloutParams) -> RolloutPlan:
        """Return the plan without what its gates say, and without its end."""

    @abstractmethod
    def moves(self, made: RolloutPlan) -> str:
        """Return who moves, for people; empty if nobody does."""

    @resumed_by(GatesAnswered)
    def gates_answered(self, context: Context, event: GatesAnswered) -> Next:
        """Conclude with the answers."""
        draft = context["ti"].xcom_pull(task_ids=self.near("plan"), key=DRAFT)
        if draft is None:
            raise TransientError("the plan whose gates were asked is gone: it is made again")
        made = RolloutPlan.model_validate(draft)
        _, not_asked = questions(made, self.fleet.gate)
        return self._conclude(context, with_answers(made, event.answers, not_asked, event.at))

    def _ask(self, context: Context, made: RolloutPlan, asked: list[Question]) -> WaitFor:
        from bakehouse.rollout.gate_survey import SURVEY_WITHIN
        from bakehouse.rollout.gate_survey_trigger import GateSurveyTrigger

        self.log.info("asking %d members what their gates say now", len(asked))
        context["ti"].xcom_push(DRAFT, made.model_dump(mode="json"))
        trigger = GateSurveyTrigger(
            fleet=self.fleet.name,
            gate=self.fleet.gate.model_dump(mode="json"),
            questions=[question.model_dump(mode="json") for question in asked],
            conn_id=self.gcp_conn_id,
        )
        return WaitFor(trigger, "gates_answered", timedelta(seconds=SURVEY_WITHIN) + BACKSTOP)

    def _conclude(self, context: Context, planned: RolloutPlan) -> Done:
        """Tell and record the plan; skip the stages of a run that has nothing to do."""
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.planning import predicted, with_data_of
        from bakehouse.rollout.record import record_plan

        ledger = ledger_url()
        made = predicted(with_data_of(planned, ledger), self.fleet, ledger)
        for line in filter(None, plan_lines(made)):  # a log has no paragraphs
            self.log.info("%s", line)
        if (prices := read_prices(self.include, self.log.warning)) is not None:
            for line in cost_lines(made, self.fleet.template, prices):
                self.log.info("%s", line)
        record_plan(context, made)
        self._hold(context, made)
        context["ti"].xcom_push(DRAFT, None)
        who = self.moves(made)
        if why := refusal(made):
            raise PermanentError(why)
        if made.refused and not made.plan_only:
            raise PermanentError(f"nobody can be moved to {made.image.name}. {_told(made.refused)}")
        if made.plan_only or not who:
            self._skip_stages(context, made)
        else:
            to = f"moves to {made.image.name}"
            self.notify(context, NotificationEvent.ROLLOUT_START, to, who)
        return Done(made.model_dump(mode="json"))

    def _hold(self, context: Context, made: RolloutPlan) -> None:
        """Hold the image that a person rolls the whole fleet back from, before the first stop."""
        from bakehouse.rollout.holding import image_left
        from bakehouse.rollout.record_decisions import record_hold

        form = self.form(context)
        if made.plan_only or made.is_config or not form.image or form.members:
            return
        if (bad := image_left(self.compute, made)) is not None:
            self.log.warning(
                "%s is held back from %s from now on: %s is older",
                bad["name"],
                self.fleet.name,
                made.image.name,
            )
            record_hold(context, made, bad, form.why)

    def _skip_stages(self, context: Context, made: RolloutPlan) -> None:
        """Skip the stages of nobody at once: as tasks they would take half a second each.

        Ends the task, as a success.
        """
        followers = context["task"].get_flat_relatives(upstream=False)
        of_stages = [t for t in followers if is_stage_task(t.task_id.removeprefix(self.near("")))]
        context["ti"].xcom_push("return_value", made.model_dump(mode="json"))
        self.skip(ti=context["ti"], tasks=of_stages)


class Plan(PlanningOperator):
    """Assigns each member to a stage, or names the reason why it is skipped -> RolloutPlan."""

    def make(self, context: Context, image: Target, form: RolloutParams) -> RolloutPlan:
        """Read every member, and plan."""
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.planning import make_plan

        made = make_plan(
            self.compute,
            self.fleet,
            self.run_of(context),
            image,
            ledger_url(),
            only=form.members,
            plan_only=form.plan_only,
            metadata=form.metadata,
            attested=self.attested(),
        )
        for change in made.changes:
            told = change.metadata or change.at_start
            for line in told.diff if told is not None else ():
                self.log.info("%s: %s", change.name, line)
        return made

    def moves(self, made: RolloutPlan) -> str:
        """Return the names of the members that are replaced."""
        return ", ".join(change.name for change in made.changes)


class SelectMembers(FleetOperator):
    """Lists the members of one stage with their last reports -> [Swap]. Renews the lease.

    The XCom `beside` has what each member's task needs of the plan.

    Args:
        stage: Counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, stage: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Wait for a window, renew the lease, and read each member's last report."""
        made = self.begun_plan(context)
        changes = made.stage(self.stage, len(self.fleet.stages))
        if changes:
            wait = self.wait_until_allowed(context, made.image)
            if wait is not None:
                return wait
        self.renew_lease(context)
        swaps = [
            forward(
                made,
                change,
                members.health(self.compute, change.zone, change.name),
                moved=self._has_moved(made, change),
            )
            for change in changes
        ]
        self.log.info("stage %d: %s", self.stage, ", ".join(s.member for s in swaps) or "nobody")
        context["ti"].xcom_push(PROGRESS, now().isoformat())
        if swaps:
            beside = Beside.of(made, self.rules_of(made).max_unavailable, swaps)
            context["ti"].xcom_push(BESIDE, beside.model_dump(mode="json"))
        return Done([swap.model_dump(mode="json") for swap in swaps])

    def _has_moved(self, made: RolloutPlan, change: Change) -> bool | None:
        """Whether an earlier try of this run has moved a member; None where its report tells."""
        if resource_name(change.old.image) != made.image.name:
            return None
        instance = self.compute.instance(change.zone, change.name)
        boot = members.boot_disk_of(instance) if instance is not None else ""
        return boot in {change.disk, change.second_disk}

    def renew_lease(self, context: Context) -> None:
        """Renew the fleet's lease, or fail."""
        me = self.holder(context)
        decision = acquire(self.lease(), me, now(), LEASE_TIME, lambda o: run_state(context, o))
        if decision.claim is not Claim.RENEW:
            self.lease().release(me, now())
            raise PermanentError(
                f"this run had lost the fleet's lease: {decision.why}; clear acquire_lease"
            )


def _told(refused: Iterable[Skipped]) -> str:
    return "; ".join(f"{s.name}: {s.reason.text} ({s.detail})" for s in refused)
