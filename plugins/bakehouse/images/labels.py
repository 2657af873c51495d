"""The labels in the insert body of every resource that Bakehouse creates. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bakehouse.images.links import Resource, labels_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# names
RECIPE = "bakehouse-recipe"
RUN = "bakehouse-run"
STATE = "bakehouse-state"
ROLE = "bakehouse-role"
GIT_SHA = "git-sha"
GIT_REF = "git-ref"
CONTENT_KEY = "content-key"
LOCAL = "bakehouse-local"  # of a local build: never promoted, rolled out or built on by a DAG
LOCAL_LAYER = "bakehouse-layer"  # the id of the layer that a local image was made from
PART = "bakehouse-part"  # of a layer: how many parts of the install it has
DIRTY = "git-dirty"  # the work tree had uncommitted changes
BASE_IMAGE_ID = "base-image-id"
EXPIRES = "expires"
KEPT = "bakehouse-kept"  # kept until it expires, although its run has ended
HOLD = "bakehouse-hold"  # set by a person on an instance: no rollout changes it
PIN = "bakehouse-pin"  # set by a person, with any value: housekeeping ignores the resource
ROLLED_BACK = "bakehouse-rolled-back"  # the fleet whose rollout blamed the image; see `selection`
REVOKED_BASE = "revoked-base"  # the id of the revoked image that this one is built on
# names on the boot disks that rollouts make
FLEET = "bakehouse-fleet"
MEMBER = "bakehouse-member"
REPLACES = "bakehouse-replaces"  # a key of their description, no label
FIRST_TRY = "bakehouse-first-try"  # likewise, of the disk of a second try
DEVICE = "bakehouse-device"  # of a data disk: its device name in the member

# values of STATE
CANDIDATE, FAILED, PROMOTED, HISTORY = "candidate", "failed", "promoted", "history"
REVOKED = "revoked"
# a person's decision, or the test's: no later step of the bake takes it back
FINAL = frozenset({PROMOTED, HISTORY, REVOKED})

# values of ROLE
BUILDER, SMOKE, IMAGE = "builder", "smoke", "image"
LAYER = "layer"  # the disk of a local build after a part of its install
MEMBER_DISK = "member"
TEMPLATE = "template"  # an instance template; in its description, since it has no labels
DATA_DISK = "data"  # of a declared fleet; it outlives the instance
PREVIOUS_DISK = "previous"  # taken out by a rollout: the way back until that has ended well

# values of LOCAL: in the making; an image that only `bakehouse run` has booted; one that has passed
WORK_TREE, UNTESTED, TESTED = "work-tree", "untested", "tested"  # its smoke test

CANDIDATE_LIVES = timedelta(days=14)
LOCAL_LIVES = timedelta(days=7)
LAYER_LIVES = timedelta(days=3)
KEPT_BUILDER_LIVES = timedelta(hours=24)
AFTER_THE_LAST_MINUTE = timedelta(hours=1)  # the sweep leaves a run time to clean up by itself

OURS = f"labels.{RECIPE}:*"
"""The filter of everything that Bakehouse made, for any list call."""

_FAILED_IN = "bakehouse-failed-in-"
_OWN_PREFIX = "bakehouse-"
_OWN = frozenset({EXPIRES, GIT_SHA, BASE_IMAGE_ID, CONTENT_KEY, DIRTY})


def failed_in(fleet: str) -> str:
    """The label of an image that has failed in a fleet; its value is the run.

    One for each fleet: what fails in one may be good for another.
    """
    return f"{_FAILED_IN}{fleet}"


def label_value(text: str) -> str:
    """Any text as the value of a label: lower case, at most 63 of a-z, 0-9, _ and -.

    Source: Compute Engine, "Requirements for labels", without its international characters.
    """
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def expiry(moment: datetime) -> str:
    """Return the value of the label `expires`: seconds since 1970."""
    return str(int(moment.timestamp()))


def expires(resource: Resource) -> datetime | None:
    """Return the time in the label `expires`, after which the sweep may take the resource.

    None without the label, and for an invalid value.
    """
    return moment_of(labels_of(resource).get(EXPIRES, ""))


def moment_of(told: str) -> datetime | None:
    """Return the time that a value of `expires` says; None for an invalid value."""
    if not (told.isascii() and told.isdigit() and len(told) <= 11):
        return None
    return datetime.fromtimestamp(int(told), UTC)


def users_own(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not of Bakehouse: a member's next boot disk gets them too."""
    return {k: v for k, v in labels.items() if not k.startswith(_OWN_PREFIX) and k not in _OWN}


def run_filter(run: str) -> str:
    """The filter of everything that a run made, for any list call; `run` is the label's value."""
    return f"labels.{RUN}={run}"


def is_of_run(resource: Resource, labels: Mapping[str, str]) -> bool:
    """Whether the resource carries the run label of `labels`, those of an insert body.

    False when `labels` holds none: what belongs to no run is not taken for one's own.
    """
    own = labels.get(RUN)
    return own is not None and labels_of(resource).get(RUN) == own


def is_runs_own(resource: Resource) -> bool:
    """By its name a builder or smoke machine, or a disk of one.

    Labels alone do not tell: an instance that somebody makes of a machine image has the builder's.
    """
    recipe = labels_of(resource).get(RECIPE, "")
    return str(resource["name"]).startswith((f"bake-{recipe}-", f"smoke-{recipe}-"))
