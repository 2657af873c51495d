"""From a template and what a call says besides to the body of an insert."""

from __future__ import annotations

from localgce import errors
from localgce.errors import Json
from localgce.http.call import Call
from localgce.resources import links
from localgce.state.store import Record

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
    """What of an instance others like it are made with, its disks left out."""
    body = instance.body
    properties: Json = {key: body[key] for key in _PROPERTIES if key in body}
    interfaces = [_interface(nic) for nic in body["networkInterfaces"]]
    machine_type = links.last(body["machineType"])
    return {**properties, "machineType": machine_type, "networkInterfaces": interfaces}


def _interface(nic: Json) -> Json:
    configs = [{k: c[k] for k in ("name", "type")} for c in nic.get("accessConfigs", [])]
    shown = {"network": nic["network"], "subnetwork": nic["subnetwork"], "name": nic["name"]}
    return {**shown, "accessConfigs": configs} if configs else shown


def body_of(call: Call) -> Json:
    """The call's body, over the properties of the template or machine image that it names."""
    machine_image = call.query.get("sourceMachineImage") or call.body.get("sourceMachineImage")
    if machine_image:
        return _from_machine_image(call, machine_image)
    source = call.query.get("sourceInstanceTemplate")
    if not source:
        return call.body
    template = call.at(call.link(source, "sourceInstanceTemplate"))
    return merged(call, template.body.get("properties", {}), call.body)


def merged(call: Call, properties: Json, body: Json) -> Json:
    """Properties name types barely; an instance's body needs them as links of its zone."""
    result: Json = {**properties, **body}
    if "machineType" in result:
        result["machineType"] = _in_zone(call, result["machineType"], "machineTypes")
    disks = []
    for disk in result.get("disks", []):
        params = disk.get("initializeParams")
        if params and "diskType" in params:
            kind = _in_zone(call, params["diskType"], "diskTypes")
            disk = {**disk, "initializeParams": {**params, "diskType": kind}}
        disks.append(disk)
    return {**result, "disks": disks} if disks else result


def _from_machine_image(call: Call, source: str) -> Json:
    image = call.at(call.link(source, "sourceMachineImage"))
    if image.kind != "machineImages":
        raise errors.invalid("sourceMachineImage", source, "The URL is malformed.")
    properties = image.body["instanceProperties"]
    disks = [_saved_disk(disk, image.link) for disk in properties["disks"]]
    body = merged(call, {**properties, "disks": disks}, call.body)
    return {**body, "sourceMachineImage": image.link}


def _saved_disk(disk: Json, image: str) -> Json:
    params = {"sourceMachineImage": image, "sourceMachineImageDiskDeviceName": disk["deviceName"]}
    size = {"diskSizeGb": disk["diskSizeGb"]}
    return {**disk, "initializeParams": {**size, **params}}


def _in_zone(call: Call, value: str, collection: str) -> str:
    return value if "/" in value else f"{call.scope}/{collection}/{value}"
