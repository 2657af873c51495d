"""The commands on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits
from localgce.images import validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


def insert(context: Context, body: Json, *, force: bool) -> Record:
    """Create an image from a disk, an image or a snapshot; PENDING until its layer exists."""
    context.refuse_existing("images", body["name"])
    image = validation.plan(context, body, force=force)
    context.store.put(image)
    return context.begin(image, "images.insert")


def patch(context: Context, image: Record, body: Json) -> Record:
    """Change what `PATCHED` names; raises 400 for another field that would change."""
    limits.refuse_changes(image.body, body, validation.PATCHED)
    validation.check_family(body)
    changes: Json = {key: body[key] for key in validation.PATCHED if key in body}
    if "deprecated" in body:
        changes["deprecated"] = validation.deprecation(body["deprecated"])
    return context.begin(image, "images.patch", changes=changes)


def deprecate(context: Context, image: Record, status: Json) -> Record:
    """Set the deprecation status; an empty one clears it."""
    changes = {"deprecated": validation.deprecation(status)}
    return context.begin(image, "images.patch", changes=changes)


def delete(context: Context, image: Record) -> Record:
    """Delete an image; disks created from it stay."""
    if image.body["status"] == "PENDING":
        raise errors.not_ready(image.path)
    return context.begin(image, "images.delete")
