"""The images that trigger forms offer, by recipe: the Variable `bakehouse_images`.

A form is made when a DAG file is parsed, where no call to Compute Engine has a place. So the tasks
that change images leave their names behind. The list is a convenience and not the truth: a name
that is missing may be typed, and one that is gone is refused when it is looked for.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import is_promoted, newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bakehouse.images.links import Resource

VARIABLE = "bakehouse_images"
MOST = 20  # of a recipe: the rows of a list that is chosen from
log = logging.getLogger(__name__)


def choices_of(images: Iterable[Resource]) -> list[str]:
    """Return the names of a recipe's images that a rollout takes, newest first."""
    usable = (
        image
        for image in images
        if is_promoted(image, history=True) and refusal_to_use(image) is None
    )
    return [str(image["name"]) for image in newest_first(usable)][:MOST]


def offered_images() -> dict[str, list[str]]:
    """Return the names by recipe; empty where they cannot be read: a parse never fails for them."""
    from airflow.sdk import Variable

    try:
        found = json.loads(str(Variable.get(VARIABLE, default="{}")))
    except Exception as unreadable:
        log.debug("the Variable %s cannot be read: %s", VARIABLE, unreadable)
        return {}
    return _valid(found)


def offer(recipe: str, images: Iterable[Resource]) -> None:
    """Replace the names of one recipe, of which these are all images.

    Two bakes that end in the same moment may lose the names of one: its next bake restores them.
    """
    known = offered_images()
    _store(known, {**known, recipe: choices_of(images)})


def withdraw(names: Iterable[str]) -> None:
    """Take names out that no rollout takes any more."""
    gone, known = set(names), offered_images()
    _store(known, {r: [name for name in found if name not in gone] for r, found in known.items()})


def _store(known: Mapping[str, list[str]], wanted: Mapping[str, list[str]]) -> None:
    """A form that offers less is no reason to fail a promotion."""
    from airflow.sdk import Variable

    if wanted == known:
        return
    try:
        Variable.set(VARIABLE, json.dumps(wanted, sort_keys=True))
    except Exception as refused:
        log.warning("the forms do not offer the new names: %s", refused)


def _valid(found: Any) -> dict[str, list[str]]:
    if not isinstance(found, dict):
        return {}
    known: Mapping[Any, Any] = found
    return {
        str(recipe): [str(name) for name in names]
        for recipe, names in known.items()
        if isinstance(names, list)
    }
