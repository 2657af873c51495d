"""Instances: settings that localgce keeps and shows, and machines made many at a time."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import links
from localgce.core.errors import ApiError, MachineError
from localgce.http.listing import page_of
from localgce.instances import access_commands, bulk_commands, renaming, templates
from localgce.instances import setting_commands as commands
from localgce.instances.creator import creator_of

if TYPE_CHECKING:
    from localgce.core.errors import Json

_WITH_POLICIES = ("disks", "instances", "regionDisks")


@method("compute.instances.addAccessConfig")
def add_access_config(call: Call) -> Json:
    """Give the interface an external address."""
    nic = call.query["networkInterface"]
    addresses = call.services.addresses
    return access_commands.add(call.context, addresses, call.record(), nic, call.body).body


@method("compute.instances.deleteAccessConfig")
def delete_access_config(call: Call) -> Json:
    """Take the interface's external address away."""
    nic, name = call.query["networkInterface"], call.query["accessConfig"]
    addresses = call.services.addresses
    return access_commands.delete(call.context, addresses, call.record(), nic, name).body


@method("compute.instances.updateAccessConfig")
def update_access_config(call: Call) -> Json:
    """Change the settings of an external address; the address stays."""
    nic = call.query["networkInterface"]
    return access_commands.update(call.context, call.record(), nic, call.body).body


@method("compute.instances.updateNetworkInterface")
def update_network_interface(call: Call) -> Json:
    """Change the alias ranges of an interface, or move it while the instance is stopped."""
    nic, addresses = call.query["networkInterface"], call.services.addresses
    instance = call.record()
    return access_commands.update_interface(call.context, addresses, instance, nic, call.body).body


@method("compute.instances.update")
def update(call: Call) -> Json:
    """Replace the settings that the body has; refuse what localgce cannot change."""
    return commands.update(call.context, call.record(), call.body).body


@method("compute.instances.updateShieldedInstanceConfig")
def update_shielded_instance_config(call: Call) -> Json:
    """Change the settings of a stopped Shielded VM."""
    return commands.set_shielded_config(call.context, call.record(), call.body).body


@method("compute.instances.setShieldedInstanceIntegrityPolicy")
def set_shielded_instance_integrity_policy(call: Call) -> Json:
    """Record the integrity policy."""
    changes = {"shieldedInstanceIntegrityPolicy": call.body}
    return commands.change(call.context, call.record(), changes).body


@method("compute.instances.updateDisplayDevice")
def update_display_device(call: Call) -> Json:
    """Set whether an instance has a display from its next start on; it must be stopped."""
    changes = {"displayDevice": call.body}
    return commands.change_stopped(call.context, call.record(), changes, "updateDisplayDevice").body


@method("compute.instances.setName")
def set_name(call: Call) -> Json:
    """Rename a stopped instance."""
    return renaming.set_name(call.context, call.record(), call.body).body


@method("compute.instances.getScreenshot")
async def get_screenshot(call: Call) -> Json:
    """What the display of a running instance shows, as a PNG."""
    instance = call.record()
    machine = call.services.lifecycle.find(instance)
    try:
        if machine is None:
            raise MachineError(f"The instance '{instance.path}' is off")
        picture = await machine.screenshot()
    except MachineError as error:
        raise ApiError(400, "failedPrecondition", str(error)) from None
    return {"kind": "compute#screenshot", "contents": b64encode(picture).decode("ascii")}


@method("compute.instances.setMinCpuPlatform")
def set_min_cpu_platform(call: Call) -> Json:
    """Record the CPU platform of a stopped instance."""
    changes = {"minCpuPlatform": call.body.get("minCpuPlatform") or None}
    return commands.change_stopped(call.context, call.record(), changes, "setMinCpuPlatform").body


@method(*(f"compute.{resource}.addResourcePolicies" for resource in _WITH_POLICIES))
def add_resource_policies(call: Call) -> Json:
    """Attach policies that exist."""
    given = call.body.get("resourcePolicies", [])
    return commands.add_policies(call.context, call.record(), given).body


@method(*(f"compute.{resource}.removeResourcePolicies" for resource in _WITH_POLICIES))
def remove_resource_policies(call: Call) -> Json:
    """Detach policies."""
    given = call.body.get("resourcePolicies", [])
    return commands.remove_policies(call.context, call.record(), given).body


@method("compute.instances.bulkInsert")
def bulk_insert(call: Call) -> Json:
    """Create many instances, all or none."""
    context, body = call.context, dict(call.body)
    template = body.pop("sourceInstanceTemplate", None)
    properties = templates.insert_body(context, body.get("instanceProperties", {}), template, None)
    merged = templates.merged(context, properties, {})
    return bulk_commands.insert(context, call.services.addresses, body, merged).body


@method("compute.instances.listReferrers")
def list_referrers(call: Call) -> Json:
    """The managed instance group that an instance is a member of; `-` asks for all instances."""
    context, wanted = call.context, call.path["instance"]
    instances = call.records() if wanted == "-" else [call.record()]
    found = [
        {
            "kind": "compute#reference",
            "name": instance.name,
            "referenceType": "MEMBER_OF",
            "referrer": links.url(creator),
            "target": instance.link,
        }
        for instance in instances
        if (creator := creator_of(instance))
    ]
    page, token = page_of(call, found)
    path = f"{context.base}/instances/{wanted}/referrers"
    shown: Json = {
        "kind": "compute#instanceListReferrers",
        "id": path,
        "selfLink": links.url(path),
    }
    if page:
        shown["items"] = [{k: v for k, v in item.items() if k != "name"} for item in page]
    return {**shown, "nextPageToken": token} if token else shown
