"""`check_setup`: what a bake would stumble over, before a machine is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param

from bakehouse.core.tasks import Flow
from bakehouse.dag_factory import form_patterns
from bakehouse.dag_factory.tasks import make_task
from bakehouse.preflight.params import CheckSetupParams
from bakehouse.runs.operators import add_result
from bakehouse.sla.operators import watch_slas

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def check_setup_dag(include: Path, owner: str) -> DAG:
    """Return the DAG, which is only triggered manually."""
    with DAG(
        dag_id="check_setup",
        description="Says what a bake or a rollout would stumble over, and what mends it",
        schedule=None,
        start_date=BEGINNING,
        catchup=False,
        tags=["bakehouse", "house"],
        default_args={"owner": owner},
        doc_md=DOC,
        is_paused_upon_creation=False,
    ) as dag:
        make_task(Flow.CHECK_SETUP, "check_setup", include=str(include))
        add_result(dag)
        watch_slas(dag, "check_setup", ())
    dag.params.update(_form())  # last, and not assigned, as bakehouse.dag_factory.bake says
    return dag


def _form() -> dict[str, Param]:
    given = CheckSetupParams()
    return {
        "connection": Param(
            given.connection,
            type="string",
            title="Connection",
            description="The connection of Google Cloud.",
            pattern=form_patterns.CONNECTION,
        ),
        "repository": Param(
            given.repository,
            type="string",
            title="Repository",
            description="The connection of git.",
            pattern=form_patterns.CONNECTION,
        ),
    }


DOC = """\
# Check the set-up

Looks at credentials, APIs, permissions, quotas, networks, base images, the ledger, git and the
settings of Airflow with the rights of a bake, and asks the triggerer whether it has our triggers.
The log of `check_setup` has a line for each, and below each that is wrong **the command that mends
it**. No machine is made.

The same from a shell: `bakehouse doctor --conn google_cloud_default`. Guide: `docs/check-setup.md`.
"""
