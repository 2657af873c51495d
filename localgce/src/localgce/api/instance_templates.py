"""Instance templates: kept; `instances.insert?sourceInstanceTemplate=` makes instances of them."""

from __future__ import annotations

from localgce import errors
from localgce.api import kept
from localgce.disks import works as disk_works
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import aggregated
from localgce.instances import templates
from localgce.resources import limits, links


def insert(call: Call) -> Json:
    """A template, of properties or of an instance; judged is what needs no zone to be judged."""
    properties = call.body.get("properties")
    if "sourceInstance" in call.body:
        properties = _of_instance(call, call.body["sourceInstance"])
    if properties is None:
        raise errors.required("resource.properties")
    _check(properties)
    record = kept.new(call, "instanceTemplate", properties=properties)
    return kept.begin_insert(call, record)


def _check(properties: Json) -> None:
    where = "resource.properties"
    limits.check_labels(properties.get("labels", {}), f"{where}.labels")
    limits.check_metadata(properties.get("metadata", {}).get("items", []), f"{where}.metadata")
    limits.check_tags(properties.get("tags", {}).get("items", []), f"{where}.tags")
    kind = properties.get("machineType")
    if not kind:
        raise errors.required(f"{where}.machineType")
    if "/" in kind:
        text = "A template names a machine type without its zone."
        raise errors.invalid(f"{where}.machineType", kind, text)
    if sum(bool(disk.get("boot")) for disk in properties.get("disks", [])) != 1:
        raise errors.invalid(f"{where}.disks", "", "Exactly one disk must be the boot disk.")
    if not properties.get("networkInterfaces"):
        text = "At least one network interface is required."
        raise errors.invalid(f"{where}.networkInterfaces", "", text)


def _of_instance(call: Call, source: str) -> Json:
    """Disks are made anew: from the image that the instance's own were made from, or blank."""
    where = "resource.sourceInstance"
    if "sourceInstanceParams" in call.body:
        text = "localgce makes disks of their images: change the properties of the template."
        raise errors.invalid("resource.sourceInstanceParams", "", text)
    instance = call.at(call.link(source, where))
    if instance.kind != "instances":
        raise errors.invalid(where, source, "The URL is malformed.")
    disks = [_disk(call, disk) for disk in instance.body["disks"]]
    return {**templates.properties_of(instance), "disks": disks}


def _disk(call: Call, entry: Json) -> Json:
    kept = ("type", "mode", "deviceName", "boot", "autoDelete", "interface")
    params = {"diskSizeGb": entry["diskSizeGb"]}
    disk = disk_works.at(call.service, entry)
    if disk is not None:
        params["diskType"] = links.last(disk.body["type"])
        if "sourceImage" in disk.body:
            params["sourceImage"] = disk.body["sourceImage"]
    return {**{key: entry[key] for key in kept}, "initializeParams": params}


def get(call: Call) -> Json:
    """One template."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    return kept.page(call, "instanceTemplate")


def aggregated_list(call: Call) -> Json:
    """All of the project, by scope: they are all global here."""
    found = call.service.store.all("instanceTemplates", call.project)
    return aggregated(call, "instanceTemplate", [r.body for r in found], ["global"])


def delete(call: Call) -> Json:
    """Forget it, unless a group makes instances of it; those that it made stay."""
    template = call.record()
    for group in call.service.store.all("instanceGroupManagers", call.project):
        if any(v["instanceTemplate"] == template.link for v in group.body["versions"]):
            raise errors.in_use(template.path, group.path)
    return kept.begin_delete(call, template)
