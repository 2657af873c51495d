"""Read a member's health report, the guest attribute `bakehouse/health`, and assess it.

A report counts only if it is of the current boot: the attribute outlives a stop, so that the last
report of the old image would otherwise be taken for one of the new image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, timedelta

HEALTHY = "healthy"


@dataclass(frozen=True)
class Health:
    """One report of a guest (CONTRACT: written at every boot, fresh by `boot_id`)."""

    state: str  # healthy | unhealthy
    image: str
    boot_id: str
    detail: str = ""


class HealthAssessment(StrEnum):
    """The assessment of a report, for a member that must run `image`."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    SILENT = "silent"  # nothing fresh said yet


def parse(text: str | None) -> Health | None:
    """Parse the report; None if there is none or it is invalid."""
    if not text:
        return None
    try:
        said: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not {"state", "image", "boot_id"} <= said.keys():
        return None
    return Health(
        state=str(said["state"]),
        image=str(said["image"]),
        boot_id=str(said["boot_id"]),
        detail=_short(said.get("detail", "")),
    )


def assess_health(health: Health | None, image: str, before: str | None) -> HealthAssessment:
    """Assess a report of `image` from another boot than `before` (None: any boot)."""
    if health is None or health.image != image or health.boot_id == before:
        return HealthAssessment.SILENT
    return HealthAssessment.HEALTHY if health.state == HEALTHY else HealthAssessment.UNHEALTHY


def late(started: datetime | None, deadline: timedelta, now: datetime) -> bool:
    """Whether the time of a member that started at `started` is over."""
    return started is not None and now - started > deadline


def explain(health: Health | None, image: str, before: str | None) -> str:
    """Return one line for the log and the run's reason."""
    if health is None:
        return "no health report"
    if health.boot_id == before:
        return f"no report since the restart; the last one is of {health.image}"
    if health.image != image:
        return f"reports the image {health.image!r} instead of {image!r}"
    return f"{health.state}: {health.detail}" if health.detail else health.state


def _short(detail: object, limit: int = 500) -> str:
    text = detail if isinstance(detail, str) else json.dumps(detail, sort_keys=True)
    return text if len(text) <= limit else text[: limit - 1] + "…"
