"""What a bake writes down: events into the ledger, the image's SBOM beside it.

The Variable `bakehouse_ledger` is the base URL; without it the ledger is $AIRFLOW_HOME/ledger.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable

from bakehouse.core.reasons import Reason
from bakehouse.history.ledger import Event, Ledger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.plan import BakePlan
    from bakehouse.history.manifest import Manifest


def ledger_base() -> str:
    """The URL below which everything is written."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return str(Variable.get("bakehouse_ledger", default=f"file://{home}/ledger")).rstrip("/")


def record_event(
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


def record(
    context: Context,
    plan: BakePlan,
    kind: str,
    reason: Reason,
    *,
    about: str | None = None,
    **detail: Any,
) -> None:
    """One event of this run, about its own image unless told; a retry writes the same object."""
    event = Event(
        kind=kind,
        time=plan.created,
        dag_id=plan.dag_id,
        run_id=plan.run_id,
        task_id=context["ti"].task_id,
        recipe=plan.recipe,
        image=about or plan.image_name,
        git_sha=plan.commit.sha,
        reason=reason.value,
        detail=detail,
    )
    Ledger(ledger_base()).write(event)


def covers(context: Context, plan: BakePlan, image: str) -> None:
    """This run's date is served by `image`, whichever run has made it."""
    record(
        context,
        plan,
        "covers",
        Reason.SAME_CONTENT,
        about=image,
        date=plan.created.isoformat(),
        content_key=plan.content_key,
        commit=plan.commit.model_dump(mode="json"),
        base_image=plan.base_image.name,
        base_reason=plan.base_image.reason.value,
        history=plan.history,
        updates=plan.updates.in_words() if plan.updates else None,
    )


def write_sbom(plan: BakePlan, manifest: Manifest, project: str) -> str:
    """What is in this run's image, as SPDX; the object's URL."""
    from bakehouse.history.manifests import write_manifest
    from bakehouse.history.sbom import Baked

    baked = Baked(
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
    return write_manifest(ledger_base(), baked, manifest)
