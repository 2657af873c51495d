"""Instance templates; `instances.insert?sourceInstanceTemplate=` creates instances from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.groups import template_commands
from localgce.http.listing import aggregated, list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.instanceTemplates.insert", "compute.regionInstanceTemplates.insert")
def insert(call: Call) -> Json:
    """Create a template of properties or of an instance."""
    return template_commands.insert(call.context, call.body).body


@method("compute.instanceTemplates.get", "compute.regionInstanceTemplates.get")
def get(call: Call) -> Json:
    """One template."""
    return call.record().body


@method("compute.instanceTemplates.list", "compute.regionInstanceTemplates.list")
def list_(call: Call) -> Json:
    """The templates of the project, or of one of its regions."""
    return list_of(call, "instanceTemplate", [record.body for record in call.records()])


@method("compute.instanceTemplates.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The templates by scope."""
    bodies = [record.body for record in call.records(everywhere=True)]
    scopes = ["global", *(f"regions/{name}" for name in catalog.REGIONS)]
    return aggregated(call, "instanceTemplate", bodies, scopes)


@method("compute.instanceTemplates.delete", "compute.regionInstanceTemplates.delete")
def delete(call: Call) -> Json:
    """Delete a template that no group uses."""
    return template_commands.delete(call.context, call.record()).body
