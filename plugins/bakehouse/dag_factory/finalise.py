"""`finalise__<fleet>`: gives a fleet's data their newest formats, once a person has approved it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param, chain

from bakehouse.core.tasks import Flow
from bakehouse.dag_factory import form_patterns
from bakehouse.dag_factory.tasks import make_task
from bakehouse.runs.operators import add_result
from bakehouse.sla.operators import watch_slas

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bakehouse.fleet.model import Fleet
    from bakehouse.recipe.model import Recipe

SCRIPT = "finalise"


def finalises(include: Path, recipe: Recipe, below: Iterable[Recipe]) -> bool:
    """Whether the images of a recipe can be told to finalise, by its own script or one below it."""
    folders = (include / "startup_scripts" / one.scripts for one in (recipe, *below))
    return any((folder / SCRIPT).is_file() for folder in folders)


def finalise_dag(fleet: Fleet) -> DAG:
    """Return `finalise__<fleet>`, which is only triggered by hand and is never part of a rollout.

    It waits for the approval without the fleet's lease, so that rollouts go on meanwhile.
    """
    with DAG(
        dag_id=f"finalise__{fleet.name}",
        description=f"Gives the data of {fleet.name} their newest formats: closes the way back",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["bakehouse", "finalise", f"fleet:{fleet.name}", f"recipe:{fleet.recipe}"],
        default_args={"owner": fleet.owner},
        doc_md=DOC,
        is_paused_upon_creation=False,
    ) as dag:
        task = partial(make_task, Flow.FINALISE, fleet=fleet)
        check_fleet = task("check_fleet")
        approve_finalise = task("approve_finalise")
        acquire_lease = task("acquire_lease")
        finalise_data = task("finalise_data")
        release_lease = task("release_lease")
        chain(check_fleet, approve_finalise, acquire_lease, finalise_data)
        # of both, since a setup that raises after its effect would skip its teardown
        setups = [check_fleet, acquire_lease]
        finalise_data >> release_lease.as_teardown(setups=setups, on_failure_fail_dagrun=True)
        add_result(dag)
        watch_slas(dag, fleet.name, fleet.notify)
    dag.params.update(_form())  # last, and not assigned, as bakehouse.dag_factory.bake says
    return dag


def _form() -> dict[str, Param]:
    return {
        "why": Param(
            "",
            type="string",
            title="Why",
            description="For the ledger; no secrets.",
            maxLength=500,
            pattern=form_patterns.LINE_OR_NONE,
        )
    }


DOC = """\
# Finalise the formats of a fleet's data

Gives the data the newest formats that the fleet's image can read and write. **There is no way
back from that**: images that cannot read them cannot be rolled out any more. It begins only if
the whole fleet has soaked on one image, and asks a person before anything changes.

Guide: `docs/rollouts.md`, *The way back, and formats of data*.
"""
