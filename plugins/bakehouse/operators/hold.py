"""Whether a rollout, or a promotion, must wait: a freeze, or no open window. Pure.

It holds for every cause. A member that is on its way already, and the way back, are never held: the
one is down, and the other mends what a rollout has broken
(docs/decisions/0089-what-holds-a-rollout.md).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.schedule.window import opening

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bakehouse.core.freeze import Freeze
    from bakehouse.schedule.window import Window

HELD_AT_MOST = timedelta(days=8)  # a window that opens once a week opens within it


class Hold(Frozen):
    """Why nothing further may be touched now."""

    reason: Reason
    why: str
    until: AwareDatetime | None = None  # when it ends by itself; None: when a person ends it

    def __str__(self) -> str:
        """Return the sentence that log, ledger and note show."""
        return f"{self.reason.text} ({self.why})"


class HoldEnded(Frozen):
    """A wait has ended: nothing holds any more, something else does, or it took too long."""

    held: Hold | None = None
    late: bool = False


def hold(freeze: Freeze | None, windows: Sequence[Window], now: datetime) -> Hold | None:
    """Return what holds now; None if nothing does. A freeze comes before a window."""
    if freeze is not None:
        return Hold(reason=Reason.FROZEN, why=str(freeze))
    opens = opening(windows, now)
    if opens <= now:
        return None
    listed = "; ".join(str(window) for window in windows)
    why = f"the next one opens at {format_utc(opens)}: {listed}"
    return Hold(reason=Reason.OUTSIDE_WINDOW, why=why, until=opens)
