"""Which stored bundles have expired. Pure.

A deleted bundle is not lost: a task that needs it renders it again from the plan's commit.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.images.labels import CANDIDATE, CONTENT_KEY, STATE
from bakehouse.images.links import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bakehouse.images.links import Resource
    from bakehouse.inventory.model import Inventory
    from bakehouse.recipe.bundle import StoredBundle

KEPT_FOR = timedelta(days=14)


def expired_bundles(
    bundles: Iterable[StoredBundle], inventory: Inventory, now: datetime, only: str = ""
) -> list[StoredBundle]:
    """Return bundles older than KEPT_FOR whose content key no VM and no candidate has.

    A run that has neither yet, or not any more, does not need its bundle.

    Args:
        bundles: All stored bundles.
        inventory: The resources of the project.
        now: This moment, with its time zone.
        only: The recipe whose bundles are read; empty for all.
    """
    candidates = (i for i in (*inventory.images, *inventory.machine_images) if _is_candidate(i))
    working = {labels_of(r).get(CONTENT_KEY) for r in (*inventory.instances, *candidates)}
    return [
        bundle
        for bundle in bundles
        if only in {"", bundle.recipe}
        and now - bundle.modified > KEPT_FOR
        and bundle.content_key not in working
    ]


def _is_candidate(image: Resource) -> bool:
    return labels_of(image).get(STATE) == CANDIDATE
