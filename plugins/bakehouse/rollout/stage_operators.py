"""The operators of a stage: replace a member, verify the stage, plan the roll-back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import AwareDatetime

from bakehouse.cloud import boot_lines, serial_output
from bakehouse.cloud.operations import instance_events
from bakehouse.core.errors import (
    FINAL,
    RETRYABLE,
    BakehouseError,
    Blocked,
    PermanentError,
    TransientError,
)
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.wait_events import WaitDetail
from bakehouse.images.formats import highest, unreadable
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators import waits
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.operators.waits import begin_wait, end_wait
from bakehouse.rollout import health as health_of
from bakehouse.rollout import members
from bakehouse.rollout.config_change import MetadataChange, is_set
from bakehouse.rollout.events import MembersAnswered, SoakEnded, SwapEnded
from bakehouse.rollout.fleet_operator import (
    FAILED_IN_SOAK,
    STAYS,
    STRANDED,
    FleetOperator,
    now,
    states_of,
)
from bakehouse.rollout.gates import Gate, its_turn, nobody_failed, others_are_up, reports_to_read
from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.orders import Order
from bakehouse.rollout.outcome import beyond_halt_after, in_words
from bakehouse.rollout.rollout_states import rollout_state, stage_failed
from bakehouse.rollout.states import REACHED, STUCK, State, Strategy
from bakehouse.rollout.strategies.swap import (
    Swap,
    back,
    is_old,
    is_touched,
    is_under_way,
    moving,
    outcome_of,
)
from bakehouse.rollout.watch import cause_of_end, look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.images.links import Resource
    from bakehouse.rollout.plan import Reported, RolloutPlan, Target
    from bakehouse.rollout.second_try import Cause

WALK_AT_MOST = timedelta(minutes=30)  # besides the time to get healthy
BACKSTOP = timedelta(minutes=5)
TURN = timedelta(seconds=15)
ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Beyond the soak time: a member whose last report is not healthy is decided on within some periods
# of at most 10 minutes.
WATCH_ENDS_WITHIN = timedelta(minutes=90)
COMPARED_AT_MOST = 20  # members not replaced: more of them would cost reads and say no more
TAIL_BYTES, TAIL_LINES, MOST_LINES = 16_384, 40, 10_000


class ReplaceMemory(HoldMemory):
    """Since when a gate keeps this try from its member, and what it says."""

    closed_first: AwareDatetime | None = None  # of this try: a gate that flaps gains no time
    closed_since: AwareDatetime | None = None
    closed: str = ""


class ReplaceMember(FleetOperator):
    """Replaces the boot disk of one member, in the triggerer -> outcome.

    Args:
        swap: A Swap as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    Memory = ReplaceMemory
    memory: ReplaceMemory
    operator_extra_links = (MachineLink(), SerialLink())

    def __init__(self, *, swap: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.swap = swap

    def reconcile(self, context: Context) -> Next:
        """Start the swap from the member's current state, unless a gate forbids it."""
        swap = Swap.model_validate(self.swap)
        try:
            return self._begin(context, swap)
        except (AirflowSkipException, Blocked):
            raise
        except Exception as error:  # whatever it is, the verdict names the member and the error
            self._push(context, swap, STUCK, f"{type(error).__name__}: {error}")
            raise

    def _begin(self, context: Context, swap: Swap) -> Next:
        from bakehouse.rollout.triggers import SwapTrigger

        self.link_machine(swap.zone, swap.member)
        self.check_lease(context)
        wait = self._gates(context, swap)
        if wait is not None:
            return wait
        within = self.fleet.health_deadline
        one_try = within + WALK_AT_MOST
        deadline = one_try * (2 if swap.second_disk else 1)
        fleet, closed = self.fleet, self.memory.closed_first
        closed_until = (closed + fleet.gate.deadline).timestamp() if closed else None
        fields = HandoverFields(
            gate=fleet.gate, drain=fleet.drain, resume=fleet.resume, busy_limit=fleet.busy_limit
        )
        others, ahead = self._beside(context, swap)
        self.log.info("%s", moving(swap))
        trigger = SwapTrigger(
            swap=self.swap,
            conn_id=self.gcp_conn_id,
            healthy_within=within.total_seconds(),
            deadline=time.time() + deadline.total_seconds(),
            first_until=time.time() + one_try.total_seconds(),
            turn=f"{context['ti'].try_number}.{self.memory.blocked_count}",
            windows=[window.model_dump(mode="json") for window in self.fleet.windows],
            handover=fields.model_dump(mode="json"),
            closed=self.memory.closed,
            closed_until=closed_until,
            others=others,
            ahead=ahead,
        )
        orders = fleet.gate.deadline + fleet.drain.deadline + 2 * fleet.resume.deadline
        return WaitFor(trigger, "walked", deadline + orders + 2 * fleet.busy_limit + BACKSTOP)

    @resumed_by(SwapEnded)
    def walked(self, context: Context, event: SwapEnded) -> Next:
        """Continue when the swap has ended: record it; fail unless the member reached its goal."""
        from bakehouse.rollout.record import record_member

        swap = Swap.model_validate(self.swap)
        if event.closed:
            return self._wait_for_gate(context, swap, event.closed)
        self._gate_is_open(context, swap, event)
        if event.held or event.opened:
            return Again()
        swap = swap.model_copy(
            update={"disk": event.disk or swap.disk, "first_try": event.first_try}
        )
        state = str(event.state) if event.state else STUCK
        outcome = self._push(context, swap, state, event.why, event.cause)
        is_last = context["ti"].try_number > _max_tries(context)
        if event.transient and not is_last:
            raise TransientError(f"the member {swap.member}: {event.why}")
        record_member(context, swap, state, event.why, event.seconds, event.cause)
        if state not in REACHED:
            self._show_serial(swap)
            raise PermanentError(in_words(outcome))
        self.log.info("%s", in_words(outcome))
        return Done(outcome.model_dump(mode="json"))

    def _wait_for_gate(self, context: Context, swap: Swap, why: str) -> Again:
        """Record that the member waits for a gate, and ask on until the gate's deadline.

        Raises:
            PermanentError: The gate was closed for too long.
        """
        from bakehouse.rollout.record import record_member

        now, known = waits.now(), self.memory
        first, since = known.closed_first or now, known.closed_since or now
        self.remember(closed_first=first, closed_since=since, closed=why)
        detail = WaitDetail(what=self.fleet.name, member=swap.member, since=since, why=why)
        if why != known.closed:
            self.log.warning("waiting since %s: %s", format_utc(since), why)
            begin_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        gate = self.fleet.gate
        if now >= first + gate.deadline:
            end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
            told = f"{why}. It has waited since {format_utc(first)}. Hint: {gate.hint}"
            outcome = self._push(context, swap, State.BLOCKED, told)
            record_member(context, swap, State.BLOCKED, told, None)
            raise PermanentError(in_words(outcome))
        return Again()

    def _gate_is_open(self, context: Context, swap: Swap, event: SwapEnded) -> None:
        """Record that the member waits no longer."""
        if self.memory.closed_since is None:
            return
        self.log.info("waited since %s: %s", format_utc(self.memory.closed_since), event.why)
        detail = WaitDetail(
            what=self.fleet.name,
            member=swap.member,
            since=self.memory.closed_since,
            why=event.why if event.opened else Reason.HOLD_ENDED.text,
        )
        end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        self.remember(closed="", closed_since=None)

    def _push(
        self, context: Context, swap: Swap, state: str, why: str, cause: Cause | None = None
    ) -> MemberOutcome:
        """Hand the outcome on to the verdict; a later try replaces it."""
        outcome = outcome_of(swap, state, why, cause)
        context["ti"].xcom_push("outcome", outcome.model_dump(mode="json"))
        return outcome

    def _gates(self, context: Context, swap: Swap) -> WaitFor | None:
        """Return the wait for what holds the member; None if it may be changed."""
        instance = self.compute.instance(swap.zone, swap.member)
        if swap.way == "back" or is_under_way(swap, instance):
            return None  # on its way already: the only right thing is to go on
        gate = nobody_failed(states_of(self.states(context), str(self.task_id)))
        if not gate.open:
            from bakehouse.rollout.record import record_halted

            record_halted(context, swap, gate.why)
            raise AirflowSkipException(f"{swap.member}: {Reason.LINE_HALTED.text} ({gate.why})")
        wait = self.wait_until_allowed(context, swap.image, swap.member)
        if wait is not None:
            return wait
        if swap.metadata is None:
            members.check(self.compute, swap.image)
        if swap.strategy is Strategy.CREATE:
            return None  # it takes nobody away
        made, ahead = self.plan_of(context), self._ahead(context)
        at_most = self.rules_of(made).max_unavailable
        if self.fleet.most_at_once() is None and not its_turn(ahead, at_most).open:
            return self._wait_for_its_turn(len(ahead), at_most)
        gate = self._others_are_up(swap, made, ahead)
        if not gate.open:
            # not Blocked: waiting here would keep the slot that the other's next try needs
            raise TransientError(f"{swap.member} is not changed: {gate.why}")
        return None

    def _beside(self, context: Context, swap: Swap) -> tuple[dict[str, str], list[str]]:
        """Return the fleet's members and their zones, and those whose turn is before this one's.

        Both are empty unless several may be down at a time and the member has a gate to ask.
        """
        made = self.plan_of(context)
        is_asked = swap.way == "forward" and Order.GATE in swap.orders
        if not is_asked or self.rules_of(made).max_unavailable == 1:
            return {}, []
        others = {change.name: change.zone for change in made.changes}
        others |= {report.name: report.zone for report in made.reported}
        return others, self._ahead(context)

    def _ahead(self, context: Context) -> list[str]:
        """Return the members of this stage whose tasks are before this one and have not ended."""
        task, _, stage = str(self.task_id).rpartition("_")
        states = self.states(context)
        before = self.picked(context, int(stage))[: max(0, context["ti"].map_index or 0)]
        return [
            swap.member
            for index, swap in enumerate(before)
            if swap.strategy is not Strategy.CREATE
            and states.get(f"{task}_{stage}_{index}") not in ENDED
        ]

    def _wait_for_its_turn(self, ahead: int, at_most: int) -> WaitFor:
        """Wait while the members before this one are replaced; Airflow bounds no such stage.

        The share of a fleet whose size is not known when the DAG is parsed is no number. The more
        members are ahead, the longer is the wait, so that a large fleet does not ask all the time.
        """
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        wait = TURN * max(1, ahead // at_most)
        self.log.info("%d members come first; looking again in %s", ahead, wait)
        return WaitFor(DateTimeTrigger(moment=now() + wait), "unblocked", wait + BACKSTOP)

    def _others_are_up(self, swap: Swap, made: RolloutPlan, ahead: Collection[str]) -> Gate:
        others = {change.name: change.zone for change in made.changes}
        others |= {report.name: report.zone for report in made.reported}
        there = members.statuses(self.compute, others)
        first, rest = reports_to_read(swap.member, made.reported)
        ill = self._ill_now(first, there)
        known = {report.name for report in made.reported if report.ill}
        if swap.member not in ill and ill.keys() - known:
            ill |= self._ill_now(rest, there)
        # one that does not exist is down: it is yet to be created, or is being recreated
        counts = {*there, *(change.name for change in made.changes if change.strategy.inserts)}
        at_most = self.rules_of(made).max_unavailable
        return others_are_up(swap.member, counts, there, at_most, ill, ahead)

    def _ill_now(
        self, reports: Iterable[Reported], there: Mapping[str, Resource]
    ) -> dict[str, str]:
        """Return why members that run are ill; one that turns ill now is sure by the second look.

        The first look was the plan's.
        """
        ill: dict[str, str] = {}
        for report in reports:
            if there.get(report.name, {}).get("status") != "RUNNING":
                continue
            health = members.health(self.compute, report.zone, report.name)
            if why := health_of.ill(health, report.stamp, report.at, now()):
                ill[report.name] = why
        return ill

    def _show_serial(self, swap: Swap) -> None:
        try:
            text = self.compute.serial_output(swap.zone, swap.member, -TAIL_BYTES)
        except BakehouseError as error:
            self.log.warning("no serial output: %s", error)
            return
        lines = serial_output.split(text, 0, MOST_LINES, last=True).lines
        for line in list(boot_lines.for_terminal(lines))[-TAIL_LINES:]:
            self.log.error("%s", line)


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
        if not soak and all(self._is_healthy(swap) for swap in swaps):
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

    def _is_healthy(self, swap: Swap) -> bool:
        moment, instance = now(), self.compute.instance(swap.zone, swap.member)
        health = members.health(self.compute, swap.zone, swap.member)
        return look(None, swap, instance, health, moment).is_good(moment, again=False)


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
                if isinstance(error, RETRYABLE) and context["ti"].try_number <= _max_tries(context):
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
            return back(swap, None, kept=False, health=None)
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
            why = members.only_disk(self.compute, swap.old)
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
            return members.previous(self.compute, swap.old, swap.image.recipe)
        except Exception:
            if kept:
                return None
            raise


def _image_of(swap: Swap) -> dict[str, str]:
    image = swap.image
    return {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}


def _max_tries(context: Context) -> int:
    return int(context["ti"].max_tries)
