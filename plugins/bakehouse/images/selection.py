"""Select images: the newest, the usable, the one of a date. The only place that decides it. Pure.

An image is usable when Bakehouse promoted it, Compute Engine has finished it, nobody has deprecated
it and no image below it is revoked. Only such an image is rolled out, saves a bake, is the base of
another or counts for `keep`. Images are ordered by the moment of their creation, and by name where
two have the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.core.time import parse_timestamp
from bakehouse.images import labels
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.names import image_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class DeprecationState(StrEnum):
    """Where an image stands on its way out. Source: `deprecated.state` of images.get."""

    ACTIVE = "ACTIVE"
    DEPRECATED = "DEPRECATED"
    """It can be used; no family resolves to it."""
    OBSOLETE = "OBSOLETE"
    """Nothing can be made of it any more."""
    DELETED = "DELETED"
    """The same, and marked for deletion; Compute Engine deletes nothing by itself."""


IN_TRANSITION = frozenset({"PENDING", "DELETING", "CREATING", "UPLOADING"})
"""Values of `status` of an image of either kind that is being made or deleted."""


class ChosenImage(NamedTuple):
    """An image, and why this one."""

    image: Resource
    reason: Reason


def created_at(resource: Resource) -> datetime:
    """The moment of a resource's creation, in UTC. Compare these, never the strings.

    Source: `creationTimestamp` (RFC 3339 with an offset; Google's is that of Pacific time, which
    repeats an hour when daylight saving ends). Raises KeyError or ValueError without a valid one.
    """
    return parse_timestamp(resource["creationTimestamp"]).astimezone(UTC)


def deprecation_state(image: Resource) -> str:
    """A `DeprecationState`; ACTIVE when nothing is said.

    The API leaves `deprecated` out of an image that never was, and shows `{state: ACTIVE}`, perhaps
    with dates, for one that somebody took back into use.
    """
    return str((image.get("deprecated") or {}).get("state") or DeprecationState.ACTIVE)


def is_ready(image: Resource) -> bool:
    """Whether Compute Engine has finished it; a resource without a `status` counts as finished."""
    return str(image.get("status") or "READY") == "READY"


def is_in_transition(image: Resource) -> bool:
    """Whether Compute Engine is making or deleting it; False also for one that has failed."""
    return image.get("status") in IN_TRANSITION


def is_promoted(image: Resource, *, history: bool = False) -> bool:
    """Whether Bakehouse promoted it, by its label; with `history` one of the history counts too."""
    state = labels_of(image).get(labels.STATE)
    return state == labels.PROMOTED or (history and state == labels.HISTORY)


def is_tainted(image: Resource) -> bool:
    """Whether it is revoked or built on a revoked image, by its labels."""
    told = labels_of(image)
    return told.get(labels.STATE) == labels.REVOKED or labels.REVOKED_BASE in told


def is_rolled_back(image: Resource) -> bool:
    """Whether a rollout has blamed it, and nobody has taken it back into use since.

    The mark is the state DEPRECATED, by which Compute Engine's families pass it over too; the label
    says who has set it. A person who sets the state ACTIVE takes the mark away.
    """
    return (
        labels.ROLLED_BACK in labels_of(image)
        and deprecation_state(image) != DeprecationState.ACTIVE
    )


def is_usable(image: Resource, *, history: bool = False) -> bool:
    """Whether it is promoted, finished, not deprecated, and no image below it is revoked.

    Args:
        image: of either kind; a machine image is never deprecated.
        history: whether an image of the history counts as promoted.
    """
    return (
        is_promoted(image, history=history)
        and is_ready(image)
        and not is_tainted(image)
        and deprecation_state(image) == DeprecationState.ACTIVE
    )


def is_local(image: Resource, *, untested: bool = False) -> bool:
    """Whether a local build made it, it has passed its smoke test and can be used on.

    It is never promoted: no rollout, family or DAG takes it. With `untested` one serves too whose
    smoke test has not run.
    """
    told = labels_of(image)
    states = {labels.TESTED, labels.UNTESTED} if untested else {labels.TESTED}
    return (
        told.get(labels.LOCAL) in states
        and told.get(labels.STATE) == labels.CANDIDATE
        and is_ready(image)
        and not is_tainted(image)
    )


def newest_local(
    images: Iterable[Resource],
    recipe: str,
    content_key: str | None = None,
    *,
    untested: bool = False,
) -> Resource | None:
    """The newest image of a recipe by local builds, of this content if one is given."""
    ours = (i for i in images if _is_of(recipe, i) and is_local(i, untested=untested))
    return newest(i for i in ours if content_key is None or _has(i, content_key))


def of_commit(images: Iterable[Resource], sha: str) -> list[Resource]:
    """The images that were baked from a commit, which its first characters name too.

    Raises:
        PermanentError: the characters are those of several commits.
    """
    found = [i for i in images if labels_of(i).get(labels.GIT_SHA, "").startswith(sha.lower())]
    commits = sorted({labels_of(image)[labels.GIT_SHA] for image in found})
    if len(commits) > 1:
        raise PermanentError(f"{sha} is the begin of several commits: {', '.join(commits)}")
    return found


def newest_first(images: Iterable[Resource]) -> list[Resource]:
    """All of them, the newest first."""
    return sorted(images, key=_age, reverse=True)


def newest(images: Iterable[Resource]) -> Resource | None:
    """The newest of them all, usable or not; None of none."""
    return max(images, key=_age, default=None)


def newest_promoted(images: Iterable[Resource], recipe: str) -> Resource | None:
    """The recipe's newest usable image: what a rollout takes when none is named."""
    return newest(i for i in images if _is_of(recipe, i) and is_usable(i))


