"""Managed instance groups, of a zone and of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.groups import commands
from localgce.groups.views import group_body
from localgce.http.listing import list_of, zonal_and_regional

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method(
    "compute.instanceGroupManagers.insert",
    "compute.regionInstanceGroupManagers.insert",
)
def insert(call: Call) -> Json:
    """Create a group."""
    return commands.insert(call.context, call.body).body


@method(
    "compute.instanceGroupManagers.get",
    "compute.regionInstanceGroupManagers.get",
)
def get(call: Call) -> Json:
    """One group, with its status."""
    return group_body(call.context.core, call.record())


@method(
    "compute.instanceGroupManagers.list",
    "compute.regionInstanceGroupManagers.list",
)
def list_(call: Call) -> Json:
    """The groups of a zone or a region."""
    bodies = [group_body(call.context.core, record) for record in call.records()]
    return list_of(call, "instanceGroupManager", bodies)


@method("compute.instanceGroupManagers.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The groups of all zones and regions."""
    records = call.records(everywhere=True)
    bodies = [group_body(call.context.core, record) for record in records]
    return zonal_and_regional(call, "instanceGroupManager", bodies)


@method(
    "compute.instanceGroupManagers.delete",
    "compute.regionInstanceGroupManagers.delete",
)
def delete(call: Call) -> Json:
    """Delete the group with its instances."""
    return commands.delete(call.context, call.record()).body


@method(
    "compute.instanceGroupManagers.patch",
    "compute.regionInstanceGroupManagers.patch",
)
def patch(call: Call) -> Json:
    """Change versions, sizes and policies."""
    return commands.patch(call.context, call.record(), call.body, call.cleared).body


@method(
    "compute.instanceGroupManagers.setInstanceTemplate",
    "compute.regionInstanceGroupManagers.setInstanceTemplate",
)
def set_instance_template(call: Call) -> Json:
    """Make the template the only version."""
    template = call.body.get("instanceTemplate")
    return commands.set_instance_template(call.context, call.record(), template).body


@method(
    "compute.instanceGroupManagers.resize",
    "compute.regionInstanceGroupManagers.resize",
)
def resize(call: Call) -> Json:
    """Change the size."""
    return commands.resize(call.context, call.record(), call.query["size"]).body
