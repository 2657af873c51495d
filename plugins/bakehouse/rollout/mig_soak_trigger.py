"""The trigger that watches a group while a stage soaks.

The rules are those of single members (`rollout.health`): an instance that is unhealthy twice in a
row, falls silent, or starts again and again has failed. An instance that leaves the group has not:
somebody made the group smaller. One that the group makes anew twice has.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.poller import Cloud
from bakehouse.core.errors import FAILURES, Blocked, TransientError
from bakehouse.rollout import mig_calls
from bakehouse.rollout.compare import Better, Record, add, counts, worse
from bakehouse.rollout.events import MemberFailed, SoakEnded
from bakehouse.rollout.health import (
    RESTARTS_AT_MOST,
    HealthAssessment,
    Sighting,
    failure,
    see,
)
from bakehouse.rollout.mig_progress import Managed, progress
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.mig import GroupMove
from bakehouse.rollout.watch import BETWEEN_LOOKS
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from bakehouse.rollout.health import Health
    from bakehouse.rollout.mig_progress import GroupObservation

LOOKS_THAT_FAIL = 10
COMPARED_AT_MOST = 20  # instances that are not replaced yet, and are read beside the others


class GroupSoakTrigger(BakehouseTrigger):
    """Watches a group until a time, and until it is stable and healthy then. Fires `SoakEnded`.

    Args:
        move: what the group has been moved to, as JSON.
        conn_id: the connection.
        until: when the soak ends, in seconds since 1970.
        at_most: seconds after that within which the group must be stable and healthy.
        numbers: of the reports, those that are compared with instances of other templates.
    """

    def __init__(
        self,
        *,
        move: dict[str, Any],
        conn_id: str,
        until: float,
        at_most: float,
        numbers: dict[str, Better] | None = None,
        **other: Any,
    ) -> None:
        known: dict[str, Any] = {"move": move, "conn_id": conn_id, "numbers": numbers or {}}
        super().__init__(until=until, at_most=at_most, **known, **other)
        self.numbers = numbers or {}
        self._records: dict[str, Record] = {}  # by name
        self._others: set[str] = set()  # names of instances of other templates
        self.move, self.conn_id = GroupMove.model_validate(move), conn_id
        self.until = datetime.fromtimestamp(until, UTC)
        self.at_most = timedelta(seconds=at_most)
        self._seen: dict[str, Sighting] = {}  # by id
        self._ids: set[str] = set()  # of all instances that were seen
        self._replaced: set[str] = set()  # of those in whose place another one has come
        self._made = 0  # instances that came in the place of others
        self._said = ""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        try:
            failed = await self._watch()
        except TransientError as error:
            yield self.fire(SoakEnded(error=str(error)))
        else:
            yield self.fire(SoakEnded(failed=failed))

    async def _watch(self) -> tuple[MemberFailed, ...]:
        cloud = await Cloud.of(self.conn_id)
        errors = 0
        while True:
            wait = cloud.interval
            try:
                failed, is_good = await self._look(cloud)
            except Blocked as blocked:
                wait, is_good = blocked.wait, False
            except FAILURES as error:
                errors += 1
                await self._info("%s; looking again", error)
                if errors >= LOOKS_THAT_FAIL:
                    raise TransientError(f"the group cannot be watched: {error}") from error
                is_good = False
            else:
                errors = 0
                if failed:
                    return failed
            now = datetime.now(UTC)
            if now >= self.until and is_good:
                return ()
            if now >= self.until + self.at_most:
                name, why = self.move.member, self._said
                return (MemberFailed(member=name, why=f"it did not get stable again: {why}"),)
            left = (self.until - now).total_seconds()
            await asyncio.sleep(max(wait, min(self._pause(), left) if left > 0 else wait))

    async def _look(self, cloud: Cloud) -> tuple[tuple[MemberFailed, ...], bool]:
        for _ in range(2):
            await cloud.rate_limiter.acquire()
        reports = {id_: seen.health for id_, seen in self._seen.items()}
        observed = await asyncio.to_thread(
            lambda: mig_calls.look(hook_of(self.conn_id), self.move, reports)
        )
        there = observed.of(self.move.goal)
        self._count(there)
        if self.move.speaks:
            for one in there:
                if one.is_quiet:
                    reports[one.id] = await self._read(one, cloud)
            await self._read_others(observed, cloud)
        found = progress(observed, self.move)
        if found.why != self._said:
            await self._info("%s: %s", self.move.member, found.why)
            self._said = found.why
        failed = tuple(self._failures(observed, found.state, found.why)) or self._compared()
        return failed, found.state is State.REPLACED and self._are_fresh(there)

    async def _read(self, one: Managed, cloud: Cloud) -> Any:
        await cloud.rate_limiter.acquire()
        health = await asyncio.to_thread(self._report, one)
        return self._note(one, health)

    def _note(self, one: Managed, health: Health | None) -> Health | None:
        before = self._seen.get(one.id)
        seen = self._seen[one.id] = see(before, health, datetime.now(UTC))
        is_new = before is None or before.health is not seen.health
        self._records[one.name] = add(self._records.get(one.name), seen, is_new=is_new)
        return seen.health

    async def _read_others(self, observed: GroupObservation, cloud: Cloud) -> None:
        """Read instances that are not replaced; one that cannot be read is no measure."""
        others = [m for m in observed.instances if m.template not in self.move.goal and m.is_quiet]
        self._others |= {one.name for one in others}
        for one in others[:COMPARED_AT_MOST]:
            await cloud.rate_limiter.acquire()
            try:
                health = await asyncio.to_thread(self._report, one)
            except FAILURES as error:
                await self._info("%s is not compared with: %s", one.name, error)
                continue
            if counts(health):
                self._note(one, health)

    def _compared(self) -> tuple[MemberFailed, ...]:
        done = {n: r for n, r in self._records.items() if n not in self._others}
        others = {n: r for n, r in self._records.items() if n in self._others}
        found = worse(done, others, self.numbers)
        return tuple(MemberFailed(member=name, why=why) for name, why in found.items())

    def _report(self, one: Managed) -> Health | None:
        return mig_calls.health(hook_of(self.conn_id), one)

    def _count(self, there: list[Managed]) -> None:
        """Count the instances that were made in the place of others."""
        now = {one.id for one in there if one.id}
        fresh, gone = now - self._ids, self._ids - now - self._replaced
        if self._ids:
            taken = sorted(gone)[: len(fresh)]
            self._made += len(taken)
            self._replaced.update(taken)
        self._ids |= now

    def _failures(self, observed: GroupObservation, state: State, why: str) -> list[MemberFailed]:
        if state in {State.LOST, State.PREPARED, State.PENDING}:
            told = why or "somebody else changed its versions"
            return [MemberFailed(member=self.move.member, why=told)]
        now, image = datetime.now(UTC), self.move.image.name
        names = {one.id: one.name for one in observed.of(self.move.goal)}
        told_of = {
            name: failure(self._seen[id_], image, None, now)
            for id_, name in names.items()
            if id_ in self._seen
        }
        failed = [MemberFailed(member=name, why=said) for name, said in told_of.items() if said]
        if self._made > RESTARTS_AT_MOST:
            text = f"the group made {self._made} instances anew while it was watched"
            failed.append(MemberFailed(member=self.move.member, why=text))
        return failed

    def _are_fresh(self, there: list[Managed]) -> bool:
        """Whether each instance's last report is fresh and healthy."""
        now, image = datetime.now(UTC), self.move.image.name
        return not self.move.speaks or all(
            one.id in self._seen
            and self._seen[one.id].assess(image, None, now) is HealthAssessment.HEALTHY
            for one in there
        )

    def _pause(self) -> float:
        reports = [seen.health for seen in self._seen.values() if seen.health]
        periods = [report.period for report in reports if report.period is not None]
        return min(periods, default=BETWEEN_LOOKS).total_seconds()

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)
