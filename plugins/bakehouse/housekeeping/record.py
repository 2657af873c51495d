"""What housekeeping and a revocation write into the ledger.

One event for each resource that they change, and one for each recipe that says why its other images
stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import UpdateRecord
from bakehouse.history.fleet_events import (
    ListedMember,
    MembersDetail,
    MembersEvent,
    MissingFixesDetail,
    MissingFixesEvent,
)
from bakehouse.history.housekeeping_events import (
    DriftDetail,
    DriftEvent,
    ImageDeletedEvent,
    ImageDeprecatedEvent,
    ImageObsoleteEvent,
    ImagesKeptDetail,
    ImagesKeptEvent,
    KeptImage,
    MarkedDetail,
    MarkedEvent,
    RetiredDetail,
    RetiredStage,
    RevokedDetail,
    RevokedEvent,
    RunsRevokedDetail,
    RunsRevokedEvent,
    SweptDetail,
    SweptEvent,
)
from bakehouse.history.metric_export import export
from bakehouse.history.metrics import drifting_members
from bakehouse.history.recording import record, run_fields
from bakehouse.retire.retirement import Action, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from bakehouse.housekeeping.drift import Drift, Member
    from bakehouse.housekeeping.sweep import Found
    from bakehouse.images.revocation import Revocation, RevokedImage
    from bakehouse.updates.compare import Updates

_RetiredEvent = type[ImageDeprecatedEvent | ImageObsoleteEvent | ImageDeletedEvent]
_RETIRED: dict[Action, tuple[_RetiredEvent, RetiredStage]] = {
    Action.DEPRECATE: (ImageDeprecatedEvent, "deprecate"),
    Action.MAKE_OBSOLETE: (ImageObsoleteEvent, "make_obsolete"),
    Action.DELETE: (ImageDeletedEvent, "delete"),
}


def record_swept(context: Context, found: Found) -> None:
    """What goes now: written before the call, so that nothing is gone without a word."""
    event = SweptEvent(
        **run_fields(context),
        recipe=found.recipe,
        image=found.name if found.kind.endswith("image") else None,
        reason=found.reason,
        subject=f"{found.kind} {found.zone} {found.name} {found.id}",
        detail=SweptDetail(
            kind=found.kind,
            name=found.name,
            id=found.id,
            role=found.role,
            run=found.run,
            zone=found.zone,
            detail=found.detail,
            attached=found.attached,
        ),
    )
    record(event)


def record_retired(context: Context, decision: Decision) -> None:
    """The same of an image's next stage."""
    event, stage = _RETIRED[decision.do]
    detail = RetiredDetail(id=decision.id, do=stage, detail=decision.detail, body=decision.body)
    record(
        event(
            **run_fields(context),
            recipe=decision.recipe,
            image=decision.image,
            reason=decision.reason,
            subject=decision.id,
            detail=detail,
        )
    )


def record_kept(context: Context, recipe: str, kept: Iterable[Decision]) -> None:
    """Why those of a recipe that `keep` does not keep stay all the same."""
    images = tuple(KeptImage(image=d.image, reason=d.reason, detail=d.detail) for d in kept)
    if images:
        event = ImagesKeptEvent(
            **run_fields(context),
            recipe=recipe,
            reason=Reason.WITHIN_KEEP,
            subject=recipe,
            detail=ImagesKeptDetail(kept=images),
        )
        record(event)


def record_members(context: Context, recipe: str, fleet: str, members: Iterable[Member]) -> None:
    """Every member of a fleet that exists, and the image that it runs."""
    listed = tuple(
        ListedMember(
            member=member.name,
            zone=member.zone,
            image=member.image,
            image_id=member.image_id,
            image_created=member.image_created,
        )
        for member in sorted(members, key=lambda member: member.name)
    )
    event = MembersEvent(
        **run_fields(context),
        recipe=recipe,
        reason=Reason.MEMBERS_LISTED,
        subject=fleet,
        detail=MembersDetail(fleet=fleet, members=listed),
    )
    record(event)


def record_missing_fixes(context: Context, looked: Updates, image_id: str) -> None:
    """The security updates that an image lacks, or that this is not known."""
    found = tuple(
        UpdateRecord.model_validate(update, from_attributes=True)
        for update in looked.found
        if update.security
    )
    nothing = Reason.FIXES_UNKNOWN if looked.unread else Reason.NO_FIX_MISSING
    event = MissingFixesEvent(
        **run_fields(context),
        image=looked.image,
        reason=Reason.FIXES_MISSING if found else nothing,
        detail=MissingFixesDetail(
            image_id=image_id, found=found, unread=looked.unread, indexes=looked.indexes
        ),
    )
    record(event)


def record_drift(context: Context, recipe: str, drift: Drift) -> None:
    """A fleet that is not all on its image, as declared, healthy, and there."""
    export([drifting_members(drift.fleet, drift.count)])
    if not drift.is_none:
        event = DriftEvent(
            **run_fields(context),
            recipe=recipe,
            image=drift.newest,
            reason=_drift_reason(drift),
            subject=drift.fleet,
            detail=DriftDetail.model_validate(drift, from_attributes=True),
        )
        record(event)


def _drift_reason(drift: Drift) -> Reason:
    if drift.behind:
        return Reason.BEHIND
    if drift.ill:
        return Reason.MEMBER_ILL
    if drift.missing:
        return Reason.MEMBER_MISSING
    return Reason.STRAYED if drift.strayed else Reason.MEMBER_DIFFERS


def record_revoked(context: Context, revoked: Revocation) -> None:
    """An image is revoked."""
    event = RevokedEvent(
        **run_fields(context),
        recipe=revoked.image.recipe,
        image=revoked.image.name,
        git_sha=revoked.image.git_sha,
        reason=Reason.REVOKED,
        subject=revoked.image.id,
        detail=RevokedDetail(
            why=revoked.why,
            image_id=revoked.image.id,
            descendants=tuple(child.name for child in revoked.descendants),
        ),
    )
    record(event)


def record_marked(context: Context, revoked: Revocation, child: RevokedImage) -> None:
    """An image that is built on the revoked one is labelled so."""
    event = MarkedEvent(
        **run_fields(context),
        recipe=child.recipe,
        image=child.name,
        git_sha=child.git_sha,
        reason=Reason.REVOKED_BASE,
        subject=child.id,
        detail=MarkedDetail(
            image_id=child.id, revoked=revoked.image.name, revoked_id=revoked.image.id
        ),
    )
    record(event)


def record_runs_revoked(
    context: Context, revoked: Revocation, fleet: str, member: Member, image: RevokedImage
) -> None:
    """A member runs `image`, which is revoked or built on the revoked one."""
    event = RunsRevokedEvent(
        **run_fields(context),
        recipe=image.recipe,
        image=image.name,
        git_sha=image.git_sha,
        reason=Reason.RUNS_REVOKED,
        subject=f"{fleet}/{member.zone}/{member.name}",
        detail=RunsRevokedDetail(
            fleet=fleet,
            member=member.name,
            zone=member.zone,
            image=image.name,
            revoked=revoked.image.name,
        ),
    )
    record(event)
