"""One try of a member's swap: observe, act, wait, until its end; in the triggerer.

Blocking calls and log lines go to threads; the event loop is shared by every trigger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace as replace_fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import hold
from bakehouse.rollout import members, replace
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.gates import down_beside
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.handover import DataUnreadable, DrainFailed, Handover
from bakehouse.rollout.health import HealthAssessment, assess_health, parse
from bakehouse.rollout.moves import IllegalMove, move
from bakehouse.rollout.observation import MemberObservation, read
from bakehouse.rollout.rollout_disks import first_try_of
from bakehouse.rollout.second_try import (
    STOPS_AT_MOST,
    Cause,
    cause_of,
    late_in,
    stopped_while_it_booted,
)
from bakehouse.rollout.states import ACTIONS, DOING, FINAL, TEXTS, Action, State, Strategy
from bakehouse.rollout.step_operations import LISTED_EVERY, StepOperations
from bakehouse.rollout.turns import NotItsTurn
from bakehouse.rollout.walk_end import host_is_lost, why_of
from bakehouse.rollout.walk_terms import GateClosed, GateOpened, StopHeld, Terms, TooLate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bakehouse.rollout.place import Place
    from bakehouse.rollout.strategies.swap import Swap

ERRORS_IN_A_ROW = 10
LONGEST_PAUSE = 60.0
LOOKS_WHILE_BOOTING = 2  # in the poll interval, one of them at the whole member

# Seconds after which a member that waits for a gate is looked at by its task again: another member
# may have failed meanwhile, or a freeze has begun.
CLOSED_AT_MOST = 120.0
BEFORE_THE_STOP = frozenset({Action.ASK, Action.DRAIN, Action.STOP, Action.RENDER})
WHILE_DOWN = frozenset(
    {Action.STOP, Action.DETACH, Action.ATTACH, Action.START, Action.DELETE, Action.INSERT}
)


class Walk:
    """Moves one member to its goal, from whatever state it is in.

    Args:
        swap: what the member is moved to.
        terms: of all tries.
        info: writes a line into the task's log.
        turn_of: waits until it is the member's turn; returns who comes first and has not ended.
            Raises NotItsTurn.
    """

    def __init__(
        self,
        swap: Swap,
        terms: Terms,
        info: Callable[..., Awaitable[None]],
        turn_of: Callable[[Place], Awaitable[list[str]]],
    ) -> None:
        self.terms, self._info, self._turn_of = terms, info, turn_of
        self._cloud: Cloud | None = None
        self._began = time.monotonic()
        self._begin(swap)

    def _begin(self, swap: Swap) -> None:
        """Begin a try."""
        self.swap = swap
        self._ids = RequestIds(swap.run, f"{swap.member}/{swap.way}/{swap.disk}", self.terms.turn)
        self.goal = swap.goal(self.terms.healthy_within, self.terms.fields.busy_limit)
        self._handover: Handover | None = None
        self._doing = ""  # what was told last
        self._counted = -1  # of a busy member
        self._progress: datetime | None = None  # when it has counted so far
        self._looked = 0.0
        self._state: State | None = None
        self._stops = 0  # while it booted
        self._glances = 0  # since the last look at the whole member
        self._observed = MemberObservation(instance_id=None)

    async def through(self) -> SwapEnded:
        """Walk to the end of this try; a final error is its end too."""
        ended = await self._walked()
        if self._handover is not None:
            with suppress(Blocked, *FAILURES):
                if self._state is not None and ACTIONS[self._state] in BEFORE_THE_STOP:
                    await self._handover.undo()
                await self._handover.orders.take_back()
        return ended

    async def again(self, first: SwapEnded) -> SwapEnded:
        """Return the end of the second try; of the first one, if no second disk can be made."""
        swap, said = self.swap, self._observed.health
        self._begin(swap.again(first.why, said.boot_id if said else None))
        second = await self.through()
        if second.state is not None or self._state not in {None, State.PENDING, State.PREPARING}:
            return second
        self._begin(swap)
        why = f"{first.why}; there was no second try: {second.why}"
        return first.model_copy(update={"why": why})

    async def _walked(self) -> SwapEnded:
        try:
            cloud = self._cloud = await Cloud.of(self.terms.conn_id)
            state = await self._walk(cloud)
            if state is State.REPLACED:
                return SwapEnded(state=state, why=self._why)
            return SwapEnded(state=state, why=self._why, cause=await self._cause(state))
        except IllegalMove as error:
            # its new disk is gone; any other move is of somebody who changes the instance
            is_disk = error.after is State.PENDING
            return SwapEnded(why=str(error), cause=Cause.NO_DISK if is_disk else Cause.GONE)
        except StopHeld as held:
            await self._info("%s is not stopped: %s", self.swap.member, held)
            return SwapEnded(why=str(held), held=True)
        except NotItsTurn as other:
            return SwapEnded(why=str(other), held=True)
        except GateClosed as closed:
            return SwapEnded(state=self._state, why=str(closed), closed=str(closed))
        except GateOpened as opened:
            return SwapEnded(state=self._state, why=str(opened), opened=True)
        except TooLate as late:
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
        raise TooLate(f"its deadline has passed: {where}", late_in(self._state))

    @property
    def _priority(self) -> Priority:
        """Who is down, and waits for its next step, goes before those that boot."""
        step = ACTIONS[self._state] if self._state else None
        is_down = self._state is State.STOPPING or step in WHILE_DOWN
        return Priority.STEP if is_down else Priority.RESULT

    def _is_over(self) -> bool:
        """Whether the time of this try is over; without a cure by a fresh disk it goes on."""
        now = time.time()
        is_first = self.swap.second_disk and self.terms.first_until is not None
        if is_first and now >= (self.terms.first_until or 0.0) and late_in(self._state) is not None:
            return True
        return now >= self.terms.deadline

    async def _turn(self, cloud: Cloud) -> bool:
        """Observe the member and perform the next action; return whether its state has changed."""
        moved = await self._look()
        step = ACTIONS[self._state] if self._state else Action.WAIT
        is_new = step is Action.INSERT and self.swap.strategy is Strategy.CREATE
        if step in BEFORE_THE_STOP or is_new:
            if (place := self.terms.place) is not None:
                self.terms.begin_turn(await self._turn_of(place))
                self._began = time.monotonic()
                return moved  # what was seen of the member before is old
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
            orders = GuestOrders(self.terms.conn_id, swap.zone, swap.member, limiter)
            beside = self._beside if self.terms.others else None
            self._handover = Handover(
                swap, self.terms.fields, orders, self.terms.turn, self._info, beside
            )
        return self._handover

    async def _beside(self) -> frozenset[str]:
        """Return the other members that are down by now, or may be stopped at any moment."""
        there = await asyncio.to_thread(
            lambda: members.statuses(hook_of(self.terms.conn_id), self.terms.others)
        )
        return down_beside(self.swap.member, self.terms.others, there, self.terms.ahead)

    async def _ask(self) -> Action:
        """Ask the gates; return the next action. Raises GateClosed, GateOpened."""
        began = time.monotonic()
        gate = await self.handover.ask()
        self.terms.extend(time.monotonic() - began)
        if not gate.open:
            is_late = self.terms.closed_until is not None and time.time() >= self.terms.closed_until
            is_long = time.monotonic() - self._began > CLOSED_AT_MOST
            self._note(self._seen(self._observed))
            if not self.terms.closed or is_late or is_long:
                raise GateClosed(gate.why)
            return Action.ASK
        if self.terms.closed:
            raise GateOpened(gate.why or "the gate is open")
        self._note(self._seen(self._observed))
        return ACTIONS[self._state] if self._state else Action.WAIT

    async def _order(self, step: Action) -> None:
        began = time.monotonic()
        health = self._observed.health
        if step is Action.DRAIN:
            await self.handover.drain()
        elif step is Action.RENDER and self.swap.metadata is not None:
            await self.handover.render(
                self.swap.metadata, self.terms.healthy_within.total_seconds()
            )
        elif health is not None:
            await self.handover.resume(health)
        self.terms.extend(time.monotonic() - began)

    def _note(self, observed: MemberObservation) -> None:
        """Take over the state of what was observed just now, with the answers since."""
        self._observed = observed
        self._state = move(self._state, read(observed, self.goal, datetime.now(UTC)))

    async def _before_stop(self) -> None:
        """Raise StopHeld if a freeze or closed windows forbid the stop, or a new member.

        The way back is never held, nor is a second try: its member is down already.
        """
        if self.swap.way == "back" or self.swap.first_try:
            return
        freeze = await asyncio.to_thread(read_freeze)
        if (held := hold(freeze, self.terms.windows, datetime.now(UTC))) is not None:
            raise StopHeld(str(held))

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
            lambda: replace.look(hook_of(self.terms.conn_id), self.swap, is_checked=checked)
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
            lambda: hook_of(self.terms.conn_id).guest_attributes(zone, name).get("health")
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
            self.terms.extend(now - before if before else 0.0)

    async def _is_in_second(self, state: State) -> bool:
        """Whether this trigger was restarted in its second try; then it goes on with that.

        Its disk is looked for only if the first one's is there too, so that the first look at a
        member that nobody has changed costs no more.
        """
        zone, name = self.swap.zone, self.swap.second_disk
        if not name or (state is State.PENDING and self._observed.boot_disk != name):
            return False
        disk = await asyncio.to_thread(lambda: hook_of(self.terms.conn_id).disk(zone, name))
        if disk is not None:
            self._begin(self.swap.again(*first_try_of(disk)))
        return disk is not None

    def _skip_report_of_first_try(self) -> None:
        """What the member says before it runs on its second disk is of the first one."""
        said = self._observed.health
        if self.swap.first_try and said and self._observed.boot_disk != self.goal.disk:
            self.goal = replace_fields(self.goal, before=said.boot_id)

    async def _do(self, step: Action, cloud: Cloud) -> None:
        doing = DOING[step].format(self.swap.disk)
        if doing != self._doing:  # an instance is made in several calls
            self._doing = doing
            await self._info("%s: %s", self.swap.member, doing)
        try:
            operation = await asyncio.to_thread(
                lambda: replace.perform(hook_of(self.terms.conn_id), step, self.swap, self._ids)
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
        ended = await StepOperations(cloud).end_of(operation, self.terms.is_over)
        if ended is None:
            return  # the walk's deadline has passed
        self._ids.settle()
        if ended.failure is not None:
            raise ended.failure.error(f"{operation.get('operationType')} of {self.swap.member}")

    async def _wait_out(self, blocked: Blocked) -> None:
        """Wait out quota and rate limits until the deadline.

        A member that is down already does not wait for a quota of another disk.
        """
        is_second = self.swap.first_try and self._state is State.PENDING
        if is_second and blocked.wait >= QUOTA_WAIT:
            raise TransientError(str(blocked))
        await self._info("blocked: %s", blocked)
        await asyncio.sleep(min(blocked.wait, max(0.0, self.terms.deadline - time.time())))

    async def _pause(self, error: BakehouseError, errors: int, interval: float) -> None:
        """Wait before the next observation; raise an error that persists."""
        final = isinstance(error, FINAL_ERRORS)
        if errors >= (2 if final else ERRORS_IN_A_ROW):
            raise error
        await self._info("%s; reading the state again", error)
        await asyncio.sleep(min(interval * 2 ** (errors - 1), LONGEST_PAUSE))

    @property
    def _why(self) -> str:
        return why_of(
            self._state, self.swap, self.goal, self._observed, self._stops, self._handover
        )

    async def _cause(self, state: State) -> Cause:
        """Return why this try has failed; a host that was lost says nothing of the image."""
        cause = cause_of(state, self._observed, self.goal, stops=self._stops)
        if state is not State.UNHEALTHY:
            return cause
        try:
            is_lost = await asyncio.to_thread(
                lambda: host_is_lost(hook_of(self.terms.conn_id), self.swap)
            )
        except (Blocked, *FAILURES) as error:
            await self._info("whether its host was lost cannot be read: %s", error)
            return cause
        return Cause.HOST_LOST if is_lost else cause
