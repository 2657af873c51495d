"""The trigger of a group's move: it sets the versions of a stage and waits until they are good.

A look costs two calls, and one for each instance that has not reported the new image yet. The
group does the rest by itself, so that a triggerer that dies leaves it on its way.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import operations
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.poller import Cloud
from bakehouse.cloud.request_id import RequestIds, request_id
from bakehouse.core.errors import FAILURES, FINAL, RETRYABLE, BakehouseError, Blocked
from bakehouse.fleet.gate import Gate
from bakehouse.images.links import resource_name, zone_of
from bakehouse.operators.freeze import freeze_of_late
from bakehouse.operators.hold import hold
from bakehouse.rollout import mig_calls
from bakehouse.rollout.events import GroupMoved, MovedInstance
from bakehouse.rollout.mig_gate import GateClosed, wait_until_open
from bakehouse.rollout.mig_progress import Progress, is_rolling, progress
from bakehouse.rollout.moves import IllegalMove, move
from bakehouse.rollout.second_try import Cause
from bakehouse.rollout.states import FINAL as ENDS
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.mig import TEXTS, GroupMove, told
from bakehouse.schedule.window import Window
from bakehouse.triggers.base import FIRST_LOOK
from bakehouse.triggers.killable import KillableTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from bakehouse.rollout.health import Health
    from bakehouse.rollout.mig_progress import GroupObservation, Managed

ERRORS_IN_A_ROW = 10
LONGEST_PAUSE = 60.0
CREATED_WITHIN = 600.0  # seconds until an instance runs, besides the time to get healthy
ASKED_EVERY = 0.5  # seconds between two looks at an operation
ENDED_WITHIN = 120.0  # seconds of one operation; the instances are not part of it


class _Held(Exception):
    """No further instance may be replaced now, and why."""


class GroupTrigger(KillableTrigger):
    """Moves a group to the versions of a stage. Fires `GroupMoved`.

    It gives up when no further instance has got good for a while: so a group whose instances come
    and go, never report, or cannot be made, ends in time however large it is.
    """

    def __init__(
        self,
        *,
        move: dict[str, Any],
        conn_id: str,
        healthy_within: float,
        deadline: float,
        turn: str,
        windows: list[dict[str, Any]] | None = None,
        gate: dict[str, Any] | None = None,
        busy_limit: float = 0.0,
        **other: Any,
    ) -> None:
        super().__init__(
            move=move,
            conn_id=conn_id,
            healthy_within=healthy_within,
            deadline=deadline,
            turn=turn,
            windows=windows or [],
            gate=gate,
            busy_limit=busy_limit,
            **other,
        )
        self.gate = Gate.model_validate(gate or {})
        self.busy_limit = max(busy_limit, healthy_within)
        self.windows = [Window.model_validate(window) for window in windows or []]
        self.move = GroupMove.model_validate(move)
        self.conn_id, self.turn = conn_id, turn
        self.healthy_within, self.deadline = healthy_within, deadline
        self._state: State | None = None
        self._known: dict[str, Health | None] = {}  # reports, by the id of the instance
        self._quiet: dict[str, float] = {}  # since when one runs and has not reported
        self._most, self._since = -1, 0.0  # of good instances; since when it is that many
        self._zones: dict[str, str] = {}  # of the instances, by name
        self._tried: dict[str, str] = {}  # instances that were recreated, and why, by name
        self._said = ""
        subject = f"{self.move.member}/{self.move.way}/{self.move.stage}"
        self._ids = RequestIds(self.move.run, subject, turn)
        self._progress = Progress(State.PENDING)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        ended = await self._moved()
        goes_on = ended.held or ended.transient or ended.state is State.REPLACED
        if self.move.way == "forward" and not goes_on:
            await self._info("%s", self.ending())
            await self.end_in_tries(f"halt {self.turn}")
        yield self.fire(ended)

    async def _moved(self) -> GroupMoved:
        begun = time.time()
        try:
            ended = await self._walk()
        except _Held as held:
            await self._info("%s gets no further instances: %s", self.move.member, held)
            return GroupMoved(why=str(held), held=True)
        except GateClosed as closed:
            return GroupMoved(why=str(closed))
        except (IllegalMove, *FINAL) as error:
            return GroupMoved(why=str(error), instances=self._instances())
        except RETRYABLE as error:
            return GroupMoved(why=str(error), transient=True)
        seconds = round(time.time() - begun, 1)
        first = "; ".join(f"{name}: {why}" for name, why in self._tried.items())
        more = {"seconds": seconds, "instances": self._instances(), "first_try": first}
        return ended.model_copy(update=more)

    def ending(self) -> str:
        """Return what is done when the stage has failed, or a person has ended the task."""
        return f"stopping the updates of {self.move.member}"

    async def end(self, kill: str) -> None:
        """Let the group replace no further instance: its stage has failed, or a person ended it.

        The versions stay, so that another try of the task goes on from here.
        """
        request = request_id(self.move.run, self.move.member, kill)
        await asyncio.to_thread(lambda: mig_calls.stop(hook_of(self.conn_id), self.move, request))

    async def _walk(self) -> GroupMoved:
        cloud = await Cloud.of(self.conn_id)
        errors, self._since = 0, monotonic()
        while True:
            try:
                observed = await self._look(cloud)
                if self._state in ENDS:
                    return self._ended()
                if given_up := await self._given_up():
                    return given_up
                await self._act(observed, cloud)
                errors = 0  # only now: a change may be refused however well the group is read
            except Blocked as blocked:
                await self._info("blocked: %s", blocked)
                await asyncio.sleep(min(blocked.wait, max(0.0, self.deadline - time.time())))
            except FAILURES as error:
                errors += 1
                await self._pause(error, errors, cloud.interval)
            if time.time() >= self.deadline:
                why = f"its deadline has passed: {self._progress.why or self._where()}"
                return GroupMoved(why=why, cause=self._own_cause())

    async def _look(self, cloud: Cloud) -> GroupObservation:
        for _ in range(2):
            await cloud.rate_limiter.acquire()
        observed = await asyncio.to_thread(
            lambda: mig_calls.look(hook_of(self.conn_id), self.move, self._known)
        )
        found = progress(observed, self.move)
        if found.state in {State.PENDING, State.PREPARED}:
            there = await asyncio.to_thread(
                lambda: mig_calls.templates_there(hook_of(self.conn_id), self.move)
            )
            observed = replace(observed, templates=there)
            found = progress(observed, self.move)
        elif self.move.speaks and found.silent:
            await self._read_reports(found, cloud)
            found = progress(observed, self.move)
        self._note(found)
        self._zones = {one.name: one.zone for one in observed.instances}
        state = move(self._state, found.state)
        if state is not self._state or (found.why and found.why != self._said):
            await self._info("%s: %s", self.move.member, found.why or TEXTS[state])
        self._state, self._said, self._progress = state, found.why, found
        return observed

    async def _read_reports(self, found: Progress, cloud: Cloud) -> None:
        for one in found.silent:
            await cloud.rate_limiter.acquire()
            self._known[one.id] = await asyncio.to_thread(self._report, one)

    def _note(self, found: Progress) -> None:
        """Keep since when instances are silent, and since when no further one has got good."""
        now = monotonic()
        silent = {one.id for one in found.silent}
        self._quiet = {id_: self._quiet.get(id_, now) for id_ in silent}
        if len(found.good) > self._most:
            self._most, self._since = len(found.good), now

    def _ended(self) -> GroupMoved:
        causes = {State.UNHEALTHY: Cause.SAID_UNHEALTHY, State.LOST: Cause.GONE}
        cause = causes.get(self._state) if self._state else None
        return GroupMoved(state=self._state, why=self._progress.why, cause=cause)

    async def _given_up(self) -> GroupMoved | None:
        """Return why no good end is waited for any more; None while it is.

        An instance that says nothing is recreated once, on a fresh disk, before the image is
        blamed: its own boot may have failed.
        """
        if self._state is not State.UPDATING:
            return None
        now, found = monotonic(), self._progress
        late = [
            one
            for one in found.silent
            if now - self._quiet.get(one.id, now) > self._limit_of(one.id)
        ]
        image, within = self.move.image.name, f"{self.healthy_within:.0f} s"
        if late and self.move.speaks:
            fresh = tuple(one for one in late if one.name not in self._tried)
            if fresh and self.move.way == "forward":
                names = tuple(one.name for one in fresh)
                self._tried |= dict.fromkeys(names, f"no report of {image} within {within}")
                await self._info("%s: no report; recreated once more", ", ".join(names))
                await self._request(f"recreate {names}", mig_calls.recreate, fresh)
                self._since = monotonic()
                return None
            those = ", ".join(one.name for one in late)
            why = f"{those}: no report of {image} within {within}; {found.why}"
            return GroupMoved(state=State.UNHEALTHY, why=why, cause=Cause.SILENT)
        limit = (self.busy_limit if found.busy else self.healthy_within) + CREATED_WITHIN
        if now - self._since > limit:
            why = f"no further instance got good for {limit:.0f} s: {found.why}"
            return GroupMoved(why=why, cause=self._own_cause())
        return None

    def _limit_of(self, id_: str) -> float:
        """Return how long an instance may run without being healthy; longer if it counts."""
        return self.busy_limit if id_ in self._progress.busy else self.healthy_within

    def _own_cause(self) -> Cause:
        is_full = any(word in self._progress.why for word in ("POOL_EXHAUSTED", "STOCKOUT"))
        return Cause.STOCK_OUT if is_full else Cause.NOT_STARTED

    async def _act(self, observed: GroupObservation, cloud: Cloud) -> None:
        if self._state is State.PENDING:
            missing = [t.name for t in self.move.templates if t.name not in observed.templates]
            await self._info("making the template %s", missing[0])
            await self._request(f"template {missing[0]}", mig_calls.make_template, missing[0])
        elif self._state is State.PREPARED:
            await self._set_versions()
        elif observed.group is not None and not is_rolling(observed.group, self.move):
            await self._refuse_if_held()
            await self._info("%s replaces its instances again", self.move.member)
            await self._request("roll on", mig_calls.roll_on)
        elif self._progress.due:
            await self._set_versions()
        else:
            await self._stop_if_held()
            await asyncio.sleep(cloud.interval)

    async def _refuse_if_held(self) -> None:
        """Raise _Held if a freeze or closed windows forbid it. The way back is never held."""
        if self.move.way == "back":
            return
        held = hold(await freeze_of_late(), self.windows, datetime.now(UTC))
        if held is not None:
            raise _Held(str(held))

    async def _stop_if_held(self) -> None:
        """Stop a group that would take all instances of the stage by itself."""
        if self.move.base is not None:  # it takes those of this step, which are on their way
            return
        try:
            await self._refuse_if_held()
        except _Held:
            while await self._request("stop", mig_calls.stop):
                pass  # until it says that there is nothing to stop: a request may be an old one
            raise

    async def _wait_for_gate(self) -> None:
        """Wait until the checks of the fleet's gate agree: they are asked before each step."""
        move = self.move
        names = {"fleet": move.fleet, "member": move.member, "zone": move.zone}

        async def tell(closed: str) -> None:
            await self._info("%s waits: the gate is closed: %s", move.member, closed)

        await wait_until_open(self.gate, names, tell)

    async def _set_versions(self) -> None:
        await self._refuse_if_held()
        await self._wait_for_gate()
        await self._refuse_if_held()
        due = self._progress.due
        await self._info("%s gets %s", self.move.member, told(due))
        await self._request(f"versions {told(due)}", mig_calls.update, due)
        self._state, self._since = State.UPDATING, monotonic()

    async def _request(self, step: str, call: Any, *more: Any) -> bool:
        """Request a change and wait for its operation; return whether there was one."""
        try:
            operation = await asyncio.to_thread(
                lambda: call(hook_of(self.conn_id), self.move, *more, self._ids.of(step))
            )
        except (Blocked, *FINAL):
            self._ids.settle()
            raise
        asked, until = operation is not None, monotonic() + ENDED_WITHIN
        while operation is not None and monotonic() < until:
            ended = operations.end_of(operation)
            if ended is not None:
                self._ids.settle()
                if ended.failure is not None:
                    what = f"{operation.get('operationType')} {self.move.member}"
                    raise ended.failure.error(what)
                break
            await asyncio.sleep(ASKED_EVERY)
            operation = await asyncio.to_thread(self._again, operation)
        return asked

    def _report(self, one: Managed) -> Health | None:
        return mig_calls.health(hook_of(self.conn_id), one)

    def _again(self, operation: dict[str, Any]) -> dict[str, Any] | None:
        zone, region = zone_of(operation) or None, resource_name(operation.get("region") or "")
        return hook_of(self.conn_id).operation(zone, str(operation["name"]), region)

    async def _pause(self, error: BakehouseError, errors: int, interval: float) -> None:
        """Wait before the next look; raise an error that persists."""
        final = isinstance(error, FINAL)
        if errors >= (2 if final else ERRORS_IN_A_ROW):
            raise error
        await self._info("%s; looking again", error)
        await asyncio.sleep(min(interval * 2 ** (errors - 1), LONGEST_PAUSE))

    def _instances(self) -> tuple[MovedInstance, ...]:
        found = self._progress
        good = [MovedInstance(name=one.name, id=one.id, zone=one.zone) for one in found.good]
        ill = [
            MovedInstance(name=name, id="", why=why, zone=self._zones.get(name, ""))
            for name, why in found.ill.items()
        ]
        return (*good, *ill)

    def _where(self) -> str:
        return TEXTS[self._state] if self._state else "it could not be read"

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)
