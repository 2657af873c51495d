"""The images of a rollout: the one to roll out, and those to go back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.errors import FINAL, PermanentError, TransientError
from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    labels_of,
    project_of,
    resource_name,
)
from bakehouse.images.names import is_git_hash, is_name_or_id
from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import (
    DeprecationState,
    deprecation_state,
    is_promoted,
    is_ready,
    is_rolled_back,
    newest,
    newest_promoted,
    of_commit,
)
from bakehouse.rollout.plan import BootDisk, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bakehouse.cloud.compute_hook import (
        ComputeHook,  # costs a second of import, which every parse pays
    )

    Attested = Callable[[Resource], str | None]
    """Says why an image is not the one that was signed, as a sentence; None if it is."""


def choose(
    hook: ComputeHook,
    recipe: str,
    wanted: str,
    *,
    by_person: bool = True,
    fleet: str = "",
    of_history: bool = True,
    attested: Attested | None = None,
) -> Target:
    """Choose the image to roll out.

    Args:
        hook: the connection; errors of its calls are its own.
        recipe: of the fleet.
        wanted: the image's name, id, link or git hash, which may be of the history or deprecated;
            empty for the recipe's newest usable one. Of several images of a commit it is the newest
            that may be used.
        by_person: somebody has named or forced it, who may well want one that has failed.
        fleet: whose rollout it is; empty: of whatever fleet.
        of_history: one of a backfill may be chosen.
        attested: says why an image is not the one that was signed; None: nobody asks.

    Raises:
        PermanentError: there is none, or the one named may not be rolled out to this fleet.
        TransientError: the one named is not ready yet.
    """
    image = _named(hook, recipe, wanted) if wanted else _newest(hook, recipe)
    name, told = image["name"], labels_of(image)
    if told.get(labels.RECIPE) != recipe:
        made_by = told.get(labels.RECIPE, "no recipe")
        raise PermanentError(f"{name} is an image of {made_by}; this fleet runs {recipe}")
    if (refused := refusal_to_use(image)) is not None:
        raise PermanentError(refused)
    if not by_person and is_rolled_back(image):
        blamer = told[labels.ROLLED_BACK]
        raise PermanentError(
            f"{name} was rolled back by the fleet {blamer} since; name it in the form to roll it"
            " out all the same"
        )
    if not by_person and (run := told.get(labels.failed_in(fleet))) is not None:
        raise PermanentError(
            f"{name} has failed in the fleet {fleet} (run {run}); change the recipe and bake, or"
            f" name it in the form of roll_out__{fleet}, or tick force there, to try it again"
        )
    if not of_history and told.get(labels.STATE) == labels.HISTORY:
        raise PermanentError(
            f"{name} is an image of a backfill, which no fleet takes by itself: name it in the form"
        )
    if not is_promoted(image, history=True):
        state = told.get(labels.STATE, "none")
        raise PermanentError(f"{name} is not promoted (its bakehouse-state is {state})")
    if not is_ready(image):
        raise TransientError(f"{name} is not ready yet: {image.get('status')}")
    if attested is not None and (refused := attested(image)) is not None:
        raise PermanentError(f"{refused}. Nothing was changed")
    return target(image)


def check(hook: ComputeHook, pinned: Target, attested: Attested | None = None) -> None:
    """Check that the image of a rollout may still be used.

    Raises:
        PermanentError: it does not exist any more, or is revoked, built on a revoked one, obsolete,
            or not the one that was signed.
    """
    image = hook.image(pinned.name)
    if image is None or str(image["id"]) != pinned.id:
        raise PermanentError(f"{pinned.name} (id {pinned.id}) does not exist any more")
    if (refused := refusal_to_use(image)) is not None:
        raise PermanentError(refused)
    if attested is not None and (refused := attested(image)) is not None:
        raise PermanentError(f"{refused}. Nothing was changed")


def mark(hook: ComputeHook, pinned: Target, told: Mapping[str, str]) -> Resource | None:
    """Add labels to an image, unless it has one of that name; None if there is nothing to do."""
    image = hook.image(pinned.name)
    if image is None or str(image["id"]) != pinned.id:
        return None
    known = labels_of(image)
    missing = {key: value for key, value in told.items() if key not in known}
    return hook.label_image(dict(image), missing) if missing else None


def unmark(hook: ComputeHook, pinned: Target, label: str) -> Resource | None:
    """Remove a label from an image; None if there is nothing to do."""
    image = hook.image(pinned.name)
    is_it = image is not None and str(image["id"]) == pinned.id
    if image is None or not is_it or label not in labels_of(image):
        return None
    return hook.label_image(dict(image), {label: None})


def deprecate(hook: ComputeHook, blamed: Target, by: str, request_id: str) -> Resource | None:
    """Deprecate an image, so that its family passes it over; None if there is nothing to do.

    `by` is the link of the image to use in its place; empty for none.
    """
    image = hook.image(blamed.name)
    if image is None or str(image["id"]) != blamed.id:
        return None
    if deprecation_state(image) != DeprecationState.ACTIVE:
        return None
    body = {"state": DeprecationState.DEPRECATED.value}
    return hook.deprecate_image(blamed.name, body | ({"replacement": by} if by else {}), request_id)


def images_of(hook: ComputeHook, recipe: str) -> list[Resource]:
    """Return all images of a recipe, of whatever state."""
    return list(hook.images(f"labels.{labels.RECIPE}={recipe}"))


def previous(
    hook: ComputeHook, old: BootDisk, recipe: str, attested: Attested | None = None
) -> Target | None:
    """Return the image of a disk; None if no disk can or may be created from it any more.

    `recipe` stands for the label that an image of another project lacks.
    """
    image = _image_of(hook, old, attested)
    return None if isinstance(image, str) else target(image, recipe)


def only_disk(hook: ComputeHook, old: BootDisk, attested: Attested | None = None) -> str:
    """Return why no disk like this one can or may be created any more; empty if one can."""
    image = _image_of(hook, old, attested)
    return image if isinstance(image, str) else ""


def _image_of(hook: ComputeHook, old: BootDisk, attested: Attested | None) -> Resource | str:
    """Return the image of a disk, or why nothing can or may be made of it any more."""
    if not (old.image and old.image_id):
        return f"it was made of {old.made_of or 'no image'}"
    name, project = resource_name(old.image), project_of(old.image) or hook.project
    try:
        image = hook.image(name, project) or hook.image(old.image_id, project)
    except FINAL as refused:
        return f"its image cannot be read: {refused}"
    if image is None or str(image["id"]) != old.image_id:  # the name may be used again
        return f"its image {name} (id {old.image_id}) does not exist any more in {project}"
    if (refusal := refusal_to_use(image)) is not None:
        return f"its image {refusal}"
    if attested is not None and (refusal := attested(image)) is not None:
        return f"its image {refusal}"
    return image if is_ready(image) else f"its image {name} is {image.get('status')}"


def target(image: Resource, recipe: str = "") -> Target:
    """Pin an image by its id; `recipe` replaces a missing label."""
    told = labels_of(image)
    return Target(
        id=str(image["id"]),
        name=str(image["name"]),
        self_link=str(image["selfLink"]),
        recipe=told.get(labels.RECIPE, recipe),
        git_sha=told.get(labels.GIT_SHA, ""),
        disk_gb=int(image.get("diskSizeGb", 1)),
    )


def _named(hook: ComputeHook, recipe: str, wanted: str) -> Resource:
    name = resource_name(wanted)
    image: Resource | None = hook.image(name) if is_name_or_id(name) else None
    if image is None and is_git_hash(wanted):
        image = _of_commit(hook, recipe, wanted)
    if image is None:
        raise PermanentError(f"no image {wanted} exists in {hook.project}")
    return image


def _of_commit(hook: ComputeHook, recipe: str, sha: str) -> Resource:
    found = of_commit(images_of(hook, recipe), sha)
    usable = [
        image
        for image in found
        if is_promoted(image, history=True) and is_ready(image) and not refusal_to_use(image)
    ]
    image = newest(usable) or newest(found)  # of those of no use the newest says why
    if image is None:
        raise PermanentError(
            f"no image of {recipe} is of the commit {sha}, nor has any image this name or id in"
            f" {hook.project}"
        )
    return image


def _newest(hook: ComputeHook, recipe: str) -> Resource:
    wanted = f"labels.{labels.RECIPE}={recipe} AND labels.{labels.STATE}={labels.PROMOTED}"
    image = newest_promoted(hook.images(wanted), recipe)
    if image is None:
        raise PermanentError(f"{recipe} has no promoted image yet: trigger bake__{recipe}")
    return image
