"""Decide how create_image goes from a stopped disk to a candidate image. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bakehouse.bake.builder import BuilderVm
from bakehouse.core.models import Frozen
from bakehouse.history.timeline import TimelineStep
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import labels_of, resource_name
from bakehouse.images.selection import is_in_transition, is_ready

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.bake.plan import BakePlan

Resource = Mapping[str, Any]


# What a machine image must not have of the builder: see image_operators.
BARE_METADATA: Resource = {"items": []}
LASTING: Resource = {
    "automaticRestart": True,
    "onHostMaintenance": "MIGRATE",
    "maxRunDuration": None,
    "instanceTerminationAction": None,
}


class Built(Frozen):
    """A builder that has finished, and whose disk may become an image."""

    builder: BuilderVm
    seconds: int  # from the machine's creation until it had powered off
    packages: int | None = None  # None when the guest's manifest could not be read
    manifest_digest: str | None = None
    kernel: str | None = None
    timeline: tuple[TimelineStep, ...] = ()


class Candidate(Frozen):
    """An image made by this run."""

    name: str
    id: str
    self_link: str
    size_gb: int
    git_sha: str
    stored_bytes: int | None = None  # None: Compute Engine has not said it


class Do(StrEnum):
    """The next action of create_image."""

    CREATE = "create"
    ADOPT = "adopt"
    REPLACE = "replace"  # delete it, it is from another disk or broken
    WAIT = "wait"
    GIVE_UP = "give_up"
    NOT_OURS = "not_ours"


def next_step(plan: BakePlan, image: Resource | None, source: Resource | None) -> Do:
    """Decide from the image of the plan's name and the builder's disk, which may both be missing.

    The source of a machine image is the builder itself.
    """
    if image is None:
        return Do.CREATE if source is not None else Do.GIVE_UP
    if not labels.is_of_run(image, {labels.RUN: plan.run}):
        return Do.NOT_OURS
    if is_in_transition(image):
        return Do.WAIT
    if source is None:
        return Do.ADOPT if is_ready(image) else Do.GIVE_UP
    return Do.REPLACE if _outdated(image, source) else Do.ADOPT


def _outdated(image: Resource, source: Resource) -> bool:
    """Whether the image is broken, failed its smoke test, or was created from another disk."""
    state = labels_of(image).get(labels.STATE)
    if not is_ready(image):
        return True
    if state in labels.FINAL:
        return False
    return state == labels.FAILED or not _is_made_of(image, source)


def _is_made_of(image: Resource, source: Resource) -> bool:
    """Compare the disk's id; of a machine image the link, since no two tries share a name."""
    if "sourceInstance" in image:
        return resource_name(image["sourceInstance"]) == str(source["name"])
    return str(image.get("sourceDiskId")) == str(source.get("id"))


def insert_body(plan: BakePlan, source: Resource, now: datetime) -> dict[str, Any]:
    """Return the body of images.insert, without a family.

    For a machine image it is the body of machineImages.insert, with the builder as the source.
    """
    machine = plan.kind == MACHINE_IMAGE
    expires = now + labels.CANDIDATE_LIVES
    owned = plan.provenance.labels(labels.IMAGE, labels.CANDIDATE, expires)
    body: dict[str, Any] = {
        "name": plan.image_name,
        "description": plan.provenance.made_by,
        "sourceInstance" if machine else "sourceDisk": source["selfLink"],
        "labels": owned,
    }
    if plan.image.storage_location:
        body["storageLocations"] = [plan.image.storage_location]
    if plan.image.shielded and not machine:
        body["guestOsFeatures"] = [{"type": "UEFI_COMPATIBLE"}]
    if plan.image.kms_key:
        key = "machineImageEncryptionKey" if machine else "imageEncryptionKey"
        body[key] = {"kmsKeyName": plan.image.kms_key}
    return body


def candidate(image: Resource) -> Candidate:
    """Return the image as an XCom."""
    stored = image.get("archiveSizeBytes") or image.get("totalStorageBytes")
    return Candidate(
        name=str(image["name"]),
        id=str(image["id"]),
        self_link=str(image["selfLink"]),
        size_gb=int(image.get("diskSizeGb") or _boot_disk_gb(image)),
        git_sha=str(labels_of(image).get(labels.GIT_SHA, "")),
        stored_bytes=int(stored) if stored else None,
    )


def _boot_disk_gb(machine_image: Resource) -> int:
    disks = (machine_image.get("instanceProperties") or {}).get("disks") or [{}]
    return int(disks[0].get("diskSizeGb") or 0)


def facts_labels(built: Built) -> dict[str, str]:
    """Return the labels that are known only after the bake."""
    known = {
        "manifest-digest": built.manifest_digest,
        "packages": None if built.packages is None else str(built.packages),
        "kernel": built.kernel,
    }
    return {key: labels.label_value(text) for key, text in known.items() if text}
