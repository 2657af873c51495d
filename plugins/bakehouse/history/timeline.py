"""Where the time of a builder went: the moments of its bake, from power on to power off. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.history.manifest import Manifest


class TimelineStep(Frozen):
    """What began, in seconds after power on."""

    name: str
    at: float


def timeline(
    manifest: Manifest, power_on: datetime | None, off: datetime | None
) -> tuple[TimelineStep, ...]:
    """Return what began when on the builder, in order; empty if its manifest has no steps.

    Args:
        manifest: What the builder has reported.
        power_on: When Compute Engine started the VM. None: moments count from the kernel's start.
        off: When it had stopped.
    """
    if not manifest.steps:
        return ()
    boot = manifest.booted - power_on.timestamp() if manifest.booted and power_on else None
    if boot is None or boot < 0:  # the guest's clock was wrong
        boot, power_on = 0.0, None
    moments = [("kernel", boot), *((name, boot + at) for name, at in manifest.steps)]
    if power_on is not None:
        moments.insert(0, ("power on", 0.0))
        if off is not None:
            moments.append(("off", (off - power_on).total_seconds()))
    moments.sort(key=lambda moment: moment[1])
    return tuple(TimelineStep(name=name, at=round(at, 1)) for name, at in moments)


def in_words(steps: tuple[TimelineStep, ...]) -> str:
    """Return `power on 4.1 s, kernel 9.8 s, …, off`: each step with the time until the next."""
    parts = [f"{step.name} {after.at - step.at:.1f} s" for step, after in pairwise(steps)]
    return ", ".join([*parts, *(step.name for step in steps[-1:])])
