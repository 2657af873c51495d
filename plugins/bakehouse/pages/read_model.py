"""The images, members and happenings that the API shows, from events and one list of images. Pure.

Everything is worked out once for all rows; what a question asks for is chosen in `queries`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history import bake_events as baking
from bakehouse.history import housekeeping_events as keeping
from bakehouse.history.ancestry import bakes_before, bakes_by_image
from bakehouse.history.comparison import Fixes, security_fixes
from bakehouse.history.holds import holds
from bakehouse.history.member_images import drift_now, member_images
from bakehouse.history.missing_fixes import missing_fixes
from bakehouse.history.overview import IN_FLIGHT, WAITS, rollouts
from bakehouse.history.rollout_events import ImageRolledBackEvent
from bakehouse.history.story import What, bake_kind, bake_sentence, story
from bakehouse.images import labels
from bakehouse.images.links import labels_of
from bakehouse.images.selection import DeprecationState, deprecation_state, is_tainted
from bakehouse.pages import answers
from bakehouse.pages.answers import Fix, ImageRow, ImageState, MemberRow, TimelineRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from bakehouse.history.bake_events import BakeEvent
    from bakehouse.history.events import LedgerEvent
    from bakehouse.history.holds import Hold
    from bakehouse.history.member_images import MemberImage
    from bakehouse.history.missing_fixes import ImageFixes
    from bakehouse.history.overview import RolloutRow
    from bakehouse.images.links import Resource

_STATES: Mapping[type, ImageState] = {
    keeping.ImageDeprecatedEvent: ImageState.DEPRECATED,
    ImageRolledBackEvent: ImageState.DEPRECATED,
    keeping.ImageObsoleteEvent: ImageState.OBSOLETE,
    keeping.ImageDeletedEvent: ImageState.DELETED,
    keeping.RevokedEvent: ImageState.REVOKED,
    keeping.MarkedEvent: ImageState.REVOKED,
}
_DEPRECATED = {
    DeprecationState.DEPRECATED: ImageState.DEPRECATED,
    DeprecationState.OBSOLETE: ImageState.OBSOLETE,
    DeprecationState.DELETED: ImageState.DELETED,
}


def no_url(sha: str) -> str | None:  # ruff: ignore[unused-function-argument]  what it stands for
    """The address of a commit where none is known."""
    return None


@dataclass(frozen=True)
class ReadModel:
    """All rows, and the maps by which single ones are found."""

    images: list[ImageRow]  # the newest first
    members: list[MemberRow]  # by fleet and name
    timeline: list[TimelineRow]  # the newest first
    rollouts: list[RolloutRow]  # those that have not ended
    holds: dict[str, Hold]
    newest: dict[str, str]  # recipe -> its newest promoted image
    fleets: dict[str, str | None]  # fleet -> recipe
    bakes: dict[str, BakeEvent]
    fixes: Fixes = field(default_factory=dict)
    by_name: dict[str, ImageRow] = field(default_factory=dict)


def build(
    events: Sequence[LedgerEvent],
    now: datetime,
    images: Iterable[Resource] = (),
    commit_url: Callable[[str], str | None] = no_url,
    signed: Mapping[str, str] | None = None,
) -> ReadModel:
    """Work out all rows.

    Args:
        events: Of the ledger, oldest first.
        now: For ages.
        images: Those of Bakehouse, of both kinds, as Compute Engine lists them; empty: not known.
        commit_url: The web page of a commit by its hash.
        signed: Image name -> `verified`, `unsigned` or `refused`.
    """
    found = _Facts(events, now, {str(image["id"]): image for image in images}, commit_url)
    rows = [found.image_row(bake, (signed or {}).get(bake.image)) for bake in found.bakes.values()]
    rows.sort(key=lambda row: (row.time, row.image), reverse=True)
    newest = _newest_promoted(rows)
    flights = [row for row in found.rollouts if row.state in IN_FLIGHT]
    return ReadModel(
        images=rows,
        members=found.member_rows(newest, flights),
        timeline=[
            TimelineRow(**entry.model_dump(), commit_url=commit_url(entry.git_sha or ""))
            for entry in found.story
        ],
        rollouts=flights,
        holds=found.holds,
        newest=newest,
        fleets=found.fleets,
        bakes=found.bakes,
        fixes=security_fixes(events),
        by_name={row.image: row for row in rows},
    )


class _Facts:
    """What is looked up for each row, by image or by run."""

    def __init__(
        self,
        events: Sequence[LedgerEvent],
        now: datetime,
        listed: Mapping[str, Resource],
        commit_url: Callable[[str], str | None],
    ) -> None:
        self._now, self._listed, self._commit_url = now, listed, commit_url
        self.bakes = bakes_by_image(events)
        self.rollouts = rollouts(events)
        self.story = story(events)
        self.holds = holds(events)
        self._members = member_images(events)
        self._drift = drift_now(events)
        self._fixes = missing_fixes(events)
        self._running = Counter(one.image for one in self._members)
        self._deploys = Counter(
            entry.image for entry in self.story if entry.what in {What.DEPLOY, What.ROLL_BACK}
        )
        self._misses = Counter(
            (event.dag_id, event.run_id)
            for event in events
            if isinstance(event, baking.SlaMissEvent)
        )
        self._before = bakes_before(self.bakes.values())
        self._states: dict[str, tuple[ImageState, str]] = {}
        self._boot: dict[str, float] = {}
        self._family: dict[str, str | None] = {}
        self.fleets: dict[str, str | None] = {}
        for event in events:
            self._read(event)

    def _read(self, event: LedgerEvent) -> None:
        fleet = getattr(event.detail, "fleet", None)
        if fleet and self.fleets.get(fleet) is None:
            self.fleets[fleet] = event.recipe
        if event.image is None:
            return
        if isinstance(event, baking.VerdictEvent):
            if event.detail.ready_seconds is not None:
                self._boot[event.image] = event.detail.ready_seconds
            if event.reason is not Reason.SMOKE_PASSED:
                self._states[event.image] = (ImageState.FAILED, event.detail.message)
        elif isinstance(event, baking.PromotionEvent):
            kept = event.reason is Reason.KEPT_AS_HISTORY
            state = ImageState.HISTORY if kept else ImageState.PROMOTED
            self._states[event.image] = (state, event.detail.changes or "")
            self._family[event.image] = event.detail.family
        elif (state_now := _STATES.get(type(event))) is not None:
            self._states[event.image] = (state_now, _why(event))

    def image_row(self, bake: BakeEvent, signed: str | None) -> ImageRow:
        """The row of an image."""
        detail, listed = bake.detail, self._listed.get(bake.detail.image_id)
        state, why = self._states.get(bake.image, (ImageState.CANDIDATE, ""))
        state = _state_now(state, listed)
        before = self._before.get(bake.image)
        return ImageRow(
            image=bake.image,
            image_id=detail.image_id,
            recipe=bake.recipe,
            state=state,
            state_reason=why,
            kind=bake_kind(bake, before),
            reason=bake_sentence(bake, before),
            time=bake.happened,
            git_sha=bake.git_sha,
            subject=detail.commit.subject,
            author=detail.commit.author,
            commit_url=self._commit_url(bake.git_sha),
            family=self._family.get(bake.image),
            base_image=detail.base_image,
            parent=detail.parent,
            size_bytes=_number(listed, "archiveSizeBytes", "totalStorageBytes"),
            disk_gb=_number(listed, "diskSizeGb"),
            bake_seconds=detail.seconds,
            boot_seconds=self._boot.get(bake.image),
            sla_misses=self._misses[bake.dag_id, bake.run_id],
            packages=detail.packages,
            members=self._running[bake.image],
            deploys=self._deploys[bake.image],
            fix=self._fix(bake.image),
            signed=signed,
            dag_id=bake.dag_id,
            run_id=bake.run_id,
        )

    def member_rows(
        self, newest: Mapping[str, str], flights: Sequence[RolloutRow]
    ) -> list[MemberRow]:
        """The rows of all members, by fleet and name."""
        waits = {row.fleet: row for row in flights}
        drift = {fleet: _drift_by_member(event) for fleet, event in self._drift.items()}
        looked = {fleet: event.happened for fleet, event in self._drift.items()}
        told = {fleet: str(hold) for fleet, hold in self.holds.items()}
        return [
            self._member_row(
                one,
                newest,
                # what was seen before the member changed says nothing of it now
                drift.get(one.fleet, {}).get(one.member, "")
                if looked.get(one.fleet, one.since) >= one.since
                else "",
                waits.get(one.fleet),
                told.get(one.fleet, ""),
            )
            for one in self._members
        ]

    def _member_row(
        self,
        one: MemberImage,
        newest: Mapping[str, str],
        drift: str,
        flight: RolloutRow | None,
        held: str,
    ) -> MemberRow:
        recipe, bake = self.fleets.get(one.fleet), self.bakes.get(one.image)
        made = one.image_created or (bake.happened if bake else None)
        wanted = newest.get(recipe or "")
        behind = f"not on the newest image, {wanted}" if wanted and wanted != one.image else ""
        return MemberRow(
            fleet=one.fleet,
            recipe=recipe,
            member=one.member,
            zone=one.zone,
            image=one.image,
            image_id=one.image_id,
            git_sha=one.git_sha or (bake.git_sha if bake else ""),
            since=one.since,
            exact=one.is_since_exact,
            reason=one.reason.text if one.is_since_exact else one.why,
            replaced=one.replaced,
            image_time=made,
            image_days=round((self._now - made).total_seconds() / 86_400, 1) if made else None,
            newest=wanted == one.image,
            drift=drift or behind,
            waits=_waits(flight, one.image),
            held=held,
            fix=self._fix(one.image),
            seen=one.seen,
        )

    def _fix(self, image: str) -> Fix | None:
        fixes: ImageFixes | None = self._fixes.get(image)
        oldest = fixes.oldest if fixes is not None else None
        if oldest is None:
            return None
        return Fix(
            package=oldest.package,
            available=oldest.available,
            since=oldest.since,
            days=oldest.days(self._now),
        )


def rollout_answer(row: RolloutRow) -> answers.Rollout:
    """A rollout under way as the API shows it."""
    return answers.Rollout(**row.model_dump())


def _why(event: LedgerEvent) -> str:
    if isinstance(event, keeping.RevokedEvent):
        return event.detail.why
    if isinstance(event, keeping.MarkedEvent):
        return f"built on {event.detail.revoked}, which is revoked"
    if isinstance(event, ImageRolledBackEvent):
        return f"the fleet {event.detail.fleet} went back from it"
    return event.reason.text


def _state_now(state: ImageState, listed: Resource | None) -> ImageState:
    """The state by the ledger, unless somebody has changed the image in Compute Engine since."""
    if listed is None or state in {ImageState.DELETED, ImageState.REVOKED}:
        return state
    if is_tainted(listed):
        return ImageState.REVOKED
    by_hand = _DEPRECATED.get(DeprecationState(deprecation_state(listed)))
    if by_hand is not None:
        return by_hand
    if state in {ImageState.DEPRECATED, ImageState.OBSOLETE}:  # taken back into use
        kept = labels_of(listed).get(labels.STATE) == labels.HISTORY
        return ImageState.HISTORY if kept else ImageState.PROMOTED
    return state


def _newest_promoted(rows: Iterable[ImageRow]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:  # the newest first
        if row.state is ImageState.PROMOTED:
            found.setdefault(row.recipe, row.image)
    return found


def _drift_by_member(event: keeping.DriftEvent) -> dict[str, str]:
    """Member -> how it differs, the worst of it; who is behind is known without a look."""
    detail, told = event.detail, {}
    for one in detail.strayed:
        told[one.name] = f"runs another image than its fleet's last rollout ({detail.pinned})"
    for other in detail.others:
        told[other.name] = f"differs from the template: {'; '.join(other.differs)}"
    for ill in detail.ill:
        told[ill.name] = f"ill: {ill.why}"
    return told


def _waits(flight: RolloutRow | None, image: str) -> str:
    if flight is None or flight.image == image:
        return ""
    told = flight.why if flight.state == WAITS else f"since {format_utc(flight.time)}"
    verb = "waits" if flight.state == WAITS else "is under way"
    return f"the rollout to {flight.image} {verb} {told}"


def _number(resource: Resource | None, *names: str) -> int | None:
    for name in names:
        text = str((resource or {}).get(name, ""))
        if text.isascii() and text.isdigit():
            return int(text)
    return None
