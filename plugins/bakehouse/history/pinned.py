"""The image that each fleet is on: that of its last rollout that ended well. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.history.rollout_events import RolloutEndedEvent

PAST = timedelta(days=90)  # how far back a last rollout is looked for


class PinnedImage(Frozen):
    """An image by its id; its name may be used again."""

    id: str
    name: str


def pinned_images(events: Iterable[RolloutEndedEvent]) -> dict[str, PinnedImage]:
    """Return the image of each fleet.

    A rollout that went back, was halted, or was of some members only, pins none.
    """
    ended_well = {Reason.NEW_IMAGE, Reason.NOTHING_TO_REPLACE}
    return {
        event.detail.fleet: PinnedImage(id=event.detail.image_id, name=event.image)
        for event in sorted(events, key=lambda event: event.happened)
        if event.reason in ended_well and event.image and not event.detail.partial
    }
