"""The instances of managed instance groups: what is done to some of them, and what they are."""

from __future__ import annotations

import re

from localgce import errors
from localgce.errors import Json
from localgce.groups import body as group_body
from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups import templates as group_templates
from localgce.groups.plan import Action, Group, Member, Step, Version
from localgce.http.call import Call
from localgce.http.listing import page_of
from localgce.operations import Work, work
from localgce.state.store import Record

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")


def recreate_instances(call: Call) -> Json:
    """Replace these at once, by what the group would make now."""
    names = _names(call)
    return call.begin(call.record(), "managedInstances.recreate", names=names)


def apply_updates_to_instances(call: Call) -> Json:
    """Bring these to their target version at once, in place, as far as is allowed."""
    group = call.record()
    everyone = call.body.get("allInstances", False)
    if everyone and call.body.get("instances"):
        text = "Only one of allInstances and instances can be given."
        raise errors.invalid("resource.allInstances", True, text)
    members = group_members.all_of(call.service, group)
    names = [m.name for m in members] if everyone else _names(call)
    minimal = call.body.get("minimalAction", "NONE")
    allowed = call.body.get("mostDisruptiveAllowedAction", "REPLACE")
    return call.begin(
        group, "managedInstances.apply", names=names, minimal=minimal, allowed=allowed
    )


def delete_instances(call: Call) -> Json:
    """Delete these; the group is smaller by them."""
    return _leave(call, Action.DELETING, "managedInstances.delete")


def abandon_instances(call: Call) -> Json:
    """Let these go on alone; the group is smaller by them."""
    return _leave(call, Action.ABANDONING, "managedInstances.abandon")


def create_instances(call: Call) -> Json:
    """New ones of these names; the group is larger by them."""
    group = call.record()
    names = [str(raw.get("name", "")) for raw in call.body.get("instances", [])]
    if not names:
        raise errors.required("resource.instances")
    for index, name in enumerate(names):
        where = f"resource.instances[{index}].name"
        if not _NAME.fullmatch(name):
            raise errors.invalid(where, name, f"Must be a match of regex '{_NAME.pattern}'")
        if names.count(name) > 1:
            raise errors.invalid(where, name, "Given twice.")
        call.refuse_existing("instances", name)
    size = group_body.check_size(group.body["targetSize"] + len(names))
    changed = call.service.store.put(group.changed(targetSize=size))
    for name in names:  # now, so that the group does not fill its new size by itself
        version = _most_lacking(group_members.facts(call.service, changed))
        call.service.store.put(group_members.new(call.service, changed, version, name))
    return call.begin(changed, "managedInstances.create", names=names)


def list_managed_instances(call: Call) -> Json:
    """The members, also those that have no instance yet."""
    group = call.record()
    members = group_members.all_of(call.service, group)
    bodies = [group_members.shown(call.service, group, member) for member in members]
    page, token = page_of(call, bodies)
    shown: Json = {"managedInstances": page} if page else {}
    return {**shown, "nextPageToken": token} if token else shown


def list_errors(call: Call) -> Json:
    """What went wrong of late, the newest last."""
    found = call.record().private.get("errors", [])
    keyed = [{**e, "name": f"{e['timestamp']} {i:03}"} for i, e in enumerate(found)]
    page, token = page_of(call, keyed)
    items = [{k: v for k, v in error.items() if k != "name"} for error in page]
    shown: Json = {"items": items} if items else {}
    return {**shown, "nextPageToken": token} if token else shown


def _names(call: Call) -> list[str]:
    """The members that the body's links name; raises 400 for one that is none."""
    group = call.record()
    given = call.body.get("instances", [])
    if not given:
        raise errors.required("resource.instances")
    there = {member.name for member in group_members.all_of(call.service, group)}
    names = []
    for index, value in enumerate(given):
        where = f"resource.instances[{index}]"
        link = call.link(value, where)
        if link.name not in there or link.scope != call.scope:
            text = f"The instance is not a member of '{group.path}'."
            raise errors.invalid(where, value, text)
        names.append(link.name)
    return list(dict.fromkeys(names))


def _leave(call: Call, action: Action, name: str) -> Json:
    """Size and members change at once, so that the group does not make up for them by itself."""
    group = call.record()
    names = _names(call)
    staying = [
        m
        for m in group_members.all_of(call.service, group)
        if m.name in names and Action(m.private["action"]) not in group_plan.LEAVING
    ]
    for member in staying:
        call.service.store.put(member.kept(action=action.value))
    size = max(0, int(group.body["targetSize"]) - len(staying))
    changed = call.service.store.put(group.changed(targetSize=size))
    return call.begin(changed, name, names=names)


def _members(task: Work) -> list[Record]:
    members = group_members.all_of(task.service, task.target)
    return [member for member in members if member.name in task.args["names"]]


def _version(task: Work, member: Member) -> Version:
    """What the member should become: its own version if that is still wanted, else one that
    lacks members."""
    facts = group_members.facts(task.service, task.target)
    if member.name not in {m.name for m in facts.outdated()}:
        return member.version
    return _most_lacking(facts)


def _most_lacking(facts: Group) -> Version:
    gone = {m.name for m in facts.outdated()}
    there = [m.version for m in facts.alive if m.name not in gone]
    return max(facts.targets, key=lambda target: target[1] - there.count(target[0]))[0]


@work("managedInstances.recreate")
def recreate(task: Work) -> None:
    """Begin; the operation does not wait for the instances."""
    for member in _members(task):
        fact = group_members.fact(task.service, task.target, member)
        step = Step(Action.RECREATING, member.name, _version(task, fact))
        task.service.groups.begin(task.target, member, step)
    task.service.groups.kick(task.target)


@work("managedInstances.apply")
def apply(task: Work) -> None:
    """Begin what each takes."""
    minimal, allowed = task.args["minimal"], task.args["allowed"]
    for member in _members(task):
        fact = group_members.fact(task.service, task.target, member)
        version = _version(task, fact)
        needed = "NONE"
        if version != fact.version:
            project = task.target.project
            needed = group_templates.needs(task.service, project, fact.version, version)
        action = group_plan.action_for(minimal, needed, allowed)
        if action is not None and (version != fact.version or minimal != "NONE"):
            step = Step(action, member.name, version)
            task.service.groups.begin(task.target, member, step)
    task.service.groups.kick(task.target)


@work("managedInstances.delete")
def delete(task: Work) -> None:
    """Begin."""
    for member in _members(task):
        step = Step(Action.DELETING, member.name, group_members.version_of(member))
        task.service.groups.begin(task.target, member, step)
    task.service.groups.kick(task.target)


@work("managedInstances.abandon")
def abandon(task: Work) -> None:
    """Done at once."""
    for member in _members(task):
        task.service.groups.abandon(task.target, member)


@work("managedInstances.create")
def create(task: Work) -> None:
    """Begin."""
    for member in _members(task):
        if member.private["action"] == Action.CREATING:
            version = group_members.version_of(member)
            task.service.groups.begin(
                task.target, member, Step(Action.CREATING, member.name, version)
            )
    task.service.groups.kick(task.target)
