"""The trigger of a member's swap.

Blocking calls and log lines go to threads; the event loop is shared by every trigger.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import operations
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.poller import Cloud
from bakehouse.cloud.request_id import request_id
from bakehouse.core.errors import (
    FAILURES,
    RETRYABLE,
    BakehouseError,
    Blocked,
    TransientError,
)
from bakehouse.core.errors import (
    FINAL as FINAL_ERRORS,
)
from bakehouse.images.links import zone_of
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import hold
from bakehouse.rollout import replace
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.health import explain
from bakehouse.rollout.states import (
    ACTIONS,
    DOING,
    FINAL,
    TEXTS,
    Action,
    IllegalMove,
    MemberObservation,
    State,
    move,
    read,
)
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.schedule.window import Window
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

ERRORS_IN_A_ROW = 10
LONGEST_PAUSE = 60.0
# A member is down while a step of its swap runs: asked for by name at first, then with all others.
AT_FIRST = (0.1, 0.2, 0.3, 0.5, 1.0, 1.0, 2.0, 3.0)


class _Held(Exception):
    """The member may not be stopped now, and why."""


class SwapTrigger(BakehouseTrigger):
    """Moves one member to its goal. Fires `SwapEnded`."""

    def __init__(
        self,
        *,
        swap: dict[str, Any],
        conn_id: str,
        healthy_within: float,
        deadline: float,
        turn: str,
        windows: list[dict[str, Any]] | None = None,
        **other: Any,
    ) -> None:
        super().__init__(
            swap=swap,
            conn_id=conn_id,
            healthy_within=healthy_within,
            deadline=deadline,
            turn=turn,
            windows=windows or [],
            **other,
        )
        self.swap = Swap.model_validate(swap)
        self.conn_id, self.deadline, self.turn = conn_id, deadline, turn
        self.windows = [Window.model_validate(window) for window in windows or []]
        self.goal = self.swap.goal(timedelta(seconds=healthy_within))
        self._state: State | None = None
        self._refused = 0  # a refused step is asked for again under another requestId
        self._observed = MemberObservation(instance_id=None)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        begun = time.time()
        try:
            state = await self._walk()
        except _Held as held:
            await self._info("%s is not stopped: %s", self.swap.member, held)
            yield self.fire(SwapEnded(why=str(held), held=True))
        except (IllegalMove, *FINAL_ERRORS) as error:
            yield self.fire(SwapEnded(why=str(error)))
        except RETRYABLE as error:
            yield self.fire(SwapEnded(why=str(error), transient=True))
        else:
            yield self.fire(self._result(state, time.time() - begun))

    async def _walk(self) -> State:
        cloud = await Cloud.of(self.conn_id)
        errors = 0
        while time.time() < self.deadline:
            try:
                await cloud.rate_limiter.acquire(
                    urgent=True
                )  # before any log: a member may be down
                if await self._turn(cloud):
                    errors = 0
            except Blocked as blocked:
                await self._wait_out(blocked)
            except FAILURES as error:
                errors += 1
                await self._pause(error, errors, cloud.interval)
            if self._state in FINAL:
                return self._state
        where = TEXTS[self._state] if self._state else "it could not be read"
        raise TransientError(f"its deadline has passed: {where}")

    async def _turn(self, cloud: Cloud) -> bool:
        """Observe the member and perform the next action; return whether its state has changed."""
        moved = await self._look()
        step = ACTIONS[self._state] if self._state else Action.WAIT
        if step is Action.WAIT:
            await asyncio.sleep(cloud.interval)
        elif step is not Action.END:
            if step is Action.STOP:
                await self._before_stop()
            await self._do(step, cloud)
        return moved

    async def _before_stop(self) -> None:
        """Raise _Held if a freeze or closed windows forbid the stop. The way back is never held."""
        if self.swap.way == "back":
            return
        freeze = await asyncio.to_thread(read_freeze)
        if (held := hold(freeze, self.windows, datetime.now(UTC))) is not None:
            raise _Held(str(held))

    async def _look(self) -> bool:
        checked = self._state in {State.STARTING, State.BOOTING}
        self._observed = await asyncio.to_thread(
            lambda: replace.look(hook_of(self.conn_id), self.swap, is_checked=checked)
        )
        state = move(self._state, read(self._observed, self.goal, datetime.now(UTC)))
        moved, self._state = state is not self._state, state
        if moved:
            self._refused = 0
            await self._info("%s: %s (%s)", self.swap.member, TEXTS[state], state)
        return moved

    async def _do(self, step: Action, cloud: Cloud) -> None:
        request_id = self._request_id(step)
        await self._info("%s: %s", self.swap.member, DOING[step].format(self.swap.disk))
        operation = await asyncio.to_thread(
            lambda: replace.perform(hook_of(self.conn_id), step, self.swap, request_id)
        )
        if operation is not None:
            await self._wait_for(operation, cloud)

    async def _wait_for(self, operation: dict[str, Any], cloud: Cloud) -> None:
        zone, name = zone_of(operation) or None, str(operation["name"])
        ended = operations.end_of(operation)
        for pause in AT_FIRST:
            if ended is not None:
                break
            await asyncio.sleep(pause)
            ended = await self._ended(zone, name)
        while ended is None and time.time() < self.deadline:
            tick = await cloud.operations(zone).next()
            found = tick.items.get(name)
            if tick.error is None:
                ended = operations.end_of(found) if found else await self._ended(zone, name)
        if ended is not None and ended.failure is not None:
            self._refused += 1
            raise ended.failure.error(f"{operation.get('operationType')} of {self.swap.member}")

    async def _ended(self, zone: str | None, name: str) -> operations.Ended | None:
        """Whether the operation has ended; an unknown operation has."""
        found = await asyncio.to_thread(lambda: hook_of(self.conn_id).operation(zone, name))
        return operations.end_of(found) if found else operations.Ended(name)

    async def _wait_out(self, blocked: Blocked) -> None:
        """Wait out quota and rate limits until the deadline."""
        self._refused += 1
        await self._info("blocked: %s", blocked)
        await asyncio.sleep(min(blocked.wait, max(0.0, self.deadline - time.time())))

    async def _pause(self, error: BakehouseError, errors: int, interval: float) -> None:
        """Wait before the next observation; raise an error that persists."""
        final = isinstance(error, FINAL_ERRORS)
        if errors >= (2 if final else ERRORS_IN_A_ROW):
            raise error
        if final:
            self._refused += 1
        await self._info("%s; reading the state again", error)
        await asyncio.sleep(min(interval * 2 ** (errors - 1), LONGEST_PAUSE))

    def _request_id(self, step: Action) -> str:
        subject = f"{self.swap.member}/{self.swap.way}/{self.swap.disk}"
        return request_id(self.swap.run, subject, f"{step} {self.turn} {self._refused}")

    def _result(self, state: State, seconds: float) -> SwapEnded:
        lost = state is State.LOST
        why = explain(self._observed.health, self.swap.image.name, self.swap.before)
        return SwapEnded(
            state=state,
            why=_lost(self._observed) if lost else why,
            seconds=round(seconds, 1),
        )

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)


def _lost(observed: MemberObservation) -> str:
    if observed.instance_id is None:
        return "the instance does not exist"
    return (
        f"instance {observed.instance_id} is {observed.status}, its next disk {observed.goal_disk}"
    )
