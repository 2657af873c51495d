"""What stands in a project, each kind by one list call, and which image a link means. Pure but for
`look`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakehouse.images import labels

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Stock:
    """Lists as Compute Engine gives them; the images are ours, all else is everybody's."""

    project: str
    images: tuple[Resource, ...] = ()
    instances: tuple[Resource, ...] = ()
    disks: tuple[Resource, ...] = ()
    templates: tuple[Resource, ...] = ()
    groups: tuple[Resource, ...] = ()
    machine_images: tuple[Resource, ...] = ()


def look(hook: ComputeHook) -> Stock:
    """Everything that can use an image: six calls (and one for each further 500 of a kind)."""
    return Stock(
        project=hook.project,
        images=tuple(hook.images(f"labels.{labels.RECIPE}:*")),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        templates=tuple(hook.templates()),
        groups=tuple(hook.groups()),
        machine_images=tuple(hook.machine_images()),
    )


def look_at_ours(hook: ComputeHook, *, machine_images: bool = True) -> Stock:
    """What carries our labels, and every instance: enough to sweep, and to show drift.

    No fleet runs a machine image, so drift does without them.
    """
    ours = f"labels.{labels.RECIPE}:*"
    return Stock(
        project=hook.project,
        images=tuple(hook.images(ours)),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        machine_images=tuple(hook.machine_images(ours)) if machine_images else (),
    )


def image_of(link: str, project: str) -> tuple[str, str] | None:
    """(project, name) of the image that a full or partial link names; None when it is a family."""
    parts = link.split("/")
    if "family" in parts[:-1] or "imageFamilyViews" in parts[:-1]:
        return None
    owner = parts[parts.index("projects") + 1] if "projects" in parts[:-2] else project
    return owner, parts[-1]


def labels_of(resource: Resource) -> Mapping[str, str]:
    """Its labels, none when it has none."""
    return resource.get("labels") or {}


def last(link: object) -> str:
    """The name at the end of a link."""
    return str(link).rsplit("/", 1)[-1]


def path_of(link: object) -> str:
    """A link without its server, so that two spellings of one resource compare: `projects/…`."""
    text = str(link)
    return text[text.find("projects/") :] if "projects/" in text else text
