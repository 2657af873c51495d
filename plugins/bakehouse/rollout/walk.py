"""One try of a member's swap: observe, act, wait, until its end; in the triggerer.

What it sees is member_observer.py's, what it makes of its end walk_end.py's, and a second try is
tries.py's.

Blocking calls and log lines go to threads; the event loop is shared by every trigger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.errors import QUOTA_WAIT
from bakehouse.cloud.poller import Cloud
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.cloud.request_id import RequestIds
from bakehouse.core.errors import (
    FAILURES,
    BakehouseError,
    Blocked,
    TransientError,
)
from bakehouse.core.errors import (
    FINAL as FINAL_ERRORS,
)
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import hold
from bakehouse.rollout import members, replace
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.gates import down_of
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.handover import DataUnreadable, DrainFailed, Handover
from bakehouse.rollout.member_observer import MemberObserver
from bakehouse.rollout.moves import move
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
from bakehouse.rollout.walk_end import ENDINGS, ended_by, host_is_lost, why_of
from bakehouse.rollout.walk_terms import GateClosed, GateOpened, StopHeld, Terms, TooLate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bakehouse.rollout.place import Place
    from bakehouse.rollout.strategies.swap import Swap
    from bakehouse.rollout.turns import Turn

ERRORS_IN_A_ROW = 10
LONGEST_PAUSE = 60.0

# Seconds after which a member that waits for a gate is looked at by its task again: another member
# may have failed meanwhile, or a freeze has begun.
CLOSED_AT_MOST = 120.0
BEFORE_THE_STOP = frozenset({Action.ASK, Action.DRAIN, Action.STOP, Action.RENDER})
WHILE_DOWN = frozenset(
    {Action.STOP, Action.DETACH, Action.ATTACH, Action.START, Action.DELETE, Action.INSERT}
)


class InSecondTry(Exception):
    """Who walked before has begun the second try: it is to be gone on with."""

    def __init__(self, swap: Swap) -> None:
        super().__init__(f"{swap.member} is in its second try, with the disk {swap.disk}")
        self.swap = swap


class Walk:
    """Moves one member to its goal, from whatever state it is in.

    Args:
        swap: what the member is moved to.
        terms: of all tries.
        info: writes a line into the task's log.
        turn_of: waits until it is the member's turn. Raises NotItsTurn.
    """

    def __init__(
        self,
        swap: Swap,
        terms: Terms,
        info: Callable[..., Awaitable[None]],
        turn_of: Callable[[Place], Awaitable[Turn]],
    ) -> None:
        self.swap, self.terms, self._info, self._turn_of = swap, terms, info, turn_of
        self.state: State | None = None
        self._ids = RequestIds(swap.run, f"{swap.member}/{swap.way}/{swap.disk}", terms.turn)
        self._observer: MemberObserver | None = None
        self._began = time.monotonic()
        self._doing = ""  # what was told last
        self._stops = 0  # while it booted

    async def through(self) -> SwapEnded:
        """Walk to the end of this try; a final error is its end too. Raises InSecondTry."""
        ended = await self._walked()
        if self._observer is not None:
            handover = self._observer.handover
            with suppress(Blocked, *FAILURES):
                if self.state is not None and ACTIONS[self.state] in BEFORE_THE_STOP:
                    await handover.undo()
                await handover.orders.take_back()
        return ended

    @property
    def last_boot(self) -> str | None:
        """The boot that the member has reported last."""
        said = self._observer.observed.health if self._observer is not None else None
        return said.boot_id if said is not None else None

    async def _walked(self) -> SwapEnded:
        try:
            cloud = await Cloud.of(self.terms.conn_id)
            seen = self._observer = MemberObserver(self.swap, self.terms, self._handover(cloud))
            state = await self._walk(cloud, seen)
            why = why_of(state, self.swap, seen.goal, seen.observed, self._stops, seen.handover)
            cause = await self._cause(state, seen) if state is not State.REPLACED else None
            return SwapEnded(state=state, why=why, cause=cause)
        except StopHeld as held:
            await self._info("%s is not stopped: %s", self.swap.member, held)
            return SwapEnded(why=str(held), held=True)
        except ENDINGS as error:
            return ended_by(error, self.state)

    def _handover(self, cloud: Cloud) -> Handover:
        """Return what this try's member agrees to, and is told."""
        terms, swap = self.terms, self.swap
        orders = GuestOrders(terms.conn_id, swap.zone, swap.member, cloud.rate_limiter)
        beside = self._beside if terms.others else None
        return Handover(swap, terms.fields, orders, terms.turn, self._info, beside)

    async def _walk(self, cloud: Cloud, seen: MemberObserver) -> State:
        errors = 0
        while not self._is_over():
            try:
                await cloud.rate_limiter.acquire(self._priority)
                if await self._turn(cloud, seen):
                    errors = 0
            except Blocked as blocked:
                await self._wait_out(blocked)
            except (DrainFailed, DataUnreadable):
                raise
            except FAILURES as error:
                errors += 1
                await self._pause(error, errors, cloud.interval)
            if self.state in FINAL:
                return self.state
        where = TEXTS[self.state] if self.state else "it could not be read"
        raise TooLate(f"its deadline has passed: {where}", late_in(self.state))

    @property
    def _priority(self) -> Priority:
        """Who is down, and waits for its next step, goes before those that boot."""
        step = ACTIONS[self.state] if self.state else None
        is_down = self.state is State.STOPPING or step in WHILE_DOWN
        return Priority.STEP if is_down else Priority.RESULT

    def _is_over(self) -> bool:
        """Whether the time of this try is over; without a cure by a fresh disk it goes on."""
        now = time.time()
        is_first = self.swap.second_disk and self.terms.first_until is not None
        if is_first and now >= (self.terms.first_until or 0.0) and late_in(self.state) is not None:
            return True
        return now >= self.terms.deadline

    async def _turn(self, cloud: Cloud, seen: MemberObserver) -> bool:
        """Observe the member and perform the next action; return whether its state has changed."""
        moved = await self._look(seen)
        step = ACTIONS[self.state] if self.state else Action.WAIT
        is_new = step is Action.INSERT and self.swap.strategy is Strategy.CREATE
        if step in BEFORE_THE_STOP or is_new:
            if (place := self.terms.place) is not None:
                self.terms.begin_turn(await self._turn_of(place))
                self._began = time.monotonic()
                return moved  # what was seen of the member before is old
            await self._before_stop()
        if step is Action.ASK:
            step = await self._ask(seen)
        if step is Action.WAIT:
            await asyncio.sleep(seen.pause(self.state, cloud.interval))
        elif step in {Action.DRAIN, Action.RENDER, Action.RESUME}:
            await self._order(step, seen)
        elif step not in {Action.ASK, Action.END}:
            await self._do(step, cloud)
        return moved

    async def _beside(self) -> frozenset[str]:
        """Return the other members that are down by now, or may be stopped at any moment."""
        others, down = self.terms.others, self.terms.take_down()
        if down is None:
            there = await asyncio.to_thread(
                lambda: members.statuses(hook_of(self.terms.conn_id), others)
            )
            down = down_of(others, there)
        return down.union(self.terms.ahead) - {self.swap.member}

    async def _ask(self, seen: MemberObserver) -> Action:
        """Ask the gates; return the next action. Raises GateClosed, GateOpened."""
        began = time.monotonic()
        gate = await seen.handover.ask()
        self.terms.extend(time.monotonic() - began)
        if not gate.open:
            is_late = self.terms.closed_until is not None and time.time() >= self.terms.closed_until
            is_long = time.monotonic() - self._began > CLOSED_AT_MOST
            self.state = move(self.state, seen.state())
            if not self.terms.closed or is_late or is_long:
                raise GateClosed(gate.why)
            return Action.ASK
        if self.terms.closed:
            raise GateOpened(gate.why or "the gate is open")
        self.state = move(self.state, seen.state())
        return ACTIONS[self.state] if self.state else Action.WAIT

    async def _order(self, step: Action, seen: MemberObserver) -> None:
        began = time.monotonic()
        handover, health = seen.handover, seen.observed.health
        if step is Action.DRAIN:
            await handover.drain()
        elif step is Action.RENDER and self.swap.metadata is not None:
            await handover.render(self.swap.metadata, self.terms.healthy_within.total_seconds())
        elif health is not None:
            await handover.resume(health)
        self.terms.extend(time.monotonic() - began)

    async def _before_stop(self) -> None:
        """Raise StopHeld if a freeze or closed windows forbid the stop, or a new member.

        The way back is never held, nor is a second try: its member is down already.
        """
        if self.swap.way == "back" or self.swap.first_try:
            return
        freeze = await asyncio.to_thread(read_freeze)
        if (held := hold(freeze, self.terms.windows, datetime.now(UTC))) is not None:
            raise StopHeld(str(held))

    async def _look(self, seen: MemberObserver) -> bool:
        """Look at the member; return whether its state has changed. Raises InSecondTry."""
        state = move(self.state, await seen.look(self.state))
        if self.state is None and (second := await self._second_try(state, seen)) is not None:
            raise InSecondTry(second)
        seen.skip_report_of_first_try()
        self._stops += stopped_while_it_booted(self.state, state)
        if self._stops > STOPS_AT_MOST and state is not State.REPLACED:
            state = State.UNHEALTHY
        moved, self.state = state is not self.state, state
        if moved:
            await self._info("%s: %s (%s)", self.swap.member, TEXTS[state], state)
        return moved

    async def _second_try(self, state: State, seen: MemberObserver) -> Swap | None:
        """Return the second try, if this trigger was restarted in it.

        Its disk is looked for only if the first one's is there too, so that the first look at a
        member that nobody has changed costs no more.
        """
        zone, name = self.swap.zone, self.swap.second_disk
        if not name or (state is State.PENDING and seen.observed.boot_disk != name):
            return None
        disk = await asyncio.to_thread(lambda: hook_of(self.terms.conn_id).disk(zone, name))
        return self.swap.again(*first_try_of(disk)) if disk is not None else None

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
                self.state = move(self.state, State.STOPPING)
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
        is_second = self.swap.first_try and self.state is State.PENDING
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

    async def _cause(self, state: State, seen: MemberObserver) -> Cause:
        """Return why this try has failed; a host that was lost says nothing of the image."""
        cause = cause_of(state, seen.observed, seen.goal, stops=self._stops)
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
