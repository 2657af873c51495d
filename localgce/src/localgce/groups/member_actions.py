"""The actions on managed instances, one method each.

All are idempotent, because a kill can come between any two steps; they raise OperationError,
ApiError or MachineError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import limits, links
from localgce.core.errors import Json, OperationError
from localgce.core.operations import KINDS
from localgce.groups import members as group_members
from localgce.groups import templates as group_templates
from localgce.instances import commands as instance_commands
from localgce.instances import templates as instance_templates
from localgce.instances import validation as instance_validation

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.groups.stateful import StatefulPolicy
    from localgce.instances.addresses import Allocator

_HOUR = 3600.0


class MemberActions:
    """Creates, replaces, restarts, refreshes and deletes the instances of members."""

    def __init__(self, core: Core, addresses: Allocator, stateful: StatefulPolicy) -> None:
        """Act by the commands on instances, as clients do."""
        self._core = core
        self._addresses = addresses
        self._stateful = stateful

    async def create(self, group: Record, member: Record) -> None:
        """Create an instance of the member's version; wait until it runs."""
        instance = group_members.instance_of(self._core, member)
        if instance is None:
            await self._insert(group, member)
        else:
            await self._wait_for_operations(instance)
        instance = group_members.instance_of(self._core, member)
        if instance is None or instance.body["status"] not in {"RUNNING", "TERMINATED"}:
            text = f"The instance '{member.name}' did not start"
            raise OperationError("INTERNAL_ERROR", text, 500)
        self.preserve_state(group, member)

    async def recreate(self, group: Record, member: Record) -> None:
        """Replace the instance under the same name, with what the stateful policy preserves."""
        self.preserve_state(group, member)
        instance = group_members.instance_of(self._core, member)
        if instance is not None and instance.id == member.private["old"]:
            await self._run("delete", instance)
        member = self._core.store.again(member) or member
        await self.create(group, member)

    async def restart(self, group: Record, member: Record) -> None:
        """Stop, refresh and start the instance."""
        instance = group_members.instance_of(self._core, member)
        if instance is None:
            await self.create(group, member)
            return
        await self._wait_for_operations(instance)
        if (self._core.store.again(instance) or instance).body["status"] == "RUNNING":
            await self._run("stop", instance)
        await self.refresh(group, member)
        await self._run("start", instance)

    async def refresh(self, group: Record, member: Record) -> None:
        """Apply metadata, labels and tags of the template; to a stopped instance, also the type."""
        store = self._core.store
        instance = group_members.instance_of(self._core, member)
        if instance is None:
            return
        await self._wait_for_operations(instance)
        instance = store.again(instance) or instance
        template = member.private["version"]["instanceTemplate"]
        given = group_templates.properties(store, group.project, template)
        metadata = group_templates.metadata(group, given, template)
        changes: Json = {
            "metadata": limits.metadata(metadata),
            "tags": instance_validation.tags(given.get("tags")),
            "labels": None,
            **limits.label_fields(group_templates.labels(group, given)),
        }
        if instance.body["status"] == "TERMINATED":
            kind = links.last(given["machineType"])
            path = f"projects/{group.project}/{instance.scope}/machineTypes/{kind}"
            changes["machineType"] = links.url(path)
        store.put(instance.changed(**changes))
        self._core.changes.notify(f"instance/{instance.id}")

    async def delete(self, group: Record, member: Record) -> None:
        """Delete the instance, the member, and what is preserved for the member alone."""
        self.preserve_state(group, member)
        instance = group_members.instance_of(self._core, member)
        if instance is not None:
            await self._run("delete", instance)
        current = self._core.store.again(member) or member
        preserved, config = current.private["preserved"], current.private.get("config") or {}
        kept = group_templates.merged(preserved, config)
        await self._stateful.release(group.project, kept)
        self._core.store.delete(member)

    async def stop(self, group: Record, member: Record) -> None:
        """Stop the instance, once its initial delay is over."""
        del group
        await self._wait_for_initial_delay(member)
        await self._change_power("stop", {"RUNNING"}, member)

    async def suspend(self, group: Record, member: Record) -> None:
        """Suspend the instance, once its initial delay is over."""
        del group
        await self._wait_for_initial_delay(member)
        await self._change_power("suspend", {"RUNNING"}, member)

    async def start(self, group: Record, member: Record) -> None:
        """Start the instance; create it where it is gone."""
        if not await self._change_power("start", {"TERMINATED", "STOPPED"}, member):
            await self.create(group, member)

    async def resume(self, group: Record, member: Record) -> None:
        """Resume the instance; create it where it is gone."""
        if not await self._change_power("resume", {"SUSPENDED"}, member):
            await self.create(group, member)

    async def _wait_for_initial_delay(self, member: Record) -> None:
        clock = self._core.clock
        await clock.sleep(max(0.0, member.private.get("not_before", 0.0) - clock.now()))

    async def _change_power(self, verb: str, statuses: set[str], member: Record) -> bool:
        """Do it to an instance of one of these statuses; return whether there is an instance."""
        instance = group_members.instance_of(self._core, member)
        if instance is None:
            return False
        await self._wait_for_operations(instance)
        if (self._core.store.again(instance) or instance).body["status"] in statuses:
            await self._run(verb, instance)
        return True

    def preserve_state(self, group: Record, member: Record) -> None:
        """Record what the stateful policy preserves of the current instance."""
        store = self._core.store
        current = store.again(member)
        instance = group_members.instance_of(self._core, member)
        if current is None or instance is None:
            return
        before = current.private["preserved"]
        with store.transaction():
            config = current.private.get("config") or {}
            found = self._stateful.preserve(group, instance, before, config)
            if found != before:
                store.put(current.kept(preserved=found))

    async def _insert(self, group: Record, member: Record) -> None:
        store = self._core.store
        template = member.private["version"]["instanceTemplate"]
        given = group_templates.properties(store, group.project, template)
        preserved = group_templates.merged(
            member.private["preserved"], member.private.get("config") or {}
        )
        body = group_templates.insert_body(group, given, member.name, template, preserved)
        method = "compute.instances.insert"
        scope = group_members.instance_scope(member)
        context = self._core.internal(method, group.project, scope, member.name)
        with store.transaction():
            merged = instance_templates.insert_body(context, body, template, None)
            operation = instance_commands.insert(context, self._addresses, merged)
            instance = group_members.instance_of(self._core, member)
            if instance is not None:
                store.put(instance.kept(group=group.id))
        await self._outcome(operation)

    async def _run(self, verb: str, instance: Record) -> None:
        """Run an operation of `instances` to its end, whatever the instance's status."""
        method = f"compute.instances.{verb}"
        context = self._core.internal(method, instance.project, instance.scope, instance.name)
        with self._core.store.transaction():
            operation = context.begin(instance, f"instances.{verb}")
        await self._outcome(operation)

    async def _outcome(self, operation: Record) -> None:
        current: Record | None = operation
        while current is not None and current.body["status"] != "DONE":
            current = await self._core.operations.wait(current, _HOUR)
            current = self._core.store.again(current)
        if current is not None and "error" in current.body:
            error = current.body["error"]["errors"][0]
            status = current.body["httpErrorStatusCode"]
            raise OperationError(error["code"], error["message"], status)

    async def _wait_for_operations(self, instance: Record) -> None:
        for kind in KINDS:
            for operation in self._core.store.all(kind, instance.project, instance.scope):
                if operation.body["targetId"] == instance.id:
                    await self._core.operations.wait(operation, _HOUR)
