"""`revoke`: takes an image out of use, with all that is built on it."""

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
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from bakehouse.notify.models import Channel

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def revoke_dag(
    include: Path, owner: str, channels: Sequence[Channel] = (), images: Collection[str] = ()
) -> DAG:
    """Return the DAG, which is only triggered manually, with an image and a reason.

    `images` are those that the form offers to choose from; any other may be typed.

    `channels` are notified of a run that is late or fails. The revocation itself is reported to the
    channels of the recipes and fleets.
    """
    with DAG(
        dag_id="revoke",
        description="Takes an image and all images built on it out of use",
        schedule=None,
        start_date=BEGINNING,
        catchup=False,
        tags=["bakehouse", "house"],
        default_args={"owner": owner},
        doc_md=DOC,
        is_paused_upon_creation=False,
    ) as dag:
        revoke_flow(include)
        add_result(dag)
        watch_slas(dag, "revoke", channels)
    dag.params.update(_form(images))  # last, and not assigned, as bakehouse.dag_factory.bake says
    return dag


def revoke_flow(include: Path) -> None:
    """The tasks and their order, inside the current DAG."""
    task = partial(make_task, Flow.REVOKE, include=str(include))

    find_image = task("find_image")
    revoke_image = task("revoke_image")
    mark_descendants = task("mark_descendants")
    name_members = task("name_members")

    chain(find_image, revoke_image, mark_descendants, name_members)


def _form(images: Collection[str] = ()) -> dict[str, Param]:
    return {
        "image": Param(
            type="string",
            title="Image",
            description="Name or id of a promoted image, also an old one.",
            minLength=1,
            maxLength=63,
            pattern=form_patterns.IMAGE,
            **form_patterns.suggested(images),
        ),
        "why": Param(
            type="string",
            title="Why",
            description="For the ledger and the notifications; no secrets.",
            minLength=3,
            maxLength=500,
            pattern=form_patterns.LINE,
        ),
    }


DOC = """\
# Revoke an image

Makes the image OBSOLETE and labels it as revoked: no rollout moves a fleet onto it any more, no
disk is created from it, and the same content is baked again. Images that are built on
it are marked, deprecated and refused as well. The run names the members that run any of them;
**it does not change them**: roll them out onto another image.

Guide: `docs/operating.md`, *Revoke an image*.
"""
