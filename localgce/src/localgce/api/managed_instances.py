"""The instances of managed instance groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localgce.api.method import Call, method
from localgce.groups import instance_configs
from localgce.groups import member_commands as commands
from localgce.groups import members as group_members
from localgce.groups.standby import STOPPED, SUSPENDED
from localgce.http.listing import page_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method(
    "compute.instanceGroupManagers.recreateInstances",
    "compute.regionInstanceGroupManagers.recreateInstances",
)
def recreate_instances(call: Call) -> Json:
    """Replace instances at once."""
    return commands.recreate(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.applyUpdatesToInstances",
    "compute.regionInstanceGroupManagers.applyUpdatesToInstances",
)
def apply_updates_to_instances(call: Call) -> Json:
    """Update instances to their target version at once."""
    return commands.apply_updates(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.deleteInstances",
    "compute.regionInstanceGroupManagers.deleteInstances",
)
def delete_instances(call: Call) -> Json:
    """Delete instances and shrink the group by them."""
    return commands.delete(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.abandonInstances",
    "compute.regionInstanceGroupManagers.abandonInstances",
)
def abandon_instances(call: Call) -> Json:
    """Remove instances from the group without deleting them."""
    return commands.abandon(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.createInstances",
    "compute.regionInstanceGroupManagers.createInstances",
)
def create_instances(call: Call) -> Json:
    """Create instances of given names, and grow the group by them."""
    return commands.create(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.stopInstances",
    "compute.regionInstanceGroupManagers.stopInstances",
)
def stop_instances(call: Call) -> Json:
    """Stop instances, which the group keeps beside its size."""
    return commands.enter_standby(call.context, call.record(), call.body, STOPPED).body


@method(
    "compute.instanceGroupManagers.suspendInstances",
    "compute.regionInstanceGroupManagers.suspendInstances",
)
def suspend_instances(call: Call) -> Json:
    """Suspend instances, which the group keeps beside its size."""
    return commands.enter_standby(call.context, call.record(), call.body, SUSPENDED).body


@method(
    "compute.instanceGroupManagers.startInstances",
    "compute.regionInstanceGroupManagers.startInstances",
)
def start_instances(call: Call) -> Json:
    """Start instances that were stopped so."""
    return commands.leave_standby(call.context, call.record(), call.body, STOPPED).body


@method(
    "compute.instanceGroupManagers.resumeInstances",
    "compute.regionInstanceGroupManagers.resumeInstances",
)
def resume_instances(call: Call) -> Json:
    """Resume instances that were suspended so."""
    return commands.leave_standby(call.context, call.record(), call.body, SUSPENDED).body


@method(
    "compute.instanceGroupManagers.listManagedInstances",
    "compute.regionInstanceGroupManagers.listManagedInstances",
)
def list_managed_instances(call: Call) -> Json:
    """The members, also those whose instance does not exist yet."""
    core, group = call.context.core, call.record()
    members = group_members.all_of(core, group)
    page, token = page_of(call, [group_members.shown(core, group, m) for m in members])
    return _page("managedInstances", page, token)


@method(
    "compute.instanceGroupManagers.listPerInstanceConfigs",
    "compute.regionInstanceGroupManagers.listPerInstanceConfigs",
)
def list_per_instance_configs(call: Call) -> Json:
    """The state that is preserved of single instances."""
    page, token = page_of(call, instance_configs.listed(call.context, call.record()))
    return _page("items", page, token)


@method(
    "compute.instanceGroupManagers.updatePerInstanceConfigs",
    "compute.regionInstanceGroupManagers.updatePerInstanceConfigs",
)
def update_per_instance_configs(call: Call) -> Json:
    """Set what is preserved of single instances."""
    return instance_configs.update(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.patchPerInstanceConfigs",
    "compute.regionInstanceGroupManagers.patchPerInstanceConfigs",
)
def patch_per_instance_configs(call: Call) -> Json:
    """Change what is preserved of single instances."""
    return instance_configs.patch(call.context, call.record(), call.body, call.cleared).body


@method(
    "compute.instanceGroupManagers.deletePerInstanceConfigs",
    "compute.regionInstanceGroupManagers.deletePerInstanceConfigs",
)
def delete_per_instance_configs(call: Call) -> Json:
    """Preserve nothing of single instances any more."""
    return instance_configs.delete(call.context, call.record(), call.body).body


@method(
    "compute.instanceGroupManagers.listErrors",
    "compute.regionInstanceGroupManagers.listErrors",
)
def list_errors(call: Call) -> Json:
    """The recent errors, the newest last."""
    found = call.record().private.get("errors", [])
    keyed = [{**e, "name": f"{e['timestamp']} {i:03}"} for i, e in enumerate(found)]
    page, token = page_of(call, keyed)
    items = [{k: v for k, v in error.items() if k != "name"} for error in page]
    return _page("items", items, token)


def _page(field: str, items: list[Any], token: str | None) -> Json:
    shown: Json = {field: items} if items else {}
    return {**shown, "nextPageToken": token} if token else shown