def newest_of_family(images: Iterable[Resource], family: str | None) -> Resource | None:
    """The family's newest usable image: what to use in place of a retired one."""
    return newest(i for i in images if family and i.get("family") == family and is_usable(i))


def newest_with_content(
    content_key: str, images: Iterable[Resource], *, history: bool = False
) -> Resource | None:
    """The newest usable image with this content; for the history one of the history serves too.

    Not the other way round: an image of the history is in no family, so nothing boots from it.
    """
    return newest(i for i in images if _has(i, content_key) and is_usable(i, history=history))


def rolled_back_with_content(content_key: str, images: Iterable[Resource]) -> Resource | None:
    """The newest promoted image with this content, if a rollout has blamed it; else None.

    A usable one that is newer, such as a bake that somebody has forced, says that the content is
    good again.
    """
    latest = newest(i for i in images if _has(i, content_key) and is_promoted(i))
    return latest if latest is not None and is_rolled_back(latest) else None


def is_newest_ever(image_id: str, images: Iterable[Resource]) -> bool:
    """Whether no image of the recipe that was ever promoted is newer, usable or not.

    Args:
        image_id: of an image among them.
        images: those of its recipe.
    """
    ever = (labels.PROMOTED, labels.REVOKED)
    latest = newest(i for i in images if labels_of(i).get(labels.STATE) in ever)
    return latest is not None and str(latest["id"]) == image_id


def newest_two(images: Iterable[Resource]) -> list[Resource]:
    """The newest usable one and the one before it, as far as there are."""
    return newest_first(i for i in images if is_usable(i))[:2]


def is_superseded(existing: Resource | None, images: Iterable[Resource]) -> bool:
    """Whether the recipe's newest usable image has other content than this one.

    Args:
        existing: an image with a content key, or None, which nothing supersedes.
        images: those of its recipe.
    """
    latest = newest(i for i in images if is_usable(i))
    return bool(existing and latest and not _has(latest, labels_of(existing)[labels.CONTENT_KEY]))


def previous(images: Iterable[Resource], name: str) -> str | None:
    """The name of the newest image that is older than the one named, of all that are given.

    A list may lag behind: when it lacks the one named, the newest of the others.
    """
    known = list(images)
    this = next((created_at(i) for i in known if i["name"] == name), None)
    others = (i for i in known if i["name"] != name)
    found = newest(i for i in others if this is None or created_at(i) < this)
    return str(found["name"]) if found else None


def newest_then(images: Iterable[Resource], then: datetime) -> ChosenImage | None:
    """Of a family's images the newest that existed at `then`, also one deprecated since.

    Public images are deleted by their makers: with none left that is old enough it is the oldest
    there is, and the reason says so (BASE_OF_THAT_DATE_GONE).
    """
    return _as_of([(created_at(image), image) for image in images if is_ready(image)], then)


def newest_of_recipe(
    images: Iterable[Resource], recipe: str, then: datetime | None, *, local: bool = False
) -> ChosenImage | None:
    """The recipe's newest usable image, or for a moment of the past its newest then.

    For the past an image of the history counts too, and one deprecated since, by the date that it
    stands for (its name tells) and not by the day on which it was rebuilt. With `local` one of a
    local build counts now.
    """
    if then is None:
        own = (i for i in images if _is_of(recipe, i))
        latest = newest(i for i in own if is_usable(i) or (local and is_local(i)))
        return ChosenImage(latest, Reason.NEWEST_BASE) if latest else None
    of_then = [
        (image_time(str(image["name"])) or created_at(image), image)
        for image in images
        if _is_of(recipe, image)
        and is_promoted(image, history=True)
        and is_ready(image)
        and not is_tainted(image)
    ]
    return _as_of(of_then, then)


def not_older(
    chosen: ChosenImage | None, promoted: str | None, images: Sequence[Resource]
) -> ChosenImage | None:
    """The choice, provided that it is not older than the image whose promotion asks for it.

    Args:
        chosen: the choice; None passes.
        promoted: the name of the image whose promotion asks; None when no promotion does.
        images: those of its recipe, which may lack it.

    Raises:
        PermanentError: the promoted image is newer, so somebody took it out of use since.
    """
    if promoted is None or chosen is None or chosen.image["name"] == promoted:
        return chosen
    asking = next((image for image in images if image["name"] == promoted), None)
    asked_at = created_at(asking) if asking else image_time(promoted)
    if asked_at is None or created_at(chosen.image) >= asked_at:
        return chosen
    raise PermanentError(
        f"the promotion of {promoted} triggered this bake, but that image was taken out of use"
        f"; {chosen.image['name']}, now the newest, is older. Trigger the bake by"
        " hand to build on that image"
    )


def _as_of(dated: list[tuple[datetime, Resource]], then: datetime) -> ChosenImage | None:
    if not dated:
        return None
    in_order = sorted(dated, key=lambda pair: (pair[0], str(pair[1]["name"])))
    known = [image for when, image in in_order if when <= then]
    if known:
        return ChosenImage(known[-1], Reason.BASE_OF_THAT_DATE)
    return ChosenImage(in_order[0][1], Reason.BASE_OF_THAT_DATE_GONE)


def _age(image: Resource) -> tuple[datetime, str]:
    return created_at(image), str(image["name"])


def _is_of(recipe: str, image: Resource) -> bool:
    return labels_of(image).get(labels.RECIPE) == recipe


def _has(image: Resource, content_key: str) -> bool:
    return labels_of(image).get(labels.CONTENT_KEY) == content_key
