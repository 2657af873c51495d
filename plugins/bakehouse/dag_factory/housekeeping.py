"""The DAGs `housekeeping` and `revoke`: settings, forms, documentation; `dags/` names the steps."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import ParamsDict

from bakehouse.schedule.timetable import Nightly

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def housekeeping_dag(include: Path, schedule: str, timezone: str, owner: str) -> Generator[DAG]:
    """Every day; its steps are named inside."""
    with DAG(
        dag_id="housekeeping",
        description="Sweeps what runs left behind, retires images, shows which fleets drift",
        schedule=Nightly(schedule, timezone=timezone),
        start_date=BEGINNING,
        catchup=False,
        max_active_runs=1,
        tags=["bakehouse", "house"],
        default_args={"owner": owner},
        doc_md=KEEP_HOUSE,
        is_paused_upon_creation=False,
    ) as dag:
        yield dag
    dag.params = ParamsDict(
        {
            "dry_run": Param(
                True,
                type="boolean",
                title="Dry run",
                description="Say what would be done, and touch nothing. Scheduled runs act.",
            ),
            "recipe": Param(
                "",
                type="string",
                title="Recipe",
                description="Only what belongs to this recipe; empty for all.",
                enum=["", *names(include)],
            ),
        }
    )


@contextmanager
def revoke_dag(owner: str) -> Generator[DAG]:
    """By hand only, and not without an image and a reason."""
    with DAG(
        dag_id="revoke",
        description="Takes an image, and what is built upon it, out of use",
        schedule=None,
        start_date=BEGINNING,
        catchup=False,
        tags=["bakehouse", "house"],
        default_args={"owner": owner},
        doc_md=REVOKE,
        is_paused_upon_creation=False,
    ) as dag:
        yield dag
    dag.params = ParamsDict(
        {
            "image": Param(
                type="string",
                title="Image",
                description="Name or id of a promoted image, also an old one.",
                minLength=1,
                maxLength=63,
                pattern=r"^([a-z]([-a-z0-9]{0,61}[a-z0-9])?|[0-9]{1,20})$",
            ),
            "why": Param(
                type="string",
                title="Why",
                description="For the ledger, and for whoever is told; no secrets.",
                minLength=3,
                maxLength=500,
            ),
        }
    )


def names(include: Path) -> list[str]:
    """The recipes, by their files' names: reading them all would double what parsing costs."""
    return sorted(file.stem for file in (include / "recipes").glob("*.yaml"))


KEEP_HOUSE = """\
# Keep house

**Sweeps** machines, disks and candidates whose run has ended or whose time is over, **retires**
images by each recipe's `image.keep` (deprecated, then obsolete, then deleted), and **shows** which
members do not run the newest image. Every decision stands in the logs with its reason.

The schedule acts. The form says what would be done, unless its *Dry run* is switched off.

Guide: `docs/operating.md`, *Keep house*.
"""

REVOKE = """\
# Revoke an image

Makes it OBSOLETE and labels it as revoked: no rollout goes to it any more, no disk is made of it,
and the next bake of the same content bakes anew. Images built upon it are marked, deprecated and
refused as well. The members that run any of them are named; **they are not touched**: roll them out
onto another image.

Guide: `docs/operating.md`, *Revoke an image*.
"""
