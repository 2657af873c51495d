"""From a link or a family to the image; which images may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors
from localgce.core.catalog import PUBLIC_PROJECTS
from localgce.core.errors import ApiError

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.store import Record

_REJECTED = {"OBSOLETE", "DELETED"}


def deprecation_state(image: Record) -> str:
    """ACTIVE, DEPRECATED, OBSOLETE or DELETED; an image without deprecation is ACTIVE."""
    return str(image.body.get("deprecated", {}).get("state", "ACTIVE"))


def image_at(context: Context, value: str, where: str) -> Record:
    """The image of a link: by name, by family, or by `imageFamilyViews` of any zone."""
    link = context.link(value, where)
    if link.collection == "imageFamilyViews":
        return newest(context, link.project, link.name)
    if link.collection != "images" or link.scope != "global":
        raise errors.invalid(where, value, "The URL is malformed.")
    if link.name.startswith("family/"):
        return newest(context, link.project, link.name.removeprefix("family/"))
    found = named(context, link.project, link.name)
    state = deprecation_state(found)
    if state in _REJECTED:
        text = f"The image '{found.path}' is {state.lower()} and cannot be used."
        raise ApiError(400, "resourceNotReady", text)
    return found


def named(context: Context, project: str, name: str) -> Record:
    """The image of that name; raises 404."""
    found = context.store.get("images", project, "global", name)
    if found is None:
        raise _missing(project, name, "FAMILY")
    return found


def newest(context: Context, project: str, family: str) -> Record:
    """The family's newest image whose deprecation state is ACTIVE; raises 404."""
    images = [
        image
        for image in context.store.all("images", project, "global")
        if image.body.get("family") == family
        and deprecation_state(image) == "ACTIVE"
        and image.body["status"] not in {"FAILED", "DELETING"}
    ]
    if not images:
        raise _missing(project, f"family/{family}", family)
    return max(images, key=lambda image: (image.private.get("at", 0), image.id))


def _missing(project: str, name: str, family: str) -> ApiError:
    """The 404 of an image, which for one of a public project tells how to import one."""
    missing = errors.not_found(f"projects/{project}/global/images/{name}")
    if project not in PUBLIC_PROJECTS:
        return missing
    command = f"`localgce image import FILE --family {family} --project {project}`"
    hint = f"localgce has not built it: {command} takes a qcow2 or raw disk."
    return ApiError(404, "notFound", f"{missing.message}. {hint}")
