"""The labels that stand in the insert body of everything Bakehouse makes. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.images.ownership import RUN as RUN

if TYPE_CHECKING:
    from bakehouse.bake.plan import BakePlan

RECIPE = "bakehouse-recipe"
STATE = "bakehouse-state"
ROLE = "bakehouse-role"
GIT_SHA = "git-sha"
GIT_REF = "git-ref"
CONTENT_KEY = "content-key"
BASE_IMAGE_ID = "base-image-id"
EXPIRES = "expires"
KEPT = "bakehouse-kept"  # stays until it expires, though its run has ended
PIN = "bakehouse-pin"  # a person's, with any value: the house leaves alone what carries it
REVOKED_BASE = "revoked-base"  # the id of the revoked image that this one is built upon

CANDIDATE, FAILED, PROMOTED, HISTORY = "candidate", "failed", "promoted", "history"
REVOKED = "revoked"
# a person's decision, or the test's: no later step of the bake takes it back
FINAL = frozenset({PROMOTED, HISTORY, REVOKED})
BUILDER, SMOKE, IMAGE = "builder", "smoke", "image"

CANDIDATE_LIVES = timedelta(days=14)
KEPT_BUILDER_LIVES = timedelta(hours=24)
AFTER_THE_LAST_MINUTE = timedelta(hours=1)  # the sweep leaves a run time to clean up by itself


def of(plan: BakePlan, role: str, state: str, expires: datetime) -> dict[str, str]:
    """All of them for a machine, disk or image of this run."""
    return {
        RECIPE: plan.recipe,
        RUN: plan.run,
        STATE: state,
        ROLE: role,
        GIT_SHA: plan.commit.sha,
        GIT_REF: value(plan.commit.ref),
        CONTENT_KEY: plan.content_key,
        BASE_IMAGE_ID: plan.base_image.id,
        EXPIRES: str(int(expires.timestamp())),
    }


def made_by(plan: BakePlan) -> str:
    """The description of what a run makes: its label is a hash, this says whose."""
    return f"{plan.recipe} at {plan.commit.sha}, made by {plan.dag_id} {plan.run_id}"


def is_runs_own(resource: Mapping[str, Any]) -> bool:
    """By its name a builder or smoke machine, or a disk of one.

    Labels alone do not tell: an instance that somebody makes of a machine image has the builder's.
    """
    recipe = (resource.get("labels") or {}).get(RECIPE, "")
    return str(resource["name"]).startswith((f"bake-{recipe}-", f"smoke-{recipe}-"))


def value(text: str) -> str:
    """Any text as the value of a label: lower case, at most 63 of a-z, 0-9, _ and -."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def nonce(plan: BakePlan, machine: str) -> str:
    """32 hex characters that only this machine of this run is told; the same in every try."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"bakehouse:{plan.dag_id}/{plan.run_id}/{machine}").hex
