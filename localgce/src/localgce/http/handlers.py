"""Which function answers which method: `api/` has one file per resource.

A handler takes a `Call` and returns the body of the answer. Where Python's own names are in the
way an underscore follows: `list_`.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
from collections.abc import Awaitable, Callable
from types import ModuleType

from localgce.api import (
    addresses,
    autoscalers,
    disk_types,
    disks,
    firewalls,
    image_family_views,
    images,
    instance_disks,
    instance_group_managers,
    instance_groups,
    instance_reads,
    instance_settings,
    instance_templates,
    instances,
    machine_images,
    machine_types,
    managed_instances,
    networks,
    operations,
    projects,
    regions,
    snapshots,
    subnetworks,
    zones,
)
from localgce.errors import Json
from localgce.http.call import Call

Handler = Callable[[Call], Json | Awaitable[Json]]

RESOURCES: dict[str, tuple[ModuleType, ...]] = {
    "addresses": (addresses,),
    "autoscalers": (autoscalers,),
    "diskTypes": (disk_types,),
    "disks": (disks,),
    "firewalls": (firewalls,),
    "globalOperations": (operations,),
    "imageFamilyViews": (image_family_views,),
    "images": (images,),
    "instanceGroupManagers": (instance_group_managers, managed_instances),
    "instanceGroups": (instance_groups,),
    "instanceTemplates": (instance_templates,),
    "instances": (instances, instance_disks, instance_reads, instance_settings),
    "machineImages": (machine_images,),
    "machineTypes": (machine_types,),
    "networks": (networks,),
    "projects": (projects,),
    "regionOperations": (operations,),
    "regions": (regions,),
    "snapshots": (snapshots,),
    "subnetworks": (subnetworks,),
    "zoneOperations": (operations,),
    "zones": (zones,),
}


def handler(method_id: str) -> Handler | None:
    """The function that answers a method, or None when it is not implemented."""
    _, resource, verb = method_id.split(".", 2)
    for module in RESOURCES.get(resource, ()):
        found = vars(module).get(function_name(verb))
        if inspect.isfunction(found):
            return found
    return None


def function_name(verb: str) -> str:
    """`aggregated_list` for `aggregatedList`, `list_` for `list`."""
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", verb).lower()
    return f"{name}_" if name in vars(builtins) or keyword.iskeyword(name) else name
