"""The operator that decides, after all stages, who goes back, and to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import (
    FINAL,
    RETRYABLE,
    Blocked,
    PermanentError,
)
from bakehouse.core.reasons import Reason
from bakehouse.images.formats import highest, unreadable
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members, target_images
from bakehouse.rollout.config_change import MetadataChange, is_set
from bakehouse.rollout.events import MembersAnswered
from bakehouse.rollout.fleet_operator import (
    STAYS,
    STRANDED,
    FleetOperator,
    max_tries,
)
from bakehouse.rollout.outcome import beyond_halt_after
from bakehouse.rollout.rollout_states import rollout_state, stage_failed
from bakehouse.rollout.states import STUCK, Strategy
from bakehouse.rollout.strategies.swap import (
    Swap,
    back,
    is_old,
    is_touched,
    outcome_of,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.images.links import Resource
    from bakehouse.rollout.plan import RolloutPlan, Target


class RollbackMemory(HoldMemory):
    """What the data of the members have by now; None: they were not asked yet."""

    formats: dict[str, dict[str, int]] | None = None


class PlanRollback(FleetOperator):
    """Lists the members to roll back, in reverse order, after all replacements -> [Swap]."""

    Memory = RollbackMemory
    memory: RollbackMemory

    def reconcile(self, context: Context) -> Next:
        """Decide when every task of every stage has ended."""
        states = self.states(context)
        if states.get(self.near("plan")) != "success":
            raise AirflowSkipException("nothing was planned, so nothing is rolled back")
        made = self.begun_plan(context)
        short = {task.removeprefix(self.near("")): state for task, state in states.items()}
        if not stage_failed(short):
            self.log.info("every stage succeeded")
            return Done([])
        wait = self._ask_for_formats(made)
        if wait is not None:
            return wait
        self.log.info("the rollout is %s", rollout_state(short).replace("_", " "))
        failed = ", ".join(task for task, state in sorted(short.items()) if state == "failed")
        self.notify(
            context, NotificationEvent.ROLLOUT_HALT, "the rollout has halted", f"failed: {failed}"
        )
        stays = self.stays(context) or self._beyond_halt_after(context, short)
        context["ti"].xcom_push(STAYS, stays)
        if stays:
            self.log.warning("the fleet stays as it is: %s", stays)
            return Done([])
        self.check_lease(context)
        stages = range(self.last_stage(made), 0, -1)
        done = [swap for stage in stages for swap in reversed(self.picked(context, stage))]
        ways, stranded = self._ways_back(context, done)
        closed = {way.member: why for way in ways if (why := self._closed(made, way))}
        if closed:
            stays = f"the way back is closed: {'; '.join(dict.fromkeys(closed.values()))}"
            self.log.warning("the fleet stays as it is: %s", stays)
            context["ti"].xcom_push(STAYS, stays)
            return Done([])
        names = ", ".join(way.member for way in ways)
        self.log.info("members that go back: %s", names or "none")
        if ways or stranded:
            but = "".join(f"; {outcome.member} cannot: {outcome.why}" for outcome in stranded)
            self.notify(
                context,
                NotificationEvent.ROLL_BACK,
                "goes back to its previous images",
                f"{names or 'nobody'}{but}",
            )
        return Done([way.model_dump(mode="json") for way in ways])

    def _ask_for_formats(self, made: RolloutPlan) -> WaitFor | None:
        """Return the wait for what members say of their data, which somebody may have finalised.

        Only images that declare what they can read can be kept from being used.
        """
        if self.memory.formats is not None or not any(made.reads.values()):
            return None
        from bakehouse.rollout.ask_trigger import AskMembersTrigger, time_limit

        there = members.statuses(self.compute, self._everybody(made))
        running = {
            name: zone
            for name, zone in self._everybody(made).items()
            if there.get(name, {}).get("status") == "RUNNING"
        }
        if not running:
            self.remember(formats={})
            return None
        trigger = AskMembersTrigger(members=running, conn_id=self.gcp_conn_id)
        return WaitFor(trigger, "answered", time_limit(len(running)))

    @resumed_by(MembersAnswered)
    def answered(self, context: Context, event: MembersAnswered) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue with what the data have now."""
        for name, why in event.silent.items():
            self.log.info("%s does not say what its data have: %s", name, why)
        self.remember(formats={name: answer.formats for name, answer in event.answers.items()})
        return Again()

    def _closed(self, made: RolloutPlan, way: Swap) -> str:
        """Return why a member cannot go back: its image cannot read its data; empty if it can."""
        if way.strategy is Strategy.REMOVE or way.metadata is not None:
            return ""
        said = self.memory.formats or {}
        has = said.get(way.member) or highest([made.formats, *said.values()])
        return unreadable(has, way.image.name, way.reads)

    @staticmethod
    def _everybody(made: RolloutPlan) -> dict[str, str]:
        changed = {change.name: change.zone for change in made.changes}
        return changed | {report.name: report.zone for report in made.reported}

    def _beyond_halt_after(self, context: Context, states: dict[str, str | None]) -> str:
        """Return why so many members do not go back by themselves; a person may have said so."""
        if any(one.decision == "rejected" for one in self.decisions(context)):
            return ""
        made = self.plan_of(context)
        limit = self.rules_of(made).halt_after
        return beyond_halt_after(limit, states, len(made.changes))

    def _ways_back(
        self, context: Context, done: list[Swap]
    ) -> tuple[list[Swap], list[MemberOutcome]]:
        """Return the members to roll back, and those that cannot be, each with the reason.

        An error about one member is that member's alone: the others go back.
        """
        from bakehouse.rollout.record import record_member

        ways: list[Swap] = []
        stranded: list[MemberOutcome] = []
        for swap in done:
            try:
                way = self._way_back(swap)
            except Blocked:
                raise
            except Exception as error:  # whatever it is, the other members must not wait for it
                if isinstance(error, RETRYABLE) and context["ti"].try_number <= max_tries(context):
                    raise
                why = str(error) if isinstance(error, FINAL) else f"{type(error).__name__}: {error}"
                self.log.error("the member %s cannot go back: %s", swap.member, why)
                there = back(swap, None, kept=True, health=None)
                record_member(context, there, STUCK, why, None)
                stranded.append(outcome_of(there, STUCK, why))
            else:
                ways += [way] if way is not None else []
        told = [outcome.model_dump(mode="json") for outcome in stranded]
        context["ti"].xcom_push(STRANDED, told)
        return ways, stranded

    def _way_back(self, swap: Swap) -> Swap | None:
        """Return the swap back; None for a member that was not changed.

        Raises:
            PermanentError: There is no way back.
        """
        instance = self.compute.instance(swap.zone, swap.member)
        if swap.metadata is not None:
            return self._config_back(swap, swap.metadata, instance)
        if swap.strategy is Strategy.CREATE:
            if instance is not None and not swap.is_ours(instance):
                raise PermanentError(Reason.MEMBER_LOST.text)
            there = instance is not None and instance["status"] == "RUNNING"
            health = members.health(self.compute, swap.zone, swap.member) if there else None
            return back(swap, None, kept=False, health=health)
        if instance is not None and not swap.is_member(instance):
            raise PermanentError(Reason.MEMBER_LOST.text)
        if instance is None and not swap.strategy.inserts:
            raise PermanentError(Reason.MEMBER_LOST.text)
        if instance is not None and not is_touched(instance, swap.old):
            self.log.info("the member %s was not changed", swap.member)
            return None
        kept = is_old(self.compute.disk(swap.zone, swap.old.name), swap.old)
        image = self._image(swap, kept=kept)
        if image is None and not kept:
            why = target_images.only_disk(self.compute, swap.old, self.attested())
            raise PermanentError(f"its old disk {swap.old.name} does not exist any more, and {why}")
        health = members.health(self.compute, swap.zone, swap.member) if instance else None
        way = back(swap, image, kept=kept, health=health)
        # what is to be deleted on the way back may be the instance that this run has made
        return way.model_copy(update={"id": str(instance["id"])}) if instance else way

    def _config_back(
        self, swap: Swap, metadata: MetadataChange, instance: Resource | None
    ) -> Swap | None:
        """Return the way back to the metadata that the plan has pinned.

        Raises:
            PermanentError: The instance is gone.
        """
        if instance is None or not swap.is_member(instance):
            raise PermanentError(Reason.MEMBER_LOST.text)
        if is_set(instance, metadata.before):
            self.log.info("the member %s was not changed", swap.member)
            return None
        return swap.model_copy(update={"way": "back", "metadata": metadata.back})

    def _image(self, swap: Swap, *, kept: bool) -> Target | None:
        """Return the image that the member had; with its old disk kept, errors do not matter."""
        try:
            known = self.attested() if not kept else None
            return target_images.previous(self.compute, swap.old, swap.image.recipe, known)
        except Exception:
            if kept:
                return None
            raise
