"""The VM that boots a candidate: its name and the body of its insert. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.bake.builder import BuilderVm, machine_body, metadata_items, owned_labels
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.names import smoke_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.bake.candidate import Candidate
    from bakehouse.bake.plan import BakePlan

AFTER_THE_DEADLINE = timedelta(minutes=10)


def smoke_vm(plan: BakePlan, attempt: int, zones_tried: int) -> BuilderVm:
    """Return the smoke VM of a try, in the next zone that has not failed."""
    zone = plan.zones[(attempt - 1 + zones_tried) % len(plan.zones)]
    return BuilderVm(name=smoke_name(plan.recipe, plan.run, attempt), zone=zone)


def insert_body(
    plan: BakePlan,
    candidate: Candidate,
    vm: BuilderVm,
    metadata: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """The body of instances.insert; `metadata` as render.smoke_metadata gives it."""
    lives = plan.smoke.deadline + AFTER_THE_DEADLINE
    owned = owned_labels(plan, labels.SMOKE, now, lives)
    body = machine_body(plan, vm, candidate.self_link, owned, plan.provenance.made_by)
    if plan.kind == MACHINE_IMAGE:
        del body["disks"]  # they are the image's own
        body["sourceMachineImage"] = candidate.self_link
    kept = {"bakehouse-on-failure": "power-off-once"} if plan.keep_builder else {}
    body["metadata"] = metadata_items({**metadata, **kept})
    body["scheduling"] = {
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "provisioningModel": "STANDARD",
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": str(int(lives.total_seconds()))},
    }
    return body
