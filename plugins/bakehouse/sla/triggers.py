"""The watcher: one coroutine a run, from the run's start to the last task that has an SLA."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from bakehouse.notify.models import Channel
from bakehouse.sla.misses import Miss, find_misses, seconds_to_next_look
from bakehouse.triggers import supervisor_comms as comms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REPORTED = "sla_misses"  # XCom of the watcher: {task_id: Miss}


class SlaWatchTrigger(BaseTrigger):
    """Looks at the run's task states at each deadline and every `interval` seconds.

    A miss is written to the watcher's own XCom, then to the ledger, then told: a triggerer that
    is killed in between tells it at most once and records it for certain.
    """

    def __init__(
        self,
        started: str,
        slas: dict[str, float],
        subject: str,
        channels: list[dict[str, Any]],
        interval: float = 5.0,
    ) -> None:
        """:param started: ISO time; :param slas: seconds by task id; :param subject: the recipe or
        fleet; :param channels: `notify` of its file; :param interval: seconds between two looks.
        """
        super().__init__()
        self.started = started
        self.slas = slas
        self.subject = subject
        self.channels = channels
        self.interval = interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as Airflow stores them."""
        names = ("started", "slas", "subject", "channels", "interval")
        path = "bakehouse.sla.triggers.SlaWatchTrigger"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until nothing is left to miss, then end the task without a worker."""
        ti: Any = self.task_instance
        started = datetime.fromisoformat(self.started)
        reported: dict[str, Any] = await comms.get_xcom(ti, REPORTED) or {}
        if reported:
            self.log.info("resumed; already reported: %s", ", ".join(sorted(reported)))
        while True:
            states = await comms.task_states(ti.dag_id, ti.run_id)
            now = datetime.now(UTC)
            for miss in find_misses(self.slas, states, started, now, reported):
                reported[miss.task_id] = miss.model_dump(mode="json")
                await comms.set_xcom(ti, REPORTED, reported)
                await asyncio.to_thread(self._report, ti, miss)
            wait = seconds_to_next_look(self.slas, states, started, now, reported, self.interval)
            if wait is None:
                yield TaskSuccessEvent(xcoms={"return_value": reported})
                return
            await asyncio.sleep(wait)

    def _report(self, ti: Any, miss: Miss) -> None:
        """Into the log, the ledger and the notifiers; blocking, so in a thread."""
        from bakehouse.sla.record import record_miss, tell_miss

        self.log.error("SLA missed: %s", miss)
        record_miss(ti, self.subject, miss)
        tell_miss(ti, [Channel.model_validate(channel) for channel in self.channels], miss)
