"""The trigger of a member's swap.

Blocking calls and log lines go to threads; the event loop is shared by every trigger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace as replace_fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import operations
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.errors import QUOTA_WAIT
from bakehouse.cloud.poller import Cloud
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.cloud.request_id import RequestIds
from bakehouse.core.errors import (
    FAILURES,
    RETRYABLE,
    BakehouseError,
    Blocked,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.core.errors import (
    FINAL as FINAL_ERRORS,
)
from bakehouse.images.links import resource_name, zone_of
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import hold
from bakehouse.rollout import members, replace
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.gates import down_beside
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.handover import DataUnreadable, DrainFailed, Handover, HandoverFields
from bakehouse.rollout.health import HealthAssessment, assess_health, explain, parse
from bakehouse.rollout.moves import IllegalMove, move
from bakehouse.rollout.observation import MemberObservation, read
from bakehouse.rollout.rollout_disks import first_try_of
from bakehouse.rollout.second_try import (
    STOPS_AT_MOST,
    TRIED_AGAIN,
    Cause,
    cause_of,
    late_in,
    stopped_while_it_booted,
    taken_away,
)
from bakehouse.rollout.states import ACTIONS, DOING, FINAL, TEXTS, Action, Resumed, State, Strategy
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.schedule.window import Window
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

ERRORS_IN_A_ROW = 10
LONGEST_PAUSE = 60.0
# A member is down while a step of its swap runs: asked for by name at first, then with all others
# of the zone, by one list every second.
AT_FIRST = (0.1, 0.2, 0.3, 0.4)
LISTED_EVERY = 1.0
LOOKS_WHILE_BOOTING = 2  # in the poll interval, one of them at the whole member

# Seconds after which a member that waits for a gate is looked at by its task again: another member
# may have failed meanwhile, or a freeze has begun.
CLOSED_AT_MOST = 120.0
BEFORE_THE_STOP = frozenset({Action.ASK, Action.DRAIN, Action.STOP, Action.RENDER})
WHILE_DOWN = frozenset(
    {Action.STOP, Action.DETACH, Action.ATTACH, Action.START, Action.DELETE, Action.INSERT}
)


class _Closed(Exception):
    """A gate is closed, and why; the task records that the member waits."""


class _Opened(Exception):
    """A gate is open that was closed; the task asks everything else again."""


class _Held(Exception):
    """The member may not be stopped now, and why."""


class SwapTrigger(BakehouseTrigger):
    """Moves one member to its goal, with a second try on a fresh disk. Fires `SwapEnded`.

    Args:
        swap: a Swap as JSON.
        conn_id: the connection.
        healthy_within: seconds from a start until the member must be healthy.
        deadline: of all tries, in seconds since 1970.
        turn: of the task's tries; part of each request's id.
        windows: of the fleet, outside which no member is stopped, as JSON.
        first_until: when the first try ends, likewise; None: at the deadline, without a second.
        handover: a HandoverFields as JSON; None in what older versions have stored.
        closed: why a gate was closed that the member waits for; empty: it does not.
        closed_until: how long it may wait, in seconds since 1970.
        others: of a fleet of which several may be down: its members, and their zones.
        ahead: those whose turn is before this member's own and has not ended.
    """

    def __init__(
        self,
        *,
        swap: dict[str, Any],
        conn_id: str,
        healthy_within: float,
        deadline: float,
        turn: str,
        windows: list[dict[str, Any]] | None = None,
        first_until: float | None = None,
        handover: dict[str, Any] | None = None,
        closed: str = "",
        closed_until: float | None = None,
        others: dict[str, str] | None = None,
        ahead: list[str] | None = None,
        **other: Any,
    ) -> None:
        super().__init__(
            swap=swap,
            conn_id=conn_id,
            healthy_within=healthy_within,
            deadline=deadline,
            turn=turn,
            windows=windows or [],
            first_until=first_until,
            handover=handover,
            closed=closed,
            closed_until=closed_until,
            others=others,
            ahead=ahead,
            **other,
        )
        self.others, self.ahead = others or {}, ahead or []
        self.fields = HandoverFields.model_validate(handover or {})
        self.closed, self.closed_until = closed, closed_until
        self._cloud: Cloud | None = None
        self._began = time.monotonic()
        self.conn_id, self.deadline, self.turn = conn_id, deadline, turn
        self.windows = [Window.model_validate(window) for window in windows or []]
        self.healthy_within, self.first_until = healthy_within, first_until
        self._begin(Swap.model_validate(swap))

    def _begin(self, swap: Swap) -> None:
        """Begin a try."""
        self.swap = swap
        self._ids = RequestIds(swap.run, f"{swap.member}/{swap.way}/{swap.disk}", self.turn)
        self.goal = swap.goal(timedelta(seconds=self.healthy_within), self.fields.busy_limit)
        self._handover: Handover | None = None
        self._counted = -1  # of a busy member
        self._progress: datetime | None = None  # when it has counted so far
        self._looked = 0.0
        self._state: State | None = None
        self._stops = 0  # while it booted
        self._glances = 0  # since the last look at the whole member
        self._observed = MemberObservation(instance_id=None)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        begun = time.time()
        ended = await self._try()
        if ended.cause and ended.cause in TRIED_AGAIN and self.swap.second_disk:
            await self._info(
                "%s: %s (%s); it is tried once more, on the fresh disk %s",
                self.swap.member,
                ended.cause.text,
                ended.why,
                self.swap.second_disk,
            )
            ended = await self._second_try(ended)
        told = {"disk": self.swap.disk, "first_try": self.swap.first_try}
        seconds = round(time.time() - begun, 1) if ended.state is not None else None
        await asyncio.sleep(max(0.0, begun + FIRST_LOOK - time.time()))  # not fired too early
        yield self.fire(ended.model_copy(update={**told, "seconds": seconds}))

    async def _second_try(self, first: SwapEnded) -> SwapEnded:
        """Return the end of the second try; of the first one, if no second disk can be made."""
        swap, said = self.swap, self._observed.health
        self._begin(swap.again(first.why, said.boot_id if said else None))
        second = await self._try()
        if second.state is not None or self._state not in {None, State.PENDING, State.PREPARING}:
            return second
        self._begin(swap)
        why = f"{first.why}; there was no second try: {second.why}"
        return first.model_copy(update={"why": why})

    async def _try(self) -> SwapEnded:
        """Walk to the end of this try; a final error is its end too."""
        ended = await self._walked()
        if self._handover is not None:
            with suppress(Blocked, *FAILURES):
                if self._state is not None and ACTIONS[self._state] in BEFORE_THE_STOP:
                    await self._handover.undo()
                await self._handover.orders.take_back()
        return ended

    async def _walked(self) -> SwapEnded:
        try:
            cloud = self._cloud = await Cloud.of(self.conn_id)
            state = await self._walk(cloud)
            if state is State.REPLACED:
                return SwapEnded(state=state, why=self._why())
            return SwapEnded(state=state, why=self._why(), cause=await self._cause(state))
        except IllegalMove as error:
            # its new disk is gone; any other move is of somebody who changes the instance
            is_disk = error.after is State.PENDING
            return SwapEnded(why=str(error), cause=Cause.NO_DISK if is_disk else Cause.GONE)
        except _Held as held:
            await self._info("%s is not stopped: %s", self.swap.member, held)
            return SwapEnded(why=str(held), held=True)
        except _Closed as closed:
            return SwapEnded(state=self._state, why=str(closed), closed=str(closed))
        except _Opened as opened:
            return SwapEnded(state=self._state, why=str(opened), opened=True)
        except _Late as late:
            return SwapEnded(why=str(late), transient=True, cause=late.cause)
        except FINAL_ERRORS as error:
            return SwapEnded(why=str(error))
        except RETRYABLE as error:
            is_full = isinstance(error, ZoneUnavailable)
            return SwapEnded(
                why=str(error), transient=True, cause=Cause.STOCK_OUT if is_full else None
            )

    async def _walk(self, cloud: Cloud) -> State:
        errors = 0
        while not self._is_over():
            try:
                await cloud.rate_limiter.acquire(self._priority)
                if await self._turn(cloud):
                    errors = 0
            except Blocked as blocked:
                await self._wait_out(blocked)
            except (DrainFailed, DataUnreadable):
                raise
            except FAILURES as error:
                errors += 1
                await self._pause(error, errors, cloud.interval)
            if self._state in FINAL:
                return self._state
        where = TEXTS[self._state] if self._state else "it could not be read"
        raise _Late(f"its deadline has passed: {where}", late_in(self._state))

    @property
    def _priority(self) -> Priority:
        """Who is down, and waits for its next step, goes before those that boot."""
        step = ACTIONS[self._state] if self._state else None
        is_down = self._state is State.STOPPING or step in WHILE_DOWN
        return Priority.STEP if is_down else Priority.RESULT

    def _is_over(self) -> bool:
        """Whether the time of this try is over; without a cure by a fresh disk it goes on."""
        now = time.time()
        is_first = self.swap.second_disk and self.first_until is not None
        if is_first and now >= (self.first_until or 0.0) and late_in(self._state) is not None:
            return True
        return now >= self.deadline

    async def _turn(self, cloud: Cloud) -> bool:
        """Observe the member and perform the next action; return whether its state has changed."""
        moved = await self._look()
        step = ACTIONS[self._state] if self._state else Action.WAIT
        is_new = step is Action.INSERT and self.swap.strategy is Strategy.CREATE
        if step in BEFORE_THE_STOP or is_new:
            await self._before_stop()
        if step is Action.ASK:
            step = await self._ask()
        if step is Action.WAIT:
            is_booting = self._state is State.BOOTING
            await asyncio.sleep(
                cloud.interval / LOOKS_WHILE_BOOTING if is_booting else cloud.interval
            )
        elif step in {Action.DRAIN, Action.RENDER, Action.RESUME}:
            await self._order(step)
        elif step not in {Action.ASK, Action.END}:
            await self._do(step, cloud)
        return moved

    @property
    def handover(self) -> Handover:
        """What this try's member agrees to, and is told."""
        if self._handover is None:
            if self._cloud is None:
                raise TransientError("the member is asked before its cloud is known")
            limiter, swap = self._cloud.rate_limiter, self.swap
            orders = GuestOrders(self.conn_id, swap.zone, swap.member, limiter)
            beside = self._beside if self.others else None
            self._handover = Handover(swap, self.fields, orders, self.turn, self._info, beside)
        return self._handover

    async def _beside(self) -> frozenset[str]:
        """Return the other members that are down by now, or may be stopped at any moment."""
        there = await asyncio.to_thread(
            lambda: members.statuses(hook_of(self.conn_id), self.others)
        )
        return down_beside(self.swap.member, self.others, there, self.ahead)

    async def _ask(self) -> Action:
        """Ask the gates; return the next action. Raises _Closed, _Opened."""
        began = time.monotonic()
        gate = await self.handover.ask()
        self._extend(time.monotonic() - began)
        if not gate.open:
            is_late = self.closed_until is not None and time.time() >= self.closed_until
            is_long = time.monotonic() - self._began > CLOSED_AT_MOST
            self._note(self._seen(self._observed))
            if not self.closed or is_late or is_long:
                raise _Closed(gate.why)
            return Action.ASK
        if self.closed:
            raise _Opened(gate.why or "the gate is open")
        self._note(self._seen(self._observed))
        return ACTIONS[self._state] if self._state else Action.WAIT

    async def _order(self, step: Action) -> None:
        began = time.monotonic()
        health = self._observed.health
        if step is Action.DRAIN:
            await self.handover.drain()
        elif step is Action.RENDER and self.swap.metadata is not None:
            await self.handover.render(self.swap.metadata, self.healthy_within)
        elif health is not None:
            await self.handover.resume(health)
        self._extend(time.monotonic() - began)

    def _extend(self, seconds: float) -> None:
        """Move the deadlines of the walk: an order, and a member that counts, have their own."""
        self.deadline += seconds
        if self.first_until is not None:
            self.first_until += seconds

    def _note(self, observed: MemberObservation) -> None:
        """Take over the state of what was observed just now, with the answers since."""
        self._observed = observed
        self._state = move(self._state, read(observed, self.goal, datetime.now(UTC)))

    async def _before_stop(self) -> None:
        """Raise _Held if a freeze or closed windows forbid the stop, or a new member.

        The way back is never held, nor is a second try: its member is down already.
        """
        if self.swap.way == "back" or self.swap.first_try:
            return
        freeze = await asyncio.to_thread(read_freeze)
        if (held := hold(freeze, self.windows, datetime.now(UTC))) is not None:
            raise _Held(str(held))

    async def _look(self) -> bool:
        state = move(self._state, await self._read())
        if self._state is None and await self._is_in_second(state):
            state = await self._read()
        self._skip_report_of_first_try()
        self._stops += stopped_while_it_booted(self._state, state)
        if self._stops > STOPS_AT_MOST and state is not State.REPLACED:
            state = State.UNHEALTHY
        moved, self._state = state is not self._state, state
        if moved:
            await self._info("%s: %s (%s)", self.swap.member, TEXTS[state], state)
        return moved

    async def _read(self) -> State:
        if self._state is State.BOOTING and not await self._has_news():
            self._watch(self._observed)
            self._observed = self._seen(self._observed)
            return read(self._observed, self.goal, datetime.now(UTC))
        checked = self._state in {State.STARTING, State.BOOTING}
        observed = await asyncio.to_thread(
            lambda: replace.look(hook_of(self.conn_id), self.swap, is_checked=checked)
        )
        self._watch(observed)
        self._observed = self._seen(observed)
        return read(self._observed, self.goal, datetime.now(UTC))

    async def _has_news(self) -> bool:
        """Whether a member that boots is to be looked at as a whole: now and then, or it reports.

        Its report alone is one read, so that it is read twice as often for the same number.
        """
        self._glances = (self._glances + 1) % LOOKS_WHILE_BOOTING
        if not self.swap.speaks or self._glances == 0:
            return True
        zone, name = self.swap.zone, self.swap.member
        said = await asyncio.to_thread(
            lambda: hook_of(self.conn_id).guest_attributes(zone, name).get("health")
        )
        return parse(said) != self._observed.health

    def _seen(self, observed: MemberObservation) -> MemberObservation:
        """Return an observation with what the member has answered."""
        handover = self.handover
        return replace_fields(
            observed,
            consent=handover.consent(),
            resumed=handover.resumed,
            progress=self._progress,
            rendered=handover.rendered,
        )

    def _watch(self, observed: MemberObservation) -> None:
        """Note what a report of the goal says of the orders to come, and how far it counts."""
        now, before = time.monotonic(), self._looked
        self._looked = now
        if self.goal.image is None:
            return
        health = observed.health
        assessed = assess_health(health, self.goal.image, self.goal.before)
        if assessed is HealthAssessment.HEALTHY:
            self.handover.begin_resume(health)
        elif assessed is HealthAssessment.BUSY and health is not None:
            if (count := health.count) is not None and count[0] > self._counted:
                self._counted, self._progress = count[0], datetime.now(UTC)
            self._extend(now - before if before else 0.0)

    async def _is_in_second(self, state: State) -> bool:
        """Whether this trigger was restarted in its second try; then it goes on with that.

        Its disk is looked for only if the first one's is there too, so that the first look at a
        member that nobody has changed costs no more.
        """
        zone, name = self.swap.zone, self.swap.second_disk
        if not name or (state is State.PENDING and self._observed.boot_disk != name):
            return False
        disk = await asyncio.to_thread(lambda: hook_of(self.conn_id).disk(zone, name))
        if disk is not None:
            self._begin(self.swap.again(*first_try_of(disk)))
        return disk is not None

    def _skip_report_of_first_try(self) -> None:
        """What the member says before it runs on its second disk is of the first one."""
        said = self._observed.health
        if self.swap.first_try and said and self._observed.boot_disk != self.goal.disk:
            self.goal = replace_fields(self.goal, before=said.boot_id)

    async def _do(self, step: Action, cloud: Cloud) -> None:
        await self._info("%s: %s", self.swap.member, DOING[step].format(self.swap.disk))
        try:
            operation = await asyncio.to_thread(
                lambda: replace.perform(hook_of(self.conn_id), step, self.swap, self._ids)
            )
        except (Blocked, *FINAL_ERRORS):
            self._ids.settle()
            raise
        if operation is not None:
            await self._wait_for(operation, cloud)
            if step is Action.STOP:  # who finds it running again has not stopped it twice
                self._state = move(self._state, State.STOPPING)
        elif step in {Action.INSERT, Action.CLEAN_UP}:  # of several things, one is in the making
            await asyncio.sleep(min(cloud.interval, LISTED_EVERY))

    async def _wait_for(self, operation: dict[str, Any], cloud: Cloud) -> None:
        if region := resource_name(operation.get("region") or ""):
            ended = await self._end_in_region(operation, region, cloud)
        else:
            ended = await self._end_in_zone(operation, cloud)
        if ended is None:
            return  # the walk's deadline has passed
        self._ids.settle()
        if ended.failure is not None:
            raise ended.failure.error(f"{operation.get('operationType')} of {self.swap.member}")

    async def _end_in_zone(
        self, operation: dict[str, Any], cloud: Cloud
    ) -> operations.Ended | None:
        zone, name = zone_of(operation) or None, str(operation["name"])
        ended = operations.end_of(operation)
        for pause in AT_FIRST:
            if ended is not None:
                break
            await asyncio.sleep(pause)
            ended = await self._ended(zone, name)
        while ended is None and time.time() < self.deadline:
            tick = await cloud.operations(zone).next(LISTED_EVERY)
            found = tick.items.get(name)
            if tick.error is None:
                ended = operations.end_of(found) if found else await self._ended(zone, name)
        return ended

    async def _end_in_region(
        self, operation: dict[str, Any], region: str, cloud: Cloud
    ) -> operations.Ended | None:
        """Wait for an operation of a region, such as that of a reserved address."""
        name, ended = str(operation["name"]), operations.end_of(operation)
        while ended is None and time.time() < self.deadline:
            await asyncio.sleep(min(cloud.interval, LISTED_EVERY))
            found = await asyncio.to_thread(
                lambda: hook_of(self.conn_id).operation(None, name, region)
            )
            ended = operations.end_of(found) if found else operations.Ended(name)
        return ended

    async def _ended(self, zone: str | None, name: str) -> operations.Ended | None:
        """Whether the operation has ended; an unknown operation has."""
        found = await asyncio.to_thread(lambda: hook_of(self.conn_id).operation(zone, name))
        return operations.end_of(found) if found else operations.Ended(name)

    async def _wait_out(self, blocked: Blocked) -> None:
        """Wait out quota and rate limits until the deadline.

        A member that is down already does not wait for a quota of another disk.
        """
        is_second = self.swap.first_try and self._state is State.PENDING
        if is_second and blocked.wait >= QUOTA_WAIT:
            raise TransientError(str(blocked))
        await self._info("blocked: %s", blocked)
        await asyncio.sleep(min(blocked.wait, max(0.0, self.deadline - time.time())))

    async def _pause(self, error: BakehouseError, errors: int, interval: float) -> None:
        """Wait before the next observation; raise an error that persists."""
        final = isinstance(error, FINAL_ERRORS)
        if errors >= (2 if final else ERRORS_IN_A_ROW):
            raise error
        await self._info("%s; reading the state again", error)
        await asyncio.sleep(min(interval * 2 ** (errors - 1), LONGEST_PAUSE))

    def _why(self) -> str:
        if self._state is State.LOST:
            return _lost(self._observed)
        if self._stops > STOPS_AT_MOST:
            return f"it stopped {self._stops} times while it booted"
        if self._handover is not None and self._handover.resumed is Resumed.FAILED:
            return self._handover.why_not_resumed
        if self._handover is not None and self.swap.metadata is not None:
            return self._handover.said
        return explain(self._observed.health, self.swap.image.name, self.goal.before)

    async def _cause(self, state: State) -> Cause:
        """Return why this try has failed; a host that was lost says nothing of the image."""
        cause = cause_of(state, self._observed, self.goal, stops=self._stops)
        if state is not State.UNHEALTHY:
            return cause
        try:
            found = await asyncio.to_thread(
                lambda: hook_of(self.conn_id).operations(self.swap.zone)
            )
        except (Blocked, *FAILURES) as error:
            await self._info("whether its host was lost cannot be read: %s", error)
            return cause
        events = operations.instance_events(found, self.swap.member)
        return Cause.HOST_LOST if taken_away(event.kind for event in events) else cause

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)


class _Late(TransientError):
    """The time of a try is over; `cause`: of what a fresh disk may cure."""

    def __init__(self, message: str, cause: Cause | None) -> None:
        super().__init__(message)
        self.cause = cause


def _lost(observed: MemberObservation) -> str:
    if observed.instance_id is None:
        return "the instance does not exist"
    return (
        f"instance {observed.instance_id} is {observed.status}, its next disk {observed.goal_disk}"
    )
