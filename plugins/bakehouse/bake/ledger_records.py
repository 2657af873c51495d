"""Write the events of a bake into the ledger, and the image's SBOM."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import (
    BakeDetail,
    BakeEvent,
    BuilderFailedDetail,
    BuilderFailedEvent,
    CommitRecord,
    CoversDetail,
    CoversEvent,
    ScriptError,
    UpdateRecord,
    UpdatesDetail,
    UpdatesEvent,
)
from bakehouse.history.location import ledger_url
from bakehouse.history.recording import RunFields, record

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.builder import BuilderVm
    from bakehouse.bake.candidate import Built, Candidate
    from bakehouse.bake.plan import BakePlan
    from bakehouse.bake.shutdown import Shutdown
    from bakehouse.history.manifest import Manifest


class PlanFields(RunFields):
    """The common fields of a bake's events, without the image."""

    recipe: str
    git_sha: str


def plan_fields(context: Context, plan: BakePlan) -> PlanFields:
    """Return the fields for this run's plan, the same in every try."""
    return {
        "time": plan.created,
        "at": datetime.now(UTC),
        "dag_id": plan.dag_id,
        "run_id": plan.run_id,
        "task_id": context["ti"].task_id,
        "recipe": plan.recipe,
        "git_sha": plan.commit.sha,
    }


def record_bake(context: Context, plan: BakePlan, image: Candidate, built: Built) -> None:
    """Record that this run has created its image."""
    detail = BakeDetail(
        image_id=image.id,
        content_key=plan.content_key,
        base_image=plan.base_image.name,
        base_image_id=plan.base_image.id,
        base_reason=plan.base_image.reason,
        parent=plan.parent,
        promoted=plan.promoted,
        snapshot=plan.snapshot,
        builder=built.builder.name,
        seconds=built.seconds,
        packages=built.packages,
        updates=_updates_in_words(plan),
        commit=_commit(plan),
        timeline=built.timeline,
        machine_type=plan.builder.machine_type,
        spot=plan.builder.spot,
        disk_gb=plan.builder.disk_gb,
        disk_type=plan.builder.disk_type,
        image_bytes=image.stored_bytes,
        vars=plan.vars,
    )
    fields = plan_fields(context, plan)
    record(BakeEvent(**fields, image=plan.image_name, reason=plan.reason, detail=detail))


def record_covers(context: Context, plan: BakePlan, image: str) -> None:
    """Record that `image` has the content of this run's date, whichever run has created it."""
    detail = CoversDetail(
        date=plan.created,
        content_key=plan.content_key,
        commit=_commit(plan),
        base_image=plan.base_image.name,
        base_reason=plan.base_image.reason,
        history=plan.history,
        updates=_updates_in_words(plan),
    )
    fields = plan_fields(context, plan)
    reason = plan.reason if plan.reason is Reason.ROLLED_BACK else Reason.SAME_CONTENT
    record(CoversEvent(**fields, image=image, reason=reason, detail=detail))


def record_builder_failed(
    context: Context, plan: BakePlan, builder: BuilderVm, shutdown: Shutdown
) -> None:
    """Record that a builder of this run failed, without its output."""
    error = shutdown.error
    detail = BuilderFailedDetail(
        builder=builder.name,
        zone=builder.zone,
        message=shutdown.message,
        error=ScriptError.model_validate(error, from_attributes=True) if error else None,
    )
    fields = plan_fields(context, plan)
    record(
        BuilderFailedEvent(**fields, image=plan.image_name, reason=shutdown.reason, detail=detail)
    )


def record_updates(context: Context, plan: BakePlan) -> None:
    """Record the updates that the plan has found."""
    if plan.updates is None:
        return
    detail = UpdatesDetail(
        found=tuple(
            UpdateRecord.model_validate(update, from_attributes=True)
            for update in plan.updates.found
        ),
        unread=plan.updates.unread,
        indexes=plan.updates.indexes,
    )
    fields = plan_fields(context, plan)
    record(UpdatesEvent(**fields, image=plan.updates.image, reason=plan.reason, detail=detail))


def write_sbom(plan: BakePlan, manifest: Manifest, project: str) -> str:
    """Write this run's SBOM (SPDX); return the object's URL."""
    from bakehouse.history.manifest_store import write_manifest
    from bakehouse.history.sbom import SbomImage

    baked = SbomImage(
        image=plan.image_name,
        project=project,
        recipe=plan.recipe,
        family=plan.family,
        git_sha=plan.commit.sha,
        git_ref=plan.commit.ref,
        content_key=plan.content_key,
        base_image=plan.base_image.name,
        base_image_id=plan.base_image.id,
        created=plan.created,
        dag_id=plan.dag_id,
        run_id=plan.run_id,
        snapshot=plan.snapshot,
    )
    return write_manifest(ledger_url(), baked, manifest)


def _commit(plan: BakePlan) -> CommitRecord:
    return CommitRecord.model_validate(plan.commit, from_attributes=True)


def _updates_in_words(plan: BakePlan) -> str | None:
    return plan.updates.in_words() if plan.updates else None
