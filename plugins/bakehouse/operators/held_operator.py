"""The base of operators that a freeze, or a window, may hold."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pydantic import AwareDatetime

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.wait_events import WaitDetail
from bakehouse.operators.base import BakehouseOperator, TryMemory
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import HELD_AT_MOST, Hold, HoldEnded, hold
from bakehouse.operators.reconcile import Again, Next, WaitFor, resumed_by
from bakehouse.operators.waits import begin_wait, end_wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from bakehouse.schedule.window import Window

BACKSTOP = timedelta(minutes=5)  # beyond the trigger's own deadline


class Tell(Protocol):
    """Records that a task waits, or waits no longer."""

    def __call__(self, context: Context, reason: Reason, detail: WaitDetail, **image: Any) -> None:
        """Record it."""


class HoldMemory(TryMemory):
    """Since when this try is held, and by what."""

    held_since: AwareDatetime | None = None
    held: Hold | None = None
    reason_since: AwareDatetime | None = None  # of this very hold, after another one


class HeldOperator(BakehouseOperator):
    """A task that touches something only when nothing holds it."""

    Memory = HoldMemory
    memory: HoldMemory

    def wait_while_held(
        self,
        context: Context,
        what: str,
        *,
        windows: Sequence[Window] = (),
        at_most: timedelta | None = None,
        member: str = "",
        image: dict[str, Any] | None = None,
    ) -> WaitFor | None:
        """Return the wait while something holds; None when nothing does.

        Args:
            context: of the task.
            what: the fleet or the image that would wait.
            windows: those in which it may go on; none: any time.
            at_most: how long it waits.
            member: the member whose turn it is.
            image: the recipe, image and git_sha of the record.

        Raises:
            PermanentError: It has waited for too long.
            TransientError: Airflow did not say whether there is a freeze.
        """
        moment = datetime.now(UTC)
        held, before = hold(read_freeze(), windows, moment), self.memory.held
        now = moment.replace(microsecond=0)
        began, since = (self.memory.held_since or now), (self.memory.reason_since or now)

        def tell(record: Tell, of: Hold, why: str) -> None:
            detail = WaitDetail(what=what, member=member, since=since, until=of.until, why=why)
            record(context, of.reason, detail, **(image or {}))

        if before is not None and (held is None or held.reason is not before.reason):
            why = str(held) if held is not None else Reason.HOLD_ENDED.text
            tell(end_wait, before, why)
            self.log.info("waited since %s: %s", format_utc(since), why)
            before, since = None, now
        if held is None:
            self.remember(held=None, held_since=None, reason_since=None)
            return None
        if before is None:
            tell(begin_wait, held, str(held))
            self.log.warning("waiting since %s: %s", format_utc(since), held)
        self.remember(held=held, held_since=began, reason_since=since)
        left = began + (HELD_AT_MOST if at_most is None else at_most) - now
        if left <= timedelta(0):
            self._too_long(held)
        from bakehouse.operators.hold_trigger import HoldTrigger

        trigger = HoldTrigger(
            windows=[window.model_dump(mode="json") for window in windows],
            held=held.model_dump(mode="json"),
            deadline=time.time() + left.total_seconds(),
        )
        return WaitFor(trigger, "hold_ended", left + BACKSTOP)

    @resumed_by(HoldEnded)
    def hold_ended(self, context: Context, event: HoldEnded) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue after a wait: whatever holds now is asked again."""
        if event.late and event.held is not None:
            self._too_long(event.held)
        return Again()

    def _too_long(self, held: Hold) -> NoReturn:
        since = self.memory.held_since
        told = f" since {format_utc(since)}" if since is not None else ""
        raise PermanentError(
            f"held{told}: {held}. Nothing was changed since: when nothing holds it any more, clear"
            " the failed tasks, or trigger the DAG again"
        )
