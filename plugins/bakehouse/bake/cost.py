"""Predict what a bake costs, by the prices of the project and the bakes of the past. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from bakehouse.core.time import in_short
from bakehouse.history.prices import GB, Priced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bakehouse.bake.plan import BakePlan
    from bakehouse.history.bake_events import BakeEvent
    from bakehouse.history.prices import Prices

LAST = 10  # bakes of the recipe; those of long ago say little


def cost_lines(plan: BakePlan, past: Iterable[BakeEvent], prices: Prices) -> Iterator[str]:
    """Yield what a bake will cost, for people.

    Args:
        plan: of a bake.
        past: bakes of any recipe, in the order of time.
        prices: of the project.
    """
    own = [event.detail for event in past if event.recipe == plan.recipe][-LAST:]
    builder, priced = plan.builder, Priced()
    if own:
        seconds = median(detail.seconds for detail in own)
        known = f"the median of {len(own)} bake{'s' if len(own) > 1 else ''}"
    else:
        seconds = builder.install_deadline_minutes * 60
        known = "at most, by builder.install_deadline_minutes: it was never baked"
    machine = priced(prices.machine_for, builder.machine_type, seconds, spot=builder.spot)
    disk = priced(prices.disk_for, builder.disk_type, builder.disk_gb, seconds)
    kind = f"{builder.machine_type}{' (spot)' if builder.spot else ''}"
    yield (
        f"cost: about {prices.money(machine + disk)} for the builder: {kind} and"
        f" {builder.disk_gb} GB {builder.disk_type} for {in_short(seconds)} ({known})"
    )
    sizes = [detail.image_bytes for detail in own if detail.image_bytes is not None]
    if sizes:
        size = int(median(sizes))
        stored = priced(prices.image, size)
        yield f"  and {prices.money(stored)} a month for the image, of about {size / GB:.1f} GB"
    if priced.remedy:
        yield f"  {priced.remedy}"
