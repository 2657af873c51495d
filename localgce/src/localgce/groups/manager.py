"""Managed instance groups at work: one task for each group looks at the facts, begins what the
plan says, and looks again when something has changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from localgce.clock import stamp
from localgce.errors import ApiError, Json, OperationError
from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups import works as group_works
from localgce.groups.plan import Action, Step
from localgce.machines.contract import MachineError
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

log = logging.getLogger("localgce")
_ERRORS_KEPT = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds between attempts
_WORKS: dict[Action, Callable[[Service, Record, Record], Awaitable[None]]] = {
    Action.CREATING: group_works.create,
    Action.RECREATING: group_works.recreate,
    Action.RESTARTING: group_works.restart,
    Action.REFRESHING: group_works.refresh,
    Action.DELETING: group_works.delete,
}


class Groups:
    """All managed instance groups of the server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._events: dict[str, asyncio.Event] = {}
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, asyncio.Task[None]] = {}

    def open(self) -> None:
        """Go on with all groups, and with what a kill interrupted."""
        for group in self._service.store.all("instanceGroupManagers"):
            for member in group_members.all_of(self._service, group):
                if member.private["action"] in _WORKS:
                    self._launch(group, member)
            self.kick(group)

    async def close(self) -> None:
        """Let go; the machines that stop now are not repaired."""
        tasks = [*self._drivers.values(), *self._works.values()]
        self._drivers = {}
        self._works = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def kick(self, group: Record) -> None:
        """Something of the group has changed."""
        self._events.setdefault(group.id, asyncio.Event()).set()
        if group.id not in self._drivers:
            self._drivers[group.id] = asyncio.create_task(self._drive(group.id))

    def instance_changed(self, instance: Record) -> None:
        """An instance has another status, or is gone."""
        event = self._events.get(instance.private.get("group", ""))
        if event is not None:
            event.set()

    def begin(self, group: Record, member: Record, step: Step) -> None:
        """Begin a step with a member, in place of what is being done with it."""
        instance = group_members.instance_of(self._service, member)
        started = member.kept(
            action=step.action.value,
            version=group_members.shown_version(step.version),
            old=instance.id if instance else None,
            since=member.private["since"] if step.action is Action.REFRESHING else None,
        )
        self._service.store.put(started)
        self._end(member.id)
        self._launch(group, started)

    def abandon(self, group: Record, member: Record) -> None:
        """Forget the member; its instance stays."""
        self._end(member.id)
        instance = group_members.instance_of(self._service, member)
        if instance is not None:
            self._service.store.put(instance.kept(group=""))
        self._service.store.delete(member)
        self.kick(group)

    async def forget(self, group: Record) -> None:
        """Delete all members, then the group."""
        self._stop_driving(group)
        members = group_members.all_of(self._service, group)
        for member in members:
            self.begin(group, member, _deletion(member))
        while group_members.all_of(self._service, group):
            works = [self._works[m.id] for m in members if m.id in self._works]
            await asyncio.wait(works) if works else await asyncio.sleep(0)
        self._service.store.delete(group)

    def _stop_driving(self, group: Record) -> None:
        driver = self._drivers.pop(group.id, None)
        self._events.pop(group.id, None)
        if driver is not None:
            driver.cancel()

    async def _drive(self, group_id: str) -> None:
        event = self._events[group_id]
        while True:
            event.clear()
            group = self._service.store.by_id("instanceGroupManagers", group_id)
            if group is None or group.private.get("deleting"):
                return
            try:
                with self._service.store.transaction():
                    self._look(group)
            except Exception:
                log.exception("the group %s could not go on", group.path)
            await self._something(event, self._next_ready(group))

    def _look(self, group: Record) -> None:
        facts = group_members.facts(self._service, group)
        for step in group_plan.next_steps(facts):
            if step.member is None:
                member = group_members.new(self._service, group, step.version)
            else:
                scope = group_members.scope_of(group)
                found = self._service.store.get(
                    group_members.KIND, group.project, scope, step.member
                )
                assert found is not None  # the facts were read in this very moment
                member = found
            self.begin(group, member, step)

    def _next_ready(self, group: Record) -> float | None:
        now = self._service.clock.now()
        times = (
            group_members.ready_at(group, member)
            for member in group_members.all_of(self._service, group)
        )
        return min((t for t in times if t is not None and t > now), default=None)

    async def _something(self, event: asyncio.Event, at: float | None) -> None:
        """Wait for the event, or for the time."""
        if at is None:
            await event.wait()
            return
        waits = [
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self._service.clock.sleep(at - self._service.clock.now())),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _launch(self, group: Record, member: Record) -> None:
        task = asyncio.create_task(self._work(group, member))
        self._works[member.id] = task

        def done(task: asyncio.Task[None]) -> None:
            if self._works.get(member.id) is task:
                del self._works[member.id]

        task.add_done_callback(done)

    def _end(self, member_id: str) -> None:
        task = self._works.pop(member_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _work(self, group: Record, member: Record) -> None:
        """One action, tried until it works."""
        action, pause = Action(member.private["action"]), _FIRST_PAUSE
        while True:
            store = self._service.store
            current, now = store.again(group) or group, store.again(member)
            if now is None:  # abandoned, or its transaction failed
                return
            try:
                await _WORKS[action](self._service, current, now)
                break
            except (OperationError, ApiError, MachineError) as error:
                self._failed(current, member, error)
            await self._service.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        finished = store.again(member)
        if finished is not None:
            refreshed = action is Action.REFRESHING
            since = finished.private["since"] if refreshed else self._service.clock.now()
            store.put(finished.kept(action=Action.NONE.value, since=since, old=None, errors=[]))
        with contextlib.suppress(KeyError):
            self._events[group.id].set()

    def _failed(self, group: Record, member: Record, error: Exception) -> None:
        code = error.code if isinstance(error, OperationError) else "INTERNAL_ERROR"
        if isinstance(error, ApiError):
            code = error.code
        entry: Json = {"code": code, "message": str(error)}
        current = self._service.store.again(member) or member
        self._service.store.note(current.kept(errors=[entry]))
        shown = group_members.shown(self._service, group, current)
        details = {k: shown[k] for k in ("instance", "version")}
        item: Json = {
            "error": entry,
            "instanceActionDetails": {"action": shown["currentAction"], **details},
            "timestamp": stamp(self._service.clock.now()),
        }
        now = self._service.store.again(group) or group
        kept = [*now.private.get("errors", []), item][-_ERRORS_KEPT:]
        self._service.store.note(now.kept(errors=kept))


def _deletion(member: Record) -> Step:
    return Step(Action.DELETING, member.name, group_members.version_of(member))
