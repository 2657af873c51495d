"""What bakes and images have cost, by recipe and month, at the list prices of now. Pure.

A builder and its disk count from creation to power-off; an image from its creation until its
deletion, or until now. What the ledger does not record is not counted: smoke tests, builders that
failed, and bakes of before the ledger had their machine type, whose number is told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.history.bake_events import BakeEvent
from bakehouse.history.housekeeping_events import ImageDeletedEvent
from bakehouse.history.prices import GB, Priced, months

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bakehouse.history.event import Event
    from bakehouse.history.prices import Prices

_ZERO = Decimal(0)


class MonthlyCost(Frozen):
    """What a recipe has cost in a calendar month, in UTC."""

    month: str = Field(description="such as 2026-11")
    recipe: str
    bakes: int
    uncounted: int = Field(description="bakes whose machine type the ledger does not know")
    builder_minutes: Decimal
    builders: Decimal = Field(description="the cost of the machines")
    disks: Decimal = Field(description="the cost of the builders' disks")
    image_gb_months: Decimal
    images: Decimal = Field(description="the cost of the storage of images")
    total: Decimal


class Costs(Frozen):
    """The months, the newest first, and the prices that were missing: their parts are zero."""

    currency: str
    months: tuple[MonthlyCost, ...]
    unpriced: tuple[str, ...] = ()


class _Sum:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.amounts: defaultdict[str, Decimal] = defaultdict(lambda: _ZERO)


def monthly_costs(
    events: Iterable[Event], prices: Prices, now: datetime, recipe: str | None = None
) -> Costs:
    """Sum what is known, of one recipe or of all.

    Args:
        events: of the ledger.
        prices: of the project.
        now: until when images that exist are counted.
        recipe: the one to sum; None: all.
    """
    bakes, deleted = dict[str, BakeEvent](), dict[str, datetime]()
    for event in events:
        if isinstance(event, BakeEvent) and recipe in {None, event.recipe}:
            bakes[event.detail.image_id or event.image] = event
        elif isinstance(event, ImageDeletedEvent):
            deleted[event.detail.id] = event.happened
    sums: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
    priced = Priced()
    for key, bake in bakes.items():
        _add_builder(sums[_month(bake.happened), bake.recipe], bake, prices, priced)
        size = bake.detail.image_bytes
        if size is None:
            continue
        for month, share in _by_month(bake.happened, deleted.get(key, now)):
            found = sums[month, bake.recipe].amounts
            found["image_gb_months"] += share * size / GB
            found["images"] += share * priced(prices.image, size)
    rows = [_row(month, name, one) for (month, name), one in sums.items()]
    return Costs(
        currency=prices.currency,
        months=tuple(sorted(rows, key=lambda row: (row.month, row.recipe), reverse=True)),
        unpriced=priced.lacking,
    )


def _add_builder(found: _Sum, bake: BakeEvent, prices: Prices, priced: Priced) -> None:
    detail = bake.detail
    found.counts["bakes"] += 1
    if not detail.machine_type or detail.disk_gb is None:
        found.counts["uncounted"] += 1
        return
    seconds, disk_gb = detail.seconds, detail.disk_gb
    found.amounts["builder_minutes"] += Decimal(seconds) / 60
    found.amounts["builders"] += priced(
        prices.machine_for, detail.machine_type, seconds, spot=detail.spot
    )
    found.amounts["disks"] += priced(prices.disk_for, detail.disk_type, disk_gb, seconds)


def _row(month: str, recipe: str, found: _Sum) -> MonthlyCost:
    parts = found.amounts
    return MonthlyCost(
        month=month,
        recipe=recipe,
        bakes=found.counts["bakes"],
        uncounted=found.counts["uncounted"],
        builder_minutes=parts["builder_minutes"],
        builders=parts["builders"],
        disks=parts["disks"],
        image_gb_months=parts["image_gb_months"],
        images=parts["images"],
        total=parts["builders"] + parts["disks"] + parts["images"],
    )


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def _by_month(since: datetime, until: datetime) -> Iterator[tuple[str, Decimal]]:
    """Yield each calendar month of a time, and how many months of 730 hours of it are in it."""
    begin = since.astimezone(UTC)
    while begin < until:
        year, month = (begin.year + begin.month // 12, begin.month % 12 + 1)
        end = min(datetime(year, month, 1, tzinfo=UTC), until)
        yield _month(begin), months((end - begin).total_seconds())
        begin = end
