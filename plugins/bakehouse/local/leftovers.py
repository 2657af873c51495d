"""Deletes what builds have left that were killed, and local images and layers that have expired.

Only what carries the label of a local run of this computer is touched.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.images import labels
from bakehouse.images.links import labels_of, zone_of
from bakehouse.local.runs import ended, forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.images.links import Resource
    from bakehouse.local.places import Places
    from bakehouse.local.runs import LocalRun


def delete_leftovers(
    places: Places, connection: str, own: LocalRun, say: Callable[[str], None]
) -> None:
    """Delete them; deletions are requested, and not waited for."""
    compute, now = hook_of(connection), datetime.now(UTC)
    for run in ended(places):
        if run.label == own.label:
            continue
        mine = labels.run_filter(run.label)
        kept = False
        for instance in compute.instances_everywhere(mine):
            if _is_kept(instance, now):
                kept = True
                continue
            say(f"deleting {instance['name']}, which {run.run_id} has left")
            compute.delete_instance(zone_of(instance), str(instance["name"]), str(uuid.uuid4()))
        for disk in compute.disks_everywhere(mine):
            if not disk.get("users") and not kept:
                compute.delete_disk(zone_of(disk), str(disk["name"]), str(uuid.uuid4()))
        for image in compute.images(mine):
            if labels_of(image).get(labels.LOCAL) == labels.WORK_TREE and not _is_kept(image, now):
                say(f"deleting image {image['name']}, which {run.run_id} has left untested")
                compute.delete_image(str(image["name"]), str(uuid.uuid4()))
        if not kept:
            forget(places, run.label)
    for image in compute.images(f"labels.{labels.LOCAL}:*"):
        until = labels.expires(image)
        if until is not None and until < now:
            say(f"deleting image {image['name']}, which has expired")
            compute.delete_image(str(image["name"]), str(uuid.uuid4()))


def _is_kept(resource: Resource, now: datetime) -> bool:
    until = labels.expires(resource)
    return labels.KEPT in labels_of(resource) and (until is None or until > now)
