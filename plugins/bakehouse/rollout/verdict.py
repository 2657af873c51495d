"""The last operator of a rollout: its outcome, and the disks that nobody needs any more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.cloud.events import OperationEnded
from bakehouse.core.errors import FAILURES, Blocked, PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.core.tasks import NOTE
from bakehouse.images.labels import ROLLED_BACK, failed_in, label_value
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.reconcile import Again, Done, Next, WaitForOperation, resumed_by
from bakehouse.rollout import leftovers, target_images
from bakehouse.rollout.approval import reason_of
from bakehouse.rollout.blame import Blame, blame, is_images
from bakehouse.rollout.fleet_operator import STAYS
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.outcomes_operator import OutcomesOperator
from bakehouse.rollout.plan import RolloutPlan
from bakehouse.rollout.plan_text import in_one_line
from bakehouse.rollout.rollout_states import RolloutState, rollout_state
from bakehouse.rollout.states import REACHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.operators.reconcile import Ask

DELETIONS = 3  # how often a deletion that is refused or fails is asked for
MARKS = 3  # likewise, a mark of the image; the next night would take an image without its mark
MARK_AGAIN = 10.0  # seconds


class VerdictMemory(HoldMemory):
    """What verdict remembers while it waits for marks and deletions."""

    recorded: bool = False
    blame: Blame | None = None
    failed_here: bool = False  # the image has failed in this fleet
    not_marked: str = ""  # why the image could not be marked
    marked: bool = False  # the image has the marks of the outcome, or they were given up
    marks_failed: int = 0  # how often marks were refused or have failed
    failed: int = 0  # how often deletions were refused or have failed


class Verdict(OutcomesOperator):
    """Reports the outcome of each member, and fails the run with the reason.

    A rollout that was rolled back fails too. Then it deletes the disks that nobody needs any more:
    new ones that are unused and, if the rollout has ended well, the old ones of its members. A disk
    that cannot be deleted changes no outcome: it has labels of Bakehouse, and the sweep finds it.
    """

    Memory = VerdictMemory
    memory: VerdictMemory

    def reconcile(self, context: Context) -> Next:
        """Record the outcome, then delete unused disks."""
        states = {self._short(task): state for task, state in self.states(context).items()}
        value = context["ti"].xcom_pull(task_ids=self.near("plan"))
        stranded = self.stranded(context)
        ending = rollout_state(states, stranded=bool(stranded))
        if ending is RolloutState.NOT_REQUESTED:
            raise AirflowSkipException("no rollout was requested")
        if value is None:
            # the task that failed is red, and the run's result: a third one would say no more
            raise AirflowSkipException(
                "no member was changed: a task before the first replacement failed"
            )
        made = RolloutPlan.model_validate(value)
        if made.plan_only:
            return self._planned(context, made)
        succeeded = ending is RolloutState.SUCCEEDED
        left = self.not_reached(context, made) if succeeded else []
        ending = RolloutState.HALTED if left else ending
        outcomes = [*self.outcomes(context, made, states), *stranded]
        reason = (
            _REASONS.get(ending, Reason.NOT_HEALTHY)
            if any(made.names_of_stages)
            else Reason.NOTHING_TO_REPLACE
        )
        if ending is not RolloutState.SUCCEEDED:
            reason = reason_of(self.decisions(context)) or reason
        reason = Reason.STAGES_REMOVED if left else reason
        self._record(context, made, reason, outcomes, ending)
        wait = self._mark(context, made, ending) or self._clean_up(context, made, ending)
        if wait is not None:
            return wait
        if left:
            raise PermanentError(
                f"{', '.join(left)}: {reason.text}. The others run {made.image.name}; trigger the"
                " rollout again"
            )
        if ending is not RolloutState.SUCCEEDED:
            said = [d.in_words() for d in self.decisions(context) if d.decision != "approved"]
            told = [*said, reason.text, _failures(outcomes), *self._what_next(context, made)]
            raise PermanentError(". ".join(part for part in told if part))
        counts = self.counts(made)
        self.log.info("%s", counts)
        if any(made.names_of_stages):
            self.notify(
                context, NotificationEvent.ROLLOUT_FINISH, f"runs {made.image.name}", counts
            )
        every = [outcome.model_dump(mode="json") for outcome in outcomes]
        return Done({"image": made.image.name, "outcomes": every})

    @resumed_by(OperationEnded)
    def operation_ended(self, context: Context, event: OperationEnded) -> Next:
        """Continue after a mark or a deletion; one that has failed is asked for again."""
        try:
            return super().operation_ended(context, event)
        except FAILURES as error:
            if self.memory.marked:
                self._not_deleted(error)
            else:
                self._not_marked(error)
            return Again()

    def _planned(self, context: Context, made: RolloutPlan) -> Next:
        """End a run that was to plan only: its note says what the plan says."""
        said = in_one_line(made)
        self.log.info("nothing was changed, since this run only plans: %s", said)
        context["ti"].xcom_push(NOTE, f"plan only, nothing was changed: {said}")
        return Done({"image": made.image.name, "outcomes": []})

    def _short(self, task_id: str) -> str:
        return task_id.removeprefix(self.near(""))

    def _record(
        self,
        context: Context,
        made: RolloutPlan,
        reason: Reason,
        outcomes: list[MemberOutcome],
        ending: RolloutState,
    ) -> None:
        from bakehouse.rollout.record import record_blame, record_end

        if not self.memory.recorded:
            for outcome in outcomes:
                self.log.info("%s", in_words(outcome))
            rejected = any(one.decision == "rejected" for one in self.decisions(context))
            # a person's no counts like a failure: else the next night would ask again
            is_bad = not made.is_config and (rejected or any(map(is_images, outcomes)))
            form = self.form(context)
            some = bool(form.members) or bool(form.metadata)
            record_end(context, made, reason, outcomes, ending, failed_here=is_bad, partial=some)
            blamed = self._blame(made, outcomes) if ending is not RolloutState.HALTED else None
            if blamed is not None:
                record_blame(context, made, blamed)
            self.remember(recorded=True, blame=blamed, failed_here=is_bad)

    def _blame(self, made: RolloutPlan, outcomes: list[MemberOutcome]) -> Blame | None:
        """Return the blame of the image, if the fleet was to go back from it."""
        if made.is_config:
            return None
        on_failure = self.rules_of(made).on_failure
        if on_failure != "roll_back" or not any(is_images(o) for o in outcomes):
            return None
        return blame(made, outcomes, target_images.images_of(self.compute, made.image.recipe))

    def _mark(
        self, context: Context, made: RolloutPlan, ending: RolloutState
    ) -> WaitForOperation | None:
        """Give the image the marks of the outcome; what is refused to the end is part of it."""
        if self.memory.marked:
            return None
        try:
            wait = self.carry_out(*self._marks(context, made, ending))
        except FAILURES as error:
            self._not_marked(error)
            return None
        self.remember(marked=wait is None)
        return wait

    def _marks(
        self, context: Context, made: RolloutPlan, ending: RolloutState
    ) -> Iterator[list[tuple[str, Ask]]]:
        """Yield the labels first, then the state by which the image's family passes it over."""
        blamed, name, compute = self.memory.blame, made.image.name, self.compute
        here, form = failed_in(self.fleet.name), self.form(context)
        if blamed or self.memory.failed_here:
            told = {here: label_value(context["ti"].run_id)}
            told |= {ROLLED_BACK: self.fleet.name} if blamed else {}
            yield [(f"label image {name}", partial(target_images.mark, compute, made.image, told))]
        elif (
            ending is RolloutState.SUCCEEDED
            and any(made.names_of_stages)
            and not (form.members or form.metadata)
        ):
            # it may have failed here before, and runs on all members now
            unmark = partial(target_images.unmark, compute, made.image, here)
            yield [(f"take the label {here} from image {name}", unmark)]
        if blamed:
            request = self.request_id(context, f"deprecate {made.image.id}")
            deprecate = partial(
                target_images.deprecate, compute, made.image, blamed.newest_link, request
            )
            yield [(f"deprecate image {name}", deprecate)]

    def _not_marked(self, error: Exception) -> None:
        """Ask again in a moment, or give the marks up.

        Raises:
            Blocked: it is to be asked for again.
        """
        self.remember(marks_failed=self.memory.marks_failed + 1)
        if self.memory.marks_failed < MARKS:
            raise Blocked(str(error), MARK_AGAIN) from error
        self.log.warning("the marks of the image are not what they should be: %s", error)
        self.remember(marked=True, not_marked=str(error))

    def _what_next(self, context: Context, made: RolloutPlan) -> list[str]:
        """Say what became of the image, and what to do."""
        blamed, name, fleet = self.memory.blame, made.image.name, self.fleet.name
        command = f"gcloud compute images deprecate {name} --project={self.compute.project}"
        stays = context["ti"].xcom_pull(task_ids=self.near("plan_rollback"), key=STAYS)
        told = [f"Nothing goes back by itself ({stays})"] if stays else []
        if self.memory.not_marked and blamed:
            return [
                *told,
                f"{name} is still the newest image of {made.image.recipe}: it could not be marked"
                f" ({self.memory.not_marked})",
                f"To keep it from being used: {command} --state=DEPRECATED",
            ]
        if self.memory.not_marked:
            why = self.memory.not_marked
            return [*told, f"{name} could not be marked as failed in the fleet {fleet} ({why})"]
        if blamed:
            told.append(
                f"{name} is marked as rolled back:"
                f" the newest image of {made.image.recipe} is {blamed.newest or 'none'} again"
            )
            told.append(
                "Change the recipe and bake; if the image is not to blame:"
                f" {command} --state=ACTIVE"
            )
        if self.memory.failed_here:
            told.append(
                f"No rollout of {fleet} takes {name} by itself any more: name it in the form of"
                f" roll_out__{fleet}, or tick force there, to try it again"
            )
        return told

    def _clean_up(
        self, context: Context, made: RolloutPlan, ending: RolloutState
    ) -> WaitForOperation | None:
        """Delete the disks that nobody needs; what is refused three times is left to the sweep."""
        while self.memory.failed < DELETIONS:
            try:
                return self.carry_out(self.leftovers(context, made, ending))
            except TransientError as error:
                self._not_deleted(error)
        return None

    def _not_deleted(self, error: Exception) -> None:
        self.remember(failed=self.memory.failed + 1)
        then = (
            "asking again" if self.memory.failed < DELETIONS else "the sweep of housekeeping will"
        )
        self.log.warning("unused disks are not deleted yet: %s; %s", error, then)

    def counts(self, made: RolloutPlan) -> str:
        """Say how many members a good rollout has moved."""
        return f"{len(made.changes)} members replaced, {len(made.skipped)} left as they are"

    def leftovers(
        self, context: Context, made: RolloutPlan, ending: RolloutState
    ) -> Iterator[tuple[str, Ask]]:
        """Return what is deleted, or set, when the outcome is known."""
        compute, good = self.compute, ending is RolloutState.SUCCEEDED
        for change in made.changes:
            old = change.old.name
            if change.metadata is not None:
                if good:
                    unpin = partial(leftovers.unpin_metadata, compute, change)
                    yield f"take the metadata back that {change.name} had before", unpin
                continue
            if good and change.at_start is not None:
                unpin = partial(leftovers.unpin_metadata, compute, change)
                yield f"take the metadata back that {change.name} had before", unpin
            for new in filter(None, (change.disk, change.second_disk)):
                request = self.request_id(context, f"delete {new} {self.memory.failed}")
                delete_new = partial(leftovers.delete_new, compute, change, new, request, good=good)
                yield f"delete the unused new disk {new} of {change.name}", delete_new
            request = self.request_id(context, f"delete {old} {self.memory.failed}")
            if good:
                again = self.memory.failed > 0
                delete_old = partial(leftovers.delete_old, compute, change, request, again=again)
                yield f"delete the old disk {old} of {change.name}", delete_old
            else:
                release = partial(leftovers.release_old, compute, change, made.run)
                yield f"label the disk {old}, which {change.name} has back", release


_REASONS = {
    RolloutState.SUCCEEDED: Reason.NEW_IMAGE,
    RolloutState.ROLLED_BACK: Reason.STAGE_FAILED,
}


def _failures(outcomes: list[MemberOutcome]) -> str:
    """Return the first member that failed, and each that is not back."""
    bad = [outcome for outcome in outcomes if outcome.state not in REACHED]
    told = [in_words(outcome) for outcome in bad if outcome.way == "forward"][:1]
    told += [in_words(outcome) for outcome in bad if outcome.way == "back"]
    return "; ".join(told)
