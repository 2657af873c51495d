"""What the links and labels of a Compute Engine resource say. Pure.

A link is a full URL of any server and API version
(`https://www.googleapis.com/compute/v1/projects/p/zones/z/disks/d`), a partial one
(`projects/p/global/images/i`, `zones/z/disks/d`, `global/images/i`) or a bare name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Resource = Mapping[str, Any]
CREATED_BY = "created-by"


class ImageRef(NamedTuple):
    """An image by project and name."""

    project: str
    name: str


def resource_name(link: object) -> str:
    """The name at the end of a link: `…/zones/us-central1-a` -> `us-central1-a`."""
    return str(link).rsplit("/", 1)[-1]


def path_of(link: object) -> str:
    """A link without its server and version, so that two spellings compare equal: `projects/…`.

    A link that names no project is returned as it is.
    """
    text = str(link)
    return text[text.find("projects/") :] if "projects/" in text else text


def project_of(link: object) -> str | None:
    """The project that a link names; None when it names none (`global/images/i`)."""
    parts = str(link).split("/")
    return parts[parts.index("projects") + 1] or None if "projects" in parts[:-1] else None


def zone_of(resource: Resource) -> str:
    """The name of the zone of a machine, disk or operation; empty for a global or regional one.

    Source: the resource's `zone`, a link.
    """
    return resource_name(resource.get("zone") or "")


def zone_in(link: object) -> str:
    """The zone in the link of an instance or a disk; empty if it names none."""
    parts = str(link or "").split("/")
    return parts[parts.index("zones") + 1] if "zones" in parts[:-1] else ""


def region_of(zone: str) -> str:
    """The region of a zone by its name: `us-central1-a` -> `us-central1`."""
    return zone.rsplit("-", 1)[0]


def is_region(place: str) -> bool:
    """Whether it is a region, such as us-central1, and not one of its zones, us-central1-a."""
    return place[-1:].isdigit()


def image_of(link: str, project: str) -> ImageRef | None:
    """The image that a link names, in `project` where the link names none.

    None for a link to a family: which image that is changes with time.
    """
    parts = link.split("/")
    if "family" in parts[:-1] or "imageFamilyViews" in parts[:-1]:
        return None
    return ImageRef(project_of(link) or project, parts[-1])


def labels_of(resource: Resource) -> Mapping[str, str]:
    """The resource's labels; empty when it has none (Compute Engine leaves the field out)."""
    return resource.get("labels") or {}


def attributes_of(instance: Resource) -> dict[str, str]:
    """The metadata of an instance, by key."""
    items = (instance.get("metadata") or {}).get("items") or []
    return {str(item["key"]): str(item.get("value", "")) for item in items if item}


def group_of(instance: Resource) -> str:
    """The link of the managed instance group that has made an instance; empty if none has.

    Source: the metadata `created-by`, which names the project by its number.
    """
    creator = attributes_of(instance).get(CREATED_BY, "")
    return creator if "/instanceGroupManagers/" in creator else ""
