"""Hold a fleet from the image that a person rolls it back from, and keep held images out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.errors import FINAL
from bakehouse.images.links import project_of, resource_name
from bakehouse.images.selection import created_at, newest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.history.holds import Hold
    from bakehouse.images.links import Resource
    from bakehouse.rollout.plan import RolloutPlan, Target


def refusal(hook: ComputeHook, hold: Hold | None, image: Target) -> str:
    """Return why the image does not get into the fleet by itself; empty if it may."""
    if hold is None or image.id == hold.instead_id:
        return ""
    found = hook.image(image.name)
    if found is None or not hold.holds(image.id, created_at(found)):
        return ""
    held = f"{image.name} is not newer: " if image.id != hold.image_id else ""
    return (
        f"{held}{hold}. `bakehouse release {hold.fleet}` lets it in again, as does its name in the"
        f" form of roll_out__{hold.fleet}; a newer image comes by itself"
    )


def image_left(hook: ComputeHook, plan: RolloutPlan) -> Resource | None:
    """Return the newest image from which members go back to an older one; None if none does."""
    goal = hook.image(plan.image.name)
    if goal is None:
        return None
    return newest(
        image for image in _images_now(hook, plan) if created_at(image) > created_at(goal)
    )


def _images_now(hook: ComputeHook, plan: RolloutPlan) -> Iterator[Resource]:
    """Yield the images that the members run; those that are gone say nothing of their age."""
    links = {change.old.image: change.old.image_id for change in plan.changes}
    if plan.group is not None:
        links[plan.group.old_image] = plan.group.old_image_id
    for link, image_id in links.items():
        name = resource_name(link)
        if not name or image_id == plan.image.id:
            continue
        try:
            image = hook.image(name, project_of(link) or hook.project)
        except FINAL:  # an image of another project
            continue
        if image is not None and str(image["id"]) == image_id:
            yield image
