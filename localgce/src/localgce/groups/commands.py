"""The commands on managed instance groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, links
from localgce.core.clock import timestamp
from localgce.core.ids import fingerprint, numeric_id
from localgce.core.store import Record
from localgce.groups import members as group_members
from localgce.groups import validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json

KIND = "instanceGroupManagers"


def insert(context: Context, given: Json) -> Record:
    """Create a group; its instances are created after the operation."""
    name = str(given["name"])
    context.refuse_existing(KIND, name)
    fields = validation.checked(context, given, {})
    now = context.now()
    body: Json = {
        "kind": "compute#instanceGroupManager",
        "id": numeric_id(),
        "creationTimestamp": timestamp(now),
        "name": name,
        "baseInstanceName": validation.base_name(given),
        "zone" if context.zone else "region": links.url(context.base),
        "selfLink": links.url(f"{context.base}/{KIND}/{name}"),
        "instanceGroup": links.url(f"{context.base}/instanceGroups/{name}"),
        **fields,
    }
    group = Record(KIND, context.project, context.scope, name, {}, {"at": now}).changed(**body)
    context.store.put(group)
    return context.begin(group, "instanceGroupManagers.kick")


def delete(context: Context, group: Record) -> Record:
    """Delete a group with its instances."""
    context.store.put(group.kept(deleting=True))
    return context.begin(group, "instanceGroupManagers.delete")


def patch(context: Context, group: Record, given: Json, cleared: frozenset[str]) -> Record:
    """Change versions, sizes and policies; a PROACTIVE group begins a rollout.

    `cleared` are the dotted paths of what the request sets to null.
    """
    given_fingerprint = given.get("fingerprint")
    if given_fingerprint and given_fingerprint != fingerprint(group.body):
        text = "Supplied fingerprint does not match current fingerprint."
        raise errors.condition_not_met(text)
    has_configs = group_members.has_configs(context.core, group)
    policy = validation.merged_stateful_policy(group.body, given, cleared)
    given = {**given, "statefulPolicy": policy}
    changes = validation.checked(context, given, group.body, has_configs=has_configs)
    return _change(context, group, changes)


def set_instance_template(context: Context, group: Record, template: str | None) -> Record:
    """Make the template the only version."""
    given = {"instanceTemplate": template}
    return _change(context, group, validation.checked(context, given, group.body))


def resize(context: Context, group: Record, size: int) -> Record:
    """Change the size; the operation does not wait for the instances."""
    return _change(context, group, {"targetSize": validation.check_size(size)})


def _change(context: Context, group: Record, changes: Json) -> Record:
    changed = group.changed(**changes)
    context.store.put(changed)
    return context.begin(changed, "instanceGroupManagers.kick")
