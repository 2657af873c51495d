"""Images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of
from localgce.images import commands
from localgce.images.lookup import named, newest

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.images.insert")
def insert(call: Call) -> Json:
    """Create an image from a disk, an image or a snapshot."""
    force = bool(call.query.get("forceCreate"))
    return commands.insert(call.context, call.body, force=force).body


@method("compute.images.get")
def get(call: Call) -> Json:
    """One image."""
    return named(call.context, call.context.project, call.path["image"]).body


@method("compute.images.getFromFamily")
def get_from_family(call: Call) -> Json:
    """The family's newest image that is not deprecated."""
    return newest(call.context, call.context.project, call.path["family"]).body


@method("compute.images.list")
def list_(call: Call) -> Json:
    """The images of the project."""
    return list_of(call, "image", [record.body for record in call.records()])


@method("compute.images.patch")
def patch(call: Call) -> Json:
    """Change family, description, architecture or deprecation."""
    return commands.patch(call.context, call.record(), call.body).body


@method("compute.images.deprecate")
def deprecate(call: Call) -> Json:
    """Set the deprecation status; an empty body clears it."""
    return commands.deprecate(call.context, call.record(), call.body).body


@method("compute.images.delete")
def delete(call: Call) -> Json:
    """Delete an image."""
    return commands.delete(call.context, call.record()).body
