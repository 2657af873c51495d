"""The watcher: one coroutine for each run, until the last task with an SLA has ended."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from bakehouse.core.tasks import FREES_SLOT
from bakehouse.notify.models import Channel
from bakehouse.sla.misses import ENDED, Miss, find_misses, seconds_to_next_check
from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers.wakeup import SLOTS, Wakeup, wake, waking_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REPORTED = "sla_misses"  # XCom of the watcher: {task_id: Miss}


class SlaWatchTrigger(BaseTrigger):
    """Checks the states of a run's tasks at each deadline and at least every `interval` seconds.

    It looks every second while they change, and when a trigger of the run has fired. Runs that wait
    for a builder slot are woken when it sees that this run's teardown has ended.

    A miss is written to the watcher's own XCom, then to the ledger, then to the notifiers: if the
    triggerer is killed in between, the miss is recorded, and notified at most once.
    """

    def __init__(
        self,
        started: str,
        slas: dict[str, float],
        subject: str,
        channels: list[dict[str, Any]],
        interval: float = 5.0,
    ) -> None:
        """Keep the arguments.

        Args:
            started: The start of the run, in ISO format.
            slas: Seconds by task id.
            subject: The recipe or fleet.
            channels: `notify` of its file, as JSON.
            interval: The most seconds between two checks.
        """
        super().__init__()
        self.started = started
        self.slas = slas
        self.subject = subject
        self.channels = channels
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as Airflow stores them."""
        names = ("started", "slas", "subject", "channels", "interval")
        path = "bakehouse.sla.triggers.SlaWatchTrigger"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until no SLA can be missed any more, then end the task without a worker."""
        ti: Any = self.task_instance
        started = datetime.fromisoformat(self.started)
        known: dict[str, Any] = await comms.get_xcom(ti, REPORTED) or {}
        # a run that was cleared starts anew, and the XCom is still there
        reported = {
            task_id: miss
            for task_id, miss in known.items()
            if Miss.model_validate(miss).noticed >= started
        }
        if reported:
            self.log.info("resumed; already reported: %s", ", ".join(sorted(reported)))
        with waking_for(ti.dag_id, ti.run_id) as fired:
            await self._until_ended(ti, started, reported, fired)
        yield TaskSuccessEvent(xcoms={"return_value": reported})

    async def _until_ended(
        self, ti: Any, started: datetime, reported: dict[str, Any], fired: Wakeup
    ) -> None:
        """Report misses until none can come; adds them to `reported`."""
        known: dict[str, str | None] = {}
        changed = time.monotonic()
        while True:
            states = await comms.task_states(ti.dag_id, ti.run_id)
            now = datetime.now(UTC)
            if states != known:
                if known.get(FREES_SLOT) not in ENDED and states.get(FREES_SLOT) in ENDED:
                    wake(*SLOTS)
                known, changed = states, time.monotonic()
            for miss in find_misses(self.slas, states, started, now, reported):
                reported[miss.task_id] = miss.model_dump(mode="json")
                await comms.set_xcom(ti, REPORTED, reported)
                await asyncio.to_thread(self._report, ti, miss)
            idle = time.monotonic() - changed
            wait = seconds_to_next_check(
                self.slas, states, started, now, reported, self.interval, idle
            )
            if wait is None:
                return
            if await fired.wait(wait):
                changed = time.monotonic()  # the task goes on in a moment

    def _report(self, ti: Any, miss: Miss) -> None:
        """Log, record and notify a miss; blocking, so it runs in a thread."""
        from bakehouse.sla.record import notify_miss, record_miss

        self.log.error("SLA missed: %s", miss)
        record_miss(ti, self.subject, miss)
        notify_miss(ti, [Channel.model_validate(channel) for channel in self.channels], miss)
