"""The boot disks that a rollout makes: their names, and what their descriptions remember. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from bakehouse.images.labels import (
    FIRST_TRY,
    REPLACES,
    users_own,
)
from bakehouse.images.links import Resource, labels_of
from bakehouse.rollout.plan import BootDisk

SHORT = 300  # characters of a description, which may have 2,048


def disk_name(member: str, run: str, image_id: str) -> str:
    """The boot disk that `run` makes for `member`, at most 63 characters.

    The same for every try, another for another image.
    """
    mark = sha256(f"{run}\n{member}\n{image_id}".encode()).hexdigest()[:8]
    return f"{member[:54].rstrip('-')}-{mark}"


def second_disk_name(member: str, run: str, image_id: str) -> str:
    """The fresh disk on which `run` tries `member` once more; the same for every try."""
    return disk_name(member, run, f"{image_id}\nsecond")


def remember(old: BootDisk, first_try: str = "", before: str | None = None) -> str:
    """Return a new boot disk's description, which names the previous one; see `recall`.

    That of a second try also says how the first one ended, and which boot's report is of it; see
    `first_try_of`.
    """
    told: dict[str, Any] = {REPLACES: old.model_dump(mode="json", exclude={"labels"})}
    if first_try:
        told[FIRST_TRY] = {"why": first_try[:SHORT], "before": before}
    return json.dumps(told)


def first_try_of(disk: Resource) -> tuple[str, str | None]:
    """Return what the disk of a second try says of the first: how it ended, and its boot id."""
    try:
        told = json.loads(str(disk.get("description", "")))[FIRST_TRY]
        return str(told["why"]), told["before"]
    except (ValueError, KeyError, TypeError):
        return "it is not known how the first try ended", None


def recall(disk: Resource) -> BootDisk | None:
    """Return the disk that `disk` has replaced; None if it does not name one."""
    try:
        old = json.loads(str(disk.get("description", "")))[REPLACES]
        return BootDisk.model_validate(old | {"labels": users_own(labels_of(disk))})
    except (ValueError, KeyError, TypeError):
        return None
