"""Instance properties: those of an instance, and the insert of a template or machine image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, errors, links

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record

_PROPERTIES = (
    "canIpForward",
    "description",
    "labels",
    "machineType",
    "metadata",
    "minCpuPlatform",
    "scheduling",
    "serviceAccounts",
    "tags",
)


def properties_of(instance: Record) -> Json:
    """The properties for instances like this one, without disks."""
    body = instance.body
    properties: Json = {key: body[key] for key in _PROPERTIES if key in body}
    interfaces = [_interface(nic) for nic in body["networkInterfaces"]]
    machine_type = links.last(body["machineType"])
    return {**properties, "machineType": machine_type, "networkInterfaces": interfaces}


def _interface(nic: Json) -> Json:
    configs = [{k: c[k] for k in ("name", "type")} for c in nic.get("accessConfigs", [])]
    shown = {"network": nic["network"], "subnetwork": nic["subnetwork"], "name": nic["name"]}
    return {**shown, "accessConfigs": configs} if configs else shown


def insert_body(
    context: Context, body: Json, template: str | None, machine_image: str | None
) -> Json:
    """The body of an insert, merged over the template or machine image that it names."""
    machine_image = machine_image or body.get("sourceMachineImage")
    if machine_image:
        return _from_machine_image(context, machine_image, body)
    if not template:
        return body
    where = "sourceInstanceTemplate"
    link = context.link(template, where)
    check_region(context, link.scope, template, where)
    found = context.at(link)
    return merged(context, found.body.get("properties", {}), body)


def check_region(context: Context, scope: str, link: str, field: str) -> None:
    """Raise 400 for a template of another region than the request's; a global one fits all."""
    kind, _, name = context.scope.partition("/")
    region = catalog.region_of(name) if kind == "zones" else name
    if scope not in {"global", f"regions/{region}"}:
        text = f"The template must be global or of the region '{region}'."
        raise errors.invalid(field, link, text)


def merged(context: Context, properties: Json, body: Json) -> Json:
    """Merge a body over properties; types that they give by name become links of the zone."""
    result: Json = {**properties, **body}
    if "machineType" in result:
        result["machineType"] = _in_zone(context, result["machineType"], "machineTypes")
    disks = []
    for disk in result.get("disks", []):
        params = disk.get("initializeParams")
        if params and "diskType" in params:
            kind = _in_zone(context, params["diskType"], "diskTypes")
            disk = {**disk, "initializeParams": {**params, "diskType": kind}}
        disks.append(disk)
    return {**result, "disks": disks} if disks else result


def _from_machine_image(context: Context, source: str, given: Json) -> Json:
    image = context.at(context.link(source, "sourceMachineImage"))
    if image.kind != "machineImages":
        raise errors.invalid("sourceMachineImage", source, "The URL is malformed.")
    properties = image.body["instanceProperties"]
    disks = [_saved_disk(disk, image.link) for disk in properties["disks"]]
    body = merged(context, {**properties, "disks": disks}, given)
    return {**body, "sourceMachineImage": image.link}


def _saved_disk(disk: Json, image: str) -> Json:
    params = {"sourceMachineImage": image, "sourceMachineImageDiskDeviceName": disk["deviceName"]}
    size = {"diskSizeGb": disk["diskSizeGb"]}
    return {**disk, "initializeParams": {**size, **params}}


def _in_zone(context: Context, value: str, collection: str) -> str:
    return value if "/" in value else f"{context.scope}/{collection}/{value}"
