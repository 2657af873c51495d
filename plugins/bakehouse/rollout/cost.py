"""What a rollout costs, by the prices of the project. Pure.

A swap leaves the fleet as large as it was: what it costs are the second boot disks, from each
member's turn on until the rollout has ended. A member that is created costs from then on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from bakehouse.core.time import in_short
from bakehouse.history.prices import HOURS_A_MONTH, Priced
from bakehouse.images.links import resource_name
from bakehouse.rollout.states import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.fleet.template import Template
    from bakehouse.history.prices import Prices
    from bakehouse.rollout.plan import RolloutPlan


def cost_lines(plan: RolloutPlan, template: Template | None, prices: Prices) -> Iterator[str]:
    """Yield what a rollout will cost, for people; nothing if it changes no disk."""
    priced = Priced()
    disks = [
        change
        for change in plan.changes
        if change.metadata is None and change.strategy is not Strategy.CREATE
    ]
    made = sum(change.strategy is Strategy.CREATE for change in plan.changes)
    seconds = plan.forecast.seconds if plan.forecast is not None else None
    if disks:
        takes = seconds if seconds is not None else plan.forecast.at_most if plan.forecast else 0.0
        known = in_short(takes) if seconds is not None else f"at most {in_short(takes)}"
        amount = sum(
            (
                priced(
                    prices.disk_for,
                    resource_name(change.old.type),
                    max(change.old.size_gb, plan.image.disk_gb),
                    takes,
                )
                for change in disks
            ),
            Decimal(0),
        )
        count = "1 second boot disk" if len(disks) == 1 else f"{len(disks)} second boot disks"
        yield f"cost: at most {prices.money(amount)} for the rollout: {count} for {known}"
    if made and template is not None:
        one = priced(prices.machine, template.machine_type) * HOURS_A_MONTH
        boot = max(template.boot_disk.size_gb, plan.image.disk_gb)
        one += priced(prices.disk, template.boot_disk.type, boot)
        for disk in template.disks:
            one += priced(prices.disk, disk.type, disk.size_gb)
        who = "1 member" if made == 1 else f"{made} members"
        yield f"cost: {prices.money(one * made)} a month for {who} that will be created"
    if priced.remedy:
        yield f"  {priced.remedy}"
