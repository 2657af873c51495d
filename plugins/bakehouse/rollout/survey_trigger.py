"""The trigger that asks members of any fleet how they are.

It reads each report twice, a period apart: a single one does not say whether its machine still
reports, and no clock of a guest is believed (docs/decisions/0072).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.poller import Cloud
from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.rollout import members
from bakehouse.rollout.events import SurveyEnded
from bakehouse.rollout.health import Sighting, see, survey
from bakehouse.rollout.watch import BETWEEN_LOOKS
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class SurveyTrigger(BakehouseTrigger):
    """Reads the reports of members until each is known to be healthy, ill or silent.

    Fires `SurveyEnded`.

    Args:
        wanted: `zone/name` of each member that runs.
        conn_id: the connection.
        deadline: when what is not known by then is left out, in seconds since 1970.
    """

    def __init__(self, *, wanted: list[str], conn_id: str, deadline: float, **other: Any) -> None:
        super().__init__(wanted=wanted, conn_id=conn_id, deadline=deadline, **other)
        self.wanted, self.conn_id, self.deadline = wanted, conn_id, deadline
        self._seen: dict[str, Sighting] = {}
        self._said: dict[str, str] = {}
        self._unread = ""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        cloud = await Cloud.of(self.conn_id)
        while True:
            await self._look(cloud)
            left = self.deadline - time.time()
            if len(self._said) == len(self.wanted) or left <= 0:
                break
            await asyncio.sleep(min(self._pause(), left))
        ill = {member: why for member, why in self._said.items() if why}
        yield self.fire(SurveyEnded(ill=ill, unread=self._unread))

    async def _look(self, cloud: Cloud) -> None:
        for member in self.wanted:
            if member in self._said:
                continue
            await cloud.rate_limiter.acquire()
            try:
                await self._read(member)
            except Blocked as blocked:
                await asyncio.sleep(min(blocked.wait, max(0.0, self.deadline - time.time())))
            except FAILURES as error:
                self._unread = f"{member}: {error}"
                self._said[member] = ""

    async def _read(self, member: str) -> None:
        zone, _, name = member.partition("/")
        health = await asyncio.to_thread(lambda: members.health(hook_of(self.conn_id), zone, name))
        now = datetime.now(UTC)
        seen = self._seen[member] = see(self._seen.get(member), health, now)
        if (said := survey(seen, now)) is not None:
            self._said[member] = said

    def _pause(self) -> float:
        open_ones = [s.health for m, s in self._seen.items() if m not in self._said and s.health]
        periods = [health.period for health in open_ones if health.period is not None]
        return min(periods, default=BETWEEN_LOOKS).total_seconds()
