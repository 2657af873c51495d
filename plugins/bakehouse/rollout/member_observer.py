"""Observes a member on its walk: which reads a look takes, and how far a report of it counts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace as replace_fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.rollout import replace
from bakehouse.rollout.boot_pace import USUALLY, BootPace
from bakehouse.rollout.health import HealthAssessment, assess_health, parse
from bakehouse.rollout.observation import MemberObservation, read
from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from bakehouse.rollout.handover import Handover
    from bakehouse.rollout.strategies.swap import Swap
    from bakehouse.rollout.walk_terms import Terms

OFF_ON_ITS_DISK = frozenset({State.LOADED, State.ABSENT})
UP = frozenset({State.RESUMING, State.REPLACED})


class MemberObserver:
    """Reads a member's state in one try, and remembers what it has seen.

    Args:
        swap: what the member is moved to.
        terms: of all tries.
        handover: what the member has answered.
    """

    def __init__(self, swap: Swap, terms: Terms, handover: Handover) -> None:
        self.swap, self.terms, self.handover = swap, terms, handover
        self.goal = swap.goal(terms.healthy_within, terms.fields.busy_limit)
        self.observed = MemberObservation(instance_id=None)
        self._counted = -1  # of a busy member
        self._progress: datetime | None = None  # when it has counted so far
        self._looked = 0.0
        self._glances = 0  # since the last look at the whole member
        self._looks = USUALLY  # in a poll interval, one of them at the whole member
        self._started: float | None = None  # when this walk has seen it start

    async def look(self, state: State | None) -> State:
        """Look at a member that was in `state`, and return the state that it has now."""
        if state is State.BOOTING and not await self._has_news():
            self._watch(self.observed)
            return self.state()
        checked = state in {State.STARTING, State.BOOTING}
        self.observed = await asyncio.to_thread(
            lambda: replace.look(hook_of(self.terms.conn_id), self.swap, is_checked=checked)
        )
        self._watch(self.observed)
        found = self.state()
        self._time_boot(state, found)
        return found

    def pause(self, state: State | None, interval: float) -> float:
        """Return the seconds until the next look at a member that is waited for."""
        if state is not State.BOOTING:
            return interval
        # one that has said something, such as that it is busy, takes its own time
        said = self.observed.health
        is_silent = said is None or said.boot_id == self.goal.before
        began = self._started if is_silent else None
        booted = time.monotonic() - began if began is not None else None
        pause = self._pace.pause(booted, interval)
        self._looks = max(1, round(interval / pause))
        return pause

    def _time_boot(self, before: State | None, after: State) -> None:
        """Note how long a boot has taken of which this walk has seen the start."""
        if before in OFF_ON_ITS_DISK and after not in OFF_ON_ITS_DISK:
            self._started = time.monotonic()
        if after in UP and self._started is not None:
            self._pace.note(time.monotonic() - self._started)
            self._started = None

    @property
    def _pace(self) -> BootPace:
        return BootPace.of(f"{self.swap.run}/{self.goal.image}")

    def state(self) -> State:
        """Return the state by the last look, with what the member has answered since."""
        handover = self.handover
        self.observed = replace_fields(
            self.observed,
            consent=handover.consent(),
            resumed=handover.resumed,
            progress=self._progress,
            rendered=handover.rendered,
        )
        return read(self.observed, self.goal, datetime.now(UTC))

    def skip_report_of_first_try(self) -> None:
        """What the member says before it runs on its second disk is of the first one."""
        said = self.observed.health
        if self.swap.first_try and said and self.observed.boot_disk != self.goal.disk:
            self.goal = replace_fields(self.goal, before=said.boot_id)

    async def _has_news(self) -> bool:
        """Whether a member that boots is to be looked at as a whole: now and then, or it reports.

        Its report alone is one read, so that it is read more often for the same number.
        """
        self._glances = (self._glances + 1) % self._looks
        if not self.swap.speaks or self._glances == 0:
            return True
        zone, name = self.swap.zone, self.swap.member
        said = await asyncio.to_thread(
            lambda: hook_of(self.terms.conn_id).guest_attributes(zone, name).get("health")
        )
        return parse(said) != self.observed.health

    def _watch(self, observed: MemberObservation) -> None:
        """Note what a report of the goal says of the orders to come, and how far it counts."""
        now, before = time.monotonic(), self._looked
        self._looked = now
        if self.goal.image is None:
            return
        health = observed.health
        assessed = assess_health(health, self.goal.image, self.goal.before)
        if assessed is HealthAssessment.HEALTHY:
            self.handover.begin_resume(health)
        elif assessed is HealthAssessment.BUSY and health is not None:
            if (count := health.count) is not None and count[0] > self._counted:
                self._counted, self._progress = count[0], datetime.now(UTC)
            self.terms.extend(now - before if before else 0.0)
