"""From a stopped disk to a candidate image: what to do with what is there already. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from bakehouse.bake import labels
from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.plan import BakePlan, Frozen
from bakehouse.cloud.owner import is_owned
from bakehouse.recipe.model import Recipe

Resource = Mapping[str, Any]


class Built(Frozen):
    """A builder that has finished: its disk may become an image."""

    builder: BuilderVm
    seconds: int  # from the machine's creation until it had powered off
    packages: int | None = None  # None when the guest's manifest could not be read
    manifest_digest: str | None = None
    kernel: str | None = None


class Candidate(Frozen):
    """An image made by this run."""

    name: str
    id: str
    self_link: str
    size_gb: int
    git_sha: str


class Do(StrEnum):
    """The next thing that create_image does."""

    CREATE = "create"
    ADOPT = "adopt"
    REPLACE = "replace"  # delete it, it is from another disk or broken
    WAIT = "wait"
    GIVE_UP = "give_up"
    NOT_OURS = "not_ours"


def next_step(plan: BakePlan, image: Resource | None, disk: Resource | None) -> Do:
    """From the image of the plan's name and the builder's disk, either of which may be missing."""
    if image is None:
        return Do.CREATE if disk is not None else Do.GIVE_UP
    if not is_owned(image, {labels.RUN: plan.run}):
        return Do.NOT_OURS
    if image.get("status") in {"PENDING", "DELETING"}:
        return Do.WAIT
    if disk is None:
        return Do.ADOPT if image.get("status") == "READY" else Do.GIVE_UP
    return Do.REPLACE if _outdated(image, disk) else Do.ADOPT


def _outdated(image: Resource, disk: Resource) -> bool:
    """Broken, failed in its smoke test, or made of another disk; never one whose state is final."""
    state = (image.get("labels") or {}).get(labels.STATE)
    if image.get("status") != "READY":
        return True
    if state in labels.FINAL:
        return False
    return state == labels.FAILED or str(image.get("sourceDiskId")) != str(disk.get("id"))


def insert_body(plan: BakePlan, recipe: Recipe, disk: Resource, now: datetime) -> dict[str, Any]:
    """The body of images.insert: no family, so it is newest of nothing until it is promoted."""
    owned = labels.of(plan, labels.IMAGE, labels.CANDIDATE, expires=now + labels.CANDIDATE_LIVES)
    body: dict[str, Any] = {
        "name": plan.image_name,
        "description": labels.made_by(plan),
        "sourceDisk": disk["selfLink"],
        "labels": owned,
    }
    if recipe.image.storage_location:
        body["storageLocations"] = [recipe.image.storage_location]
    if recipe.image.shielded:
        body["guestOsFeatures"] = [{"type": "UEFI_COMPATIBLE"}]
    if recipe.image.kms_key:
        body["imageEncryptionKey"] = {"kmsKeyName": recipe.image.kms_key}
    return body


def candidate(image: Resource) -> Candidate:
    """The image as tasks hand it on."""
    return Candidate(
        name=str(image["name"]),
        id=str(image["id"]),
        self_link=str(image["selfLink"]),
        size_gb=int(image.get("diskSizeGb") or 0),
        git_sha=str((image.get("labels") or {}).get(labels.GIT_SHA, "")),
    )


def facts_labels(built: Built) -> dict[str, str]:
    """What is known only after the bake, as labels."""
    known = {
        "manifest-digest": built.manifest_digest,
        "packages": None if built.packages is None else str(built.packages),
        "kernel": built.kernel,
    }
    return {key: labels.value(text) for key, text in known.items() if text}
