"""`housekeeping`: sweeps what runs left behind, retires images, shows drift."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param, chain

from bakehouse.core.tasks import Flow
from bakehouse.dag_factory.schedules import nightly, start_date
from bakehouse.dag_factory.tasks import make_task
from bakehouse.runs.operators import add_result
from bakehouse.sla.operators import watch_slas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bakehouse.notify.models import Channel

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def housekeeping_dag(
    include: Path, schedule: str, timezone: str, owner: str, channels: Sequence[Channel] = ()
) -> DAG:
    """Return the DAG of a project; `channels` are notified of a run that is late or fails."""
    with DAG(
        dag_id="housekeeping",
        description="Sweeps what runs left behind, retires images, shows which fleets drift",
        schedule=nightly(schedule, timezone),
        start_date=start_date(BEGINNING),
        catchup=False,
        max_active_runs=1,
        tags=["bakehouse", "house"],
        default_args={"owner": owner},
        doc_md=DOC,
        is_paused_upon_creation=False,
    ) as dag:
        housekeeping_flow(include)
        add_result(dag)
        watch_slas(dag, "housekeeping", channels)
    dag.params.update(_form(include))  # last, and not assigned, as bakehouse.dag_factory.bake says
    return dag


def housekeeping_flow(include: Path) -> None:
    """The tasks and their order, inside the current DAG."""
    task = partial(make_task, Flow.HOUSEKEEPING, include=str(include))

    plan_sweep = task("plan_sweep")
    sweep = task("sweep")
    plan_retire = task("plan_retire")
    retire = task("retire")
    task("show_drift")
    find_missing_fixes = task("find_missing_fixes")
    ask_for_fixes = task("ask_for_fixes")
    task("compact_ledger")

    # beside each other: a failure of one stops none of the others
    chain(plan_sweep, sweep)
    chain(plan_retire, retire)
    chain(find_missing_fixes, ask_for_fixes)


def _form(include: Path) -> dict[str, Param]:
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Only report what would be done. Scheduled runs are never dry.",
        ),
        "recipe": Param(
            None,
            type=["null", "string"],
            title="Recipe",
            description="Only resources of this recipe; empty: all.",
            enum=[None, *_recipe_names(include)],
            values_display={"None": "all recipes"},
        ),
    }


def _recipe_names(include: Path) -> list[str]:
    """Return the recipes by file name: reading the files would double the parse time."""
    return sorted(file.stem for file in (include / "recipes").glob("*.yaml"))


DOC = """\
# Housekeeping

**Sweeps** VMs, disks and candidates whose run has ended or whose expiry has passed, **retires**
images by each recipe's `image.keep` (deprecated, then obsolete, then deleted), and **shows** which
members do not run the newest image. The logs hold every decision with its reason. It also
says which security updates members lack, and **compacts** the ledger.

Scheduled runs delete. A run from the form only reports, unless *Dry run* is switched off.

Guide: `docs/operating.md`, *Housekeeping*.
"""
