"""From a template and what a call says besides to the body of an insert."""

from __future__ import annotations

from localgce.call import Call
from localgce.errors import Json


def body_of(call: Call) -> Json:
    """The call's body, over the properties of `sourceInstanceTemplate` when one is named."""
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


def _in_zone(call: Call, value: str, collection: str) -> str:
    return value if "/" in value else f"{call.scope}/{collection}/{value}"
