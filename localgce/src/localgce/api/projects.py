"""Projects: the one that the server was started for, and the public ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog, crud, errors, links, projects

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.projects.get")
def get(call: Call) -> Json:
    """The project; of a public one only its name and id."""
    project = call.context.project
    if project in catalog.PUBLIC_PROJECTS:
        path = f"projects/{project}"
        return {
            "kind": "compute#project",
            "id": catalog.fixed_id(path),
            "name": project,
            "selfLink": links.url(path),
        }
    return call.context.core.project_record(project).body


@method("compute.projects.setCommonInstanceMetadata")
def set_common_instance_metadata(call: Call) -> Json:
    """Replace the metadata of all instances."""
    return projects.set_common_instance_metadata(call.context, call.body).body


@method("compute.projects.setDefaultNetworkTier")
def set_default_network_tier(call: Call) -> Json:
    """Record the tier of external addresses."""
    project = call.context.core.project_record(call.context.project)
    tier = call.body.get("networkTier")
    if tier is None:
        raise errors.required("networkTier")
    return crud.begin_patch(call.context, project, {"defaultNetworkTier": tier}).body
