"""What keeping house writes into the ledger: one event for each thing that it touches, and one for
each recipe that says why its other images stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.bake.record import ledger_base
from bakehouse.history.ledger import Event, Ledger
from bakehouse.house.drift import Drift
from bakehouse.house.sweep import Found
from bakehouse.promote.retire import Decision, Do
from bakehouse.reasons import Reason

if TYPE_CHECKING:
    from airflow.sdk import Context

RETIRED = {
    Do.DEPRECATE: "image_deprecated",
    Do.MAKE_OBSOLETE: "image_obsolete",
    Do.DELETE: "image_deleted",
}


def record(
    context: Context,
    kind: str,
    reason: Reason,
    *,
    subject: str,
    recipe: str = "",
    image: str = "",
    git_sha: str = "",
    detail: Mapping[str, Any],
) -> None:
    """One event of this run; a retry writes the same object."""
    ti, run = context["ti"], context["dag_run"]
    event = Event(
        kind=kind,
        time=run.data_interval_end or run.run_after,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        recipe=recipe or None,
        image=image or None,
        git_sha=git_sha or None,
        reason=reason.value,
        subject=subject,
        detail={**detail, "at": datetime.now(UTC).isoformat(timespec="seconds")},
    )
    Ledger(ledger_base()).write(event)


def record_swept(context: Context, found: Found) -> None:
    """What goes now: written before the call, so that nothing is gone without a word."""
    record(
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
    record(
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
        record(context, "images_kept", Reason.WITHIN_KEEP, **about, detail={"kept": told})


def record_drift(context: Context, recipe: str, drift: Drift) -> None:
    """A fleet that is not all on the newest image."""
    if drift.behind:
        record(
            context,
            "drift",
            Reason.BEHIND,
            subject=drift.fleet,
            recipe=recipe,
            image=drift.newest or "",
            detail=drift.model_dump(mode="json"),
        )
