"""Images."""

from __future__ import annotations

from localgce import errors
from localgce.api import labels
from localgce.disks import body as disk_body
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.images import body as image_body
from localgce.operations import Work, work

set_labels = labels.set_labels
_STATES = ("deprecated", "obsolete", "deleted")


def insert(call: Call) -> Json:
    """From a disk, an image or a snapshot. PENDING until its content is whole."""
    call.refuse_existing("images", call.body["name"])
    image = image_body.plan(call, call.body)
    call.service.store.put(image)
    return call.begin(image, "images.insert")


def get(call: Call) -> Json:
    """One image."""
    return call.record().body


def get_from_family(call: Call) -> Json:
    """The family's newest image that is not deprecated."""
    return disk_body.newest(call, call.project, call.path["family"]).body


def list_(call: Call) -> Json:
    """All of the project."""
    found = call.service.store.all("images", call.project, "global")
    return list_of(call, "image", [record.body for record in found])


def patch(call: Call) -> Json:
    """Family, description and deprecation; nothing else of an image changes."""
    image = call.record()
    image_body.check_family(call.body)
    changes: Json = {k: call.body[k] for k in ("family", "description") if k in call.body}
    if "deprecated" in call.body:
        changes["deprecated"] = _deprecation(call.body["deprecated"])
    return call.begin(image, "images.patch", changes=changes)


def deprecate(call: Call) -> Json:
    """Say that it should no longer be used; an empty body takes that back."""
    image = call.record()
    return call.begin(image, "images.patch", changes={"deprecated": _deprecation(call.body)})


def delete(call: Call) -> Json:
    """The image; disks made from it are not touched."""
    image = call.record()
    if image.body["status"] == "PENDING":
        raise errors.not_ready(image.path)
    return call.begin(image, "images.delete")


def _deprecation(body: Json) -> Json | None:
    if body.get("state", "ACTIVE") == "ACTIVE" and not body.get("replacement"):
        return None
    for key in _STATES:
        if key in body:
            image_body.check_time(body[key], f"resource.{key}")
    return body


async def undo_insert(task: Work) -> None:
    """What fails is no image."""
    await task.service.host.disks.delete_layer(task.target.id)
    task.service.store.delete(task.target)
    task.service.changes.notify(f"image/{task.target.id}")


@work("images.insert", undo=undo_insert)
async def freeze(task: Work) -> None:
    """Make the content, and only then READY."""
    service, image = task.service, task.target
    if image.body["status"] == "READY":
        return
    size = await image_body.make_layer(service, image)
    current = service.store.again(image)
    if current is not None:
        service.store.put(current.changed(status="READY", archiveSizeBytes=str(size)))
    service.changes.notify(f"image/{image.id}")


@work("images.patch")
def change(task: Work) -> None:
    """Apply what was checked; a null takes the field away."""
    changes = dict(task.args["changes"])
    if changes.get("family") == "":
        changes["family"] = None
    task.service.store.put(task.target.changed(**changes))


@work("images.delete")
async def remove(task: Work) -> None:
    """Record first: nothing new may stand on a layer that goes."""
    current = task.service.store.again(task.target)
    if current is not None and current.body["status"] != "DELETING":
        task.service.store.put(current.changed(status="DELETING"))
    await task.service.host.disks.delete_layer(task.target.private["layer"])
    task.service.store.delete(task.target)
