"""Machine images: an instance with all its disks, to make others of."""

from __future__ import annotations

from localgce import errors
from localgce.api import labels
from localgce.clock import stamp
from localgce.disks import works as disk_works
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.images import body as image_body
from localgce.instances import templates
from localgce.operations import Work, work
from localgce.resources import limits, links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record

set_labels = labels.set_labels


def insert(call: Call) -> Json:
    """Of the instance that `sourceInstance` names, on or off."""
    call.refuse_existing("machineImages", call.body["name"])
    given = call.body.get("sourceInstance") or call.query.get("sourceInstance")
    if not given:
        raise errors.required("resource.sourceInstance")
    instance = call.at(call.link(given, "resource.sourceInstance"))
    if instance.kind != "instances":
        raise errors.invalid("resource.sourceInstance", given, "The URL is malformed.")
    if instance.body["status"] not in {"RUNNING", "TERMINATED", "SUSPENDED"}:
        raise errors.not_ready(instance.path)
    image = _record(call, instance)
    call.service.store.put(image)
    return call.begin(image, "machineImages.insert")


def get(call: Call) -> Json:
    """One machine image."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    found = call.service.store.all("machineImages", call.project, "global")
    return list_of(call, "machineImage", [record.body for record in found])


def delete(call: Call) -> Json:
    """Forget it; instances made of it stay."""
    image = call.record()
    if image.body["status"] != "READY":
        raise errors.not_ready(image.path)
    return call.begin(image, "machineImages.delete")


def _record(call: Call, instance: Record) -> Record:
    name = str(call.body["name"])
    number = numeric_id()
    path = f"projects/{call.project}/global/machineImages/{name}"
    properties = templates.properties_of(instance)
    properties["disks"] = [_disk(disk) for disk in instance.body["disks"]]
    limits.check_labels(call.body.get("labels", {}))
    body: Json = {
        "kind": "compute#machineImage",
        "id": number,
        "creationTimestamp": stamp(call.service.clock.now()),
        "name": name,
        "selfLink": links.url(path),
        "status": "CREATING",
        "sourceInstance": instance.link,
        "instanceProperties": properties,
        "sourceInstanceProperties": {},
        "savedDisks": [
            {"kind": "compute#savedDisk", "sourceDisk": disk["source"], "storageBytes": "0"}
            for disk in instance.body["disks"]
        ],
        "storageLocations": call.body.get("storageLocations") or ["us"],
        "totalStorageBytes": "0",
        **limits.label_fields(call.body.get("labels")),
        **{key: call.body[key] for key in ("description",) if key in call.body},
    }
    layers = {d["deviceName"]: f"{number}-{i}" for i, d in enumerate(instance.body["disks"])}
    private = {"layers": layers, "instance": instance.id}
    return Record("machineImages", call.project, "global", name, body, private)


def _disk(disk: Json) -> Json:
    kept = ("type", "mode", "deviceName", "boot", "autoDelete", "interface", "diskSizeGb", "index")
    return {"kind": "compute#attachedDisk", **{key: disk[key] for key in kept}}


async def undo_insert(task: Work) -> None:
    """What fails is no machine image."""
    await _forget_layers(task)
    task.service.store.delete(task.target)


@work("machineImages.insert", undo=undo_insert)
async def freeze(task: Work) -> None:
    """All disks, and only then READY."""
    instance = task.service.store.by_id("instances", task.target.private["instance"])
    if task.target.body["status"] == "READY" or instance is None:
        return
    total = 0
    saved = []
    for attached in instance.body["disks"]:
        disk = disk_works.at(task.service, attached)
        layer = task.target.private["layers"].get(attached["deviceName"])
        if disk is None or layer is None:
            continue
        size = await image_body.layer_of_disk(task.service, disk, layer)
        total += size
        saved.append(
            {"kind": "compute#savedDisk", "sourceDisk": disk.link, "storageBytes": str(size)}
        )
    current = task.service.store.again(task.target)
    if current is not None:
        shown = {"savedDisks": saved, "totalStorageBytes": str(total)}
        task.service.store.put(current.changed(status="READY", **shown))


@work("machineImages.delete")
async def remove(task: Work) -> None:
    """Contents and record."""
    await _forget_layers(task)
    task.service.store.delete(task.target)


async def _forget_layers(task: Work) -> None:
    for layer in task.target.private["layers"].values():
        await task.service.host.disks.delete_layer(layer)
