"""Managed instance groups at work.

One task for each group reads the facts, begins what the plan says, and waits for a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from localgce.core.clock import timestamp
from localgce.core.errors import ApiError, Json, MachineError, OperationError
from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups.plan import Action, Step

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.groups.member_actions import MemberActions

log = logging.getLogger("localgce")
_ERRORS_KEPT = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds between attempts


class Groups:
    """All managed instance groups of the server."""

    def __init__(self, core: Core, actions: MemberActions) -> None:
        """Manage no group yet; `open` starts with all of the store."""
        self._core = core
        self._actions = {
            Action.CREATING: actions.create,
            Action.RECREATING: actions.recreate,
            Action.RESTARTING: actions.restart,
            Action.REFRESHING: actions.refresh,
            Action.DELETING: actions.delete,
            Action.STOPPING: actions.stop,
            Action.SUSPENDING: actions.suspend,
            Action.STARTING: actions.start,
            Action.RESUMING: actions.resume,
        }
        self._events: dict[str, asyncio.Event] = {}
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def open(self) -> None:
        """Manage all groups of the store, and resume what a kill interrupted."""
        for group in self._core.store.all("instanceGroupManagers"):
            for member in group_members.all_of(self._core, group):
                if member.private["action"] in self._actions:
                    self._launch(group, member)
            self.kick(group)

    async def close(self) -> None:
        """Stop managing; machines that stop from now on are not repaired."""
        tasks = [*self._drivers.values(), *self._running.values()]
        self._drivers = {}
        self._running = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def kick(self, group: Record) -> None:
        """Let the group's task look at a change."""
        self._events.setdefault(group.id, asyncio.Event()).set()
        if group.id not in self._drivers:
            self._drivers[group.id] = asyncio.create_task(self._drive(group.id))

    def instance_changed(self, instance: Record) -> None:
        """Let the group of an instance look at its new status or its deletion."""
        event = self._events.get(instance.private.get("group", ""))
        if event is not None:
            event.set()

    def begin(self, group: Record, member: Record, step: Step) -> None:
        """Begin an action on a member; it replaces the current one."""
        instance = group_members.instance_of(self._core, member)
        started = member.kept(
            action=step.action.value,
            version=group_members.shown_version(step.version),
            old=instance.id if instance else None,
            since=member.private["since"] if step.action is Action.REFRESHING else None,
        )
        self._core.store.put(started)
        self._cancel(member.id)
        self._launch(group, started)

    def abandon(self, group: Record, member: Record) -> None:
        """Remove the member; its instance stays."""
        self._cancel(member.id)
        instance = group_members.instance_of(self._core, member)
        if instance is not None:
            self._core.store.put(instance.kept(group=""))
        self._core.store.delete(member)
        self.kick(group)

    async def forget(self, group: Record) -> None:
        """Delete all members, then the group."""
        self._stop_driving(group)
        members = group_members.all_of(self._core, group)
        for member in members:
            self.begin(group, member, _deletion(member))
        while running := self._running_of(group):
            await asyncio.wait(running)
        if group_members.all_of(self._core, group):
            # `close` has cancelled the deletions; the operation is resumed at the next start
            raise asyncio.CancelledError
        self._core.store.delete(group)

    def _running_of(self, group: Record) -> list[asyncio.Task[None]]:
        tasks = (self._running.get(m.id) for m in group_members.all_of(self._core, group))
        return [task for task in tasks if task is not None and not task.done()]

    def _stop_driving(self, group: Record) -> None:
        driver = self._drivers.pop(group.id, None)
        self._events.pop(group.id, None)
        if driver is not None:
            driver.cancel()

    async def _drive(self, group_id: str) -> None:
        event = self._events[group_id]
        while True:
            event.clear()
            group = self._core.store.by_id("instanceGroupManagers", group_id)
            if group is None or group.private.get("deleting"):
                return
            try:
                with self._core.store.transaction():
                    self._begin_steps(group)
            except Exception:
                log.exception("the group %s could not be updated", group.path)
            await self._wait_for_change(event, self._next_ready(group))

    def _begin_steps(self, group: Record) -> None:
        facts = group_members.facts(self._core, group)
        for step in group_plan.next_steps(facts):
            if step.member is None:
                member = group_members.new(self._core, group, step.version)
            else:
                scope = group_members.scope_of(group)
                found = self._core.store.get(group_members.KIND, group.project, scope, step.member)
                assert found is not None  # the facts were read in this transaction
                member = found
            self.begin(group, member, step)

    def _next_ready(self, group: Record) -> float | None:
        now = self._core.clock.now()
        times = (
            group_members.ready_at(group, member)
            for member in group_members.all_of(self._core, group)
        )
        return min((t for t in times if t is not None and t > now), default=None)

    async def _wait_for_change(self, event: asyncio.Event, at: float | None) -> None:
        """Wait for the event, or until the time."""
        if at is None:
            await event.wait()
            return
        waits = [
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self._core.clock.sleep(at - self._core.clock.now())),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _launch(self, group: Record, member: Record) -> None:
        task = asyncio.create_task(self._run_action(group, member))
        self._running[member.id] = task

        def done(task: asyncio.Task[None]) -> None:
            if self._running.get(member.id) is task:
                del self._running[member.id]

        task.add_done_callback(done)

    def _cancel(self, member_id: str) -> None:
        task = self._running.pop(member_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _run_action(self, group: Record, member: Record) -> None:
        """Run one action, and retry until it succeeds."""
        action, pause = Action(member.private["action"]), _FIRST_PAUSE
        while True:
            store = self._core.store
            current, now = store.again(group) or group, store.again(member)
            if now is None:  # abandoned, or its transaction failed
                return
            try:
                await self._actions[action](current, now)
                break
            except (OperationError, ApiError, MachineError) as error:
                self._failed(current, member, error)
            await self._core.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        finished = store.again(member)
        if finished is not None:
            refreshed = action is Action.REFRESHING
            since = finished.private["since"] if refreshed else self._core.clock.now()
            store.put(finished.kept(action=Action.NONE.value, since=since, old=None, errors=[]))
        with contextlib.suppress(KeyError):
            self._events[group.id].set()

    def _failed(self, group: Record, member: Record, error: Exception) -> None:
        code = error.code if isinstance(error, OperationError) else "INTERNAL_ERROR"
        if isinstance(error, ApiError):
            code = error.code
        entry: Json = {"code": code, "message": str(error)}
        current = self._core.store.again(member) or member
        self._core.store.put_best_effort(current.kept(errors=[entry]))
        shown = group_members.shown(self._core, group, current)
        details = {k: shown[k] for k in ("instance", "version")}
        item: Json = {
            "error": entry,
            "instanceActionDetails": {"action": shown["currentAction"], **details},
            "timestamp": timestamp(self._core.clock.now()),
        }
        now = self._core.store.again(group) or group
        kept = [*now.private.get("errors", []), item][-_ERRORS_KEPT:]
        self._core.store.put_best_effort(now.kept(errors=kept))


def _deletion(member: Record) -> Step:
    return Step(Action.DELETING, member.name, group_members.version_of(member))
