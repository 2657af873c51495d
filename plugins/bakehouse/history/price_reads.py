"""Read what a plan says its cost by. A plan never fails because of it: it says no cost then."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bakehouse.history.bake_events import BakeEvent
from bakehouse.history.prices import load_prices
from bakehouse.recipe.mistakes import Mistakes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bakehouse.history.prices import Prices

PAST = timedelta(days=90)


def read_prices(include: str | None, warn: Callable[[str, object], None]) -> Prices | None:
    """Return the prices of a project; None if it has none, or wrong ones, which are warned of."""
    if include is None:
        return None
    try:
        return load_prices(Path(include))
    except (Mistakes, OSError) as wrong:
        warn("the cost is unknown: %s", wrong)
        return None


def recent_bakes(
    ledger: str, now: datetime, warn: Callable[[str, object], None]
) -> list[BakeEvent]:
    """Return the bakes of the last time, in the order of time; none if the ledger is not read."""
    from bakehouse.history.ledger import Ledger

    try:
        return Ledger(ledger).recent(BakeEvent, now - PAST, now)
    except Exception as unread:  # of whatever store the ledger is in
        warn("the bakes of the past are unknown: %s", unread)
        return []
