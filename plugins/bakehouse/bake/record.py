"""What a bake writes down: events into the ledger, the package list beside it.

The Variable `bakehouse_ledger` is the base URL; without it the ledger is $AIRFLOW_HOME/ledger.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath, Variable

from bakehouse.history.ledger import Event, Ledger
from bakehouse.history.manifest import Package
from bakehouse.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from bakehouse.bake.plan import BakePlan


def ledger_base() -> str:
    """The URL below which everything is written."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return str(Variable.get("bakehouse_ledger", default=f"file://{home}/ledger")).rstrip("/")


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
    )


def write_manifest(image: str, packages: Iterable[Package]) -> str:
    """The image's packages as `name<TAB>version<TAB>arch` lines; the object's URL."""
    target = ObjectStoragePath(f"{ledger_base()}/manifests/{image}.tsv")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join("\t".join(package) + "\n" for package in packages))
    return str(target)
