"""What keeping house writes into the ledger: one event for each thing that it touches, and one for
each recipe that says why its other images stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.history.recording import record_event
from bakehouse.housekeeping.drift import Drift
from bakehouse.housekeeping.sweep import Found
from bakehouse.retire.retirement import Decision, Do

if TYPE_CHECKING:
    from airflow.sdk import Context

RETIRED = {
    Do.DEPRECATE: "image_deprecated",
    Do.MAKE_OBSOLETE: "image_obsolete",
    Do.DELETE: "image_deleted",
}


def record_swept(context: Context, found: Found) -> None:
    """What goes now: written before the call, so that nothing is gone without a word."""
    record_event(
        context,
        "swept",
        found.reason,
        subject=f"{found.kind} {found.zone} {found.name} {found.id}",
        recipe=found.recipe,
        image=found.name if found.kind.endswith("image") else "",
        detail=found.model_dump(mode="json", exclude={"sweep", "reason", "recipe"}),
    )


def record_retired(context: Context, decision: Decision) -> None:
    """The same of an image's next stage."""
    record_event(
        context,
        RETIRED[decision.do],
        decision.reason,
        subject=decision.id,
        recipe=decision.recipe,
        image=decision.image,
        detail=decision.model_dump(mode="json", include={"id", "do", "detail", "body"}),
    )


def record_kept(context: Context, recipe: str, kept: Iterable[Decision]) -> None:
    """Why those of a recipe that `keep` does not keep stay all the same."""
    told = {d.image: f"{d.reason.value}: {d.detail}".rstrip(": ") for d in kept}
    if told:
        about = {"subject": recipe, "recipe": recipe}
        record_event(context, "images_kept", Reason.WITHIN_KEEP, **about, detail={"kept": told})


def record_drift(context: Context, recipe: str, drift: Drift) -> None:
    """A fleet that is not all on the newest image."""
    if drift.behind:
        record_event(
            context,
            "drift",
            Reason.BEHIND,
            subject=drift.fleet,
            recipe=recipe,
            image=drift.newest or "",
            detail=drift.model_dump(mode="json"),
        )
