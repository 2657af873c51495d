"""The operations of managed instance groups; they begin actions and do not wait for instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups import templates as group_templates
from localgce.groups.plan import STANDBY, Action, Member, Step, Version

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record
    from localgce.groups.manager import Groups
    from localgce.groups.member_actions import MemberActions


class GroupHandlers:
    """Changes and deletes groups, and acts on their members."""

    def __init__(self, core: Core, groups: Groups, actions: MemberActions) -> None:
        """Begin the actions by `groups`."""
        self._core = core
        self._groups = groups
        self._actions = actions

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("instanceGroupManagers.kick", self.change)
        operations.register(
            "instanceGroupManagers.delete", self.delete_group, deletes=True, preempts=True
        )
        operations.register("managedInstances.recreate", self.recreate)
        operations.register("managedInstances.apply", self.apply)
        operations.register("managedInstances.delete", self.delete)
        operations.register("managedInstances.abandon", self.abandon)
        operations.register("managedInstances.create", self.create)
        operations.register("managedInstances.standby", self.change_standby)

    def change(self, task: Task) -> None:
        """Preserve what a new policy says, and let the group look at its change."""
        for member in group_members.all_of(self._core, task.target):
            self._actions.preserve_state(task.target, member)
        self._groups.kick(task.target)

    async def delete_group(self, task: Task) -> None:
        """Delete the instances, then the group."""
        await self._groups.forget(task.target)

    def recreate(self, task: Task) -> None:
        """Begin to replace instances."""
        for member in self._members(task):
            fact = group_members.fact(self._core, task.target, member)
            step = Step(Action.RECREATING, member.name, self._version(task, fact))
            self._groups.begin(task.target, member, step)
        self._groups.kick(task.target)

    def apply(self, task: Task) -> None:
        """Begin the least disruptive action for each instance."""
        minimal, allowed = task.args["minimal"], task.args["allowed"]
        store, project = self._core.store, task.target.project
        for member in self._members(task):
            fact = group_members.fact(self._core, task.target, member)
            version = self._version(task, fact)
            needed = "NONE"
            if version != fact.version:
                needed = group_templates.needs(store, project, fact.version, version)
            action = group_plan.action_for(minimal, needed, allowed)
            if action is not None and (version != fact.version or minimal != "NONE"):
                self._groups.begin(task.target, member, Step(action, member.name, version))
        self._groups.kick(task.target)

    def delete(self, task: Task) -> None:
        """Begin to delete instances."""
        self._begin(task, self._members(task), Action.DELETING)

    def abandon(self, task: Task) -> None:
        """Remove instances from the group."""
        for member in self._members(task):
            self._groups.abandon(task.target, member)

    def create(self, task: Task) -> None:
        """Begin to create instances."""
        members = self._members(task)
        new = [member for member in members if member.private["action"] == Action.CREATING]
        self._begin(task, new, Action.CREATING)

    def change_standby(self, task: Task) -> None:
        """Begin what the request has said of each member."""
        for member in self._members(task):
            action = Action(member.private["action"])
            if action in STANDBY:
                self._begin(task, [member], action)

    def _begin(self, task: Task, members: list[Record], action: Action) -> None:
        for member in members:
            step = Step(action, member.name, group_members.version_of(member))
            self._groups.begin(task.target, member, step)
        self._groups.kick(task.target)

    def _members(self, task: Task) -> list[Record]:
        members = group_members.all_of(self._core, task.target)
        return [member for member in members if member.name in task.args["names"]]

    def _version(self, task: Task, member: Member) -> Version:
        """The target version of a member: its own where that is current, else one that lacks."""
        facts = group_members.facts(self._core, task.target)
        if member.name not in {m.name for m in facts.outdated()}:
            return member.version
        return facts.most_lacking()
