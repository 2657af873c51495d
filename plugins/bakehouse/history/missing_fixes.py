"""Which security update an image has lacked for the longest time, from the ledger. Pure.

A fix counts from the moment at which any look at the archives first found it, for whichever image:
that is how long it could have been installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.history.bake_events import UpdatesEvent
from bakehouse.history.fleet_events import MissingFixesEvent
from bakehouse.history.versions import newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from bakehouse.history.bake_events import UpdateRecord
    from bakehouse.history.event import Event

_DAY = 86_400
_Sightings = dict[tuple[str, str, str], dict[str, "datetime"]]


class MissingFix(Frozen):
    """A security update that an image lacks; `since` is when a fix for it was first seen."""

    package: str
    arch: str
    installed: str
    available: str
    suite: str
    since: AwareDatetime

    def days(self, now: datetime) -> float:
        """Return for how many days the image has lacked it, with one decimal."""
        return round(max(0.0, (now - self.since).total_seconds()) / _DAY, 1)


class ImageFixes(Frozen):
    """The newest look at the archives for one image."""

    image: str
    image_id: str
    looked: AwareDatetime
    missing: tuple[MissingFix, ...] = ()  # the oldest first
    unread: tuple[str, ...] = ()

    @property
    def oldest(self) -> MissingFix | None:
        """The fix that has been missing for the longest time."""
        return self.missing[0] if self.missing else None

    @property
    def is_known(self) -> bool:
        """Whether the archives could be read, or something was found in a part of them."""
        return bool(self.missing) or not self.unread


def missing_fixes(events: Iterable[Event]) -> dict[str, ImageFixes]:
    """Return image name -> the newest look at it; images that were never looked at are absent.

    Args:
        events: Of the ledger, in any order; those of other kinds are ignored.
    """
    sightings: _Sightings = {}
    looks: dict[str, MissingFixesEvent] = {}
    for event in sorted(events, key=lambda event: event.happened):
        if isinstance(event, MissingFixesEvent):
            looks[event.image] = event
        elif not isinstance(event, UpdatesEvent):
            continue
        for update in event.detail.found:
            if update.security:
                known = sightings.setdefault(_key(update), {})
                known.setdefault(update.available, event.happened)
    return {image: _fixes(event, sightings) for image, event in looks.items()}


def _fixes(
    event: MissingFixesEvent, sightings: Mapping[tuple[str, str, str], Mapping[str, datetime]]
) -> ImageFixes:
    missing = [
        MissingFix(
            package=update.name,
            arch=update.arch,
            installed=update.installed,
            available=update.available,
            suite=update.suite,
            since=min(
                moment
                for version, moment in sightings[_key(update)].items()
                if newer(version, update.installed)
            ),
        )
        for update in event.detail.found
        if update.security
    ]
    return ImageFixes(
        image=event.image,
        image_id=event.detail.image_id,
        looked=event.happened,
        missing=tuple(sorted(missing, key=lambda fix: (fix.since, fix.package, fix.arch))),
        unread=event.detail.unread,
    )


def _key(update: UpdateRecord) -> tuple[str, str, str]:
    return update.name, update.arch, update.suite
