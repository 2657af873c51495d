"""A broker that is killed during a rollout: the line stops, and replaces the dead one first."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.airflow_api import Task
    from devstack.kafka.demo_cluster import DemoCluster
    from devstack.report import Report

FIRST_STAGE = "replace_instances.replace_1"
LOOKS = (1.0, 5.0)  # seconds between two, until the line has said why it waits, and then


@dataclass
class KilledBroker:
    """The `watch` of a rollout: kills a broker when the canary is replaced, and looks on."""

    cluster: DemoCluster
    report: Report
    victim: str
    others: list[str]  # the members that nobody may touch before the victim is back
    topic: str
    note: Callable[[], str]  # of the run
    clock: Callable[[], float] = time.monotonic
    killed: float = 0.0  # a moment of the clock, as all here
    told: float = 0.0  # when the run's note named the victim
    left: float = 0.0  # when no ISR had the victim any more
    back: float = 0.0  # when all ISRs had it again
    went_on: float = 0.0  # when somebody else was touched
    reason: str = ""
    still_in_sync: float = 0.0  # seconds after the kill at which an ISR still had the victim
    before: dict[str, str] = field(default_factory=dict)  # what the others were like at the kill
    moved: list[str] = field(default_factory=list)  # what was done to the others too early
    _looked: float = 0.0

    def __call__(self, tasks: list[Task]) -> None:
        """Look at the tasks, about once a second."""
        if not self.killed:
            first = [task for task in tasks if task.task_id == FIRST_STAGE]
            if first and all(task.state == "success" for task in first):
                self._kill()
        elif not self.went_on and self.clock() - self._looked >= LOOKS[bool(self.told)]:
            self._watch()
            self._looked = self.clock()

    def _kill(self) -> None:
        found = self.cluster.machines()
        self.before = {member: found[member] for member in self.others}
        self.cluster.kill(self.victim)
        self.killed = self.clock()
        self.report.line(f"{self.victim} is killed: its machine is off", "yellow")

    def _watch(self) -> None:
        if not self.back:
            self._look_at_isr()
        touched = self._touched()
        if not self.back:
            self.moved += touched
        elif touched:
            self.went_on = self.clock()
            self.report.line("the line has gone on")
        note = self.note()
        if not self.told and self._names_victim(note):
            self.told = self.clock()
            self.reason = _first_reason(next(filter(self._names_victim, note.splitlines())))
            self.report.line(f"the line has stopped: {self.reason}", "yellow")

    def _look_at_isr(self) -> None:
        node = int(self.victim.rpartition("-")[2])
        try:
            found = self.cluster.in_sync(self.topic, without=self.victim)
        except (KafkaError, OSError):
            return
        if not self.left:
            if any(node in isr for isr in found):
                self.still_in_sync = self.clock() - self.killed
            else:
                self.left = self.clock()
        elif all(node in isr for isr in found):
            self.back = self.clock()
            seconds = self.back - self.killed
            self.report.line(f"{self.victim} is back in sync, {seconds:.0f} s after it was killed")

    def _touched(self) -> list[str]:
        """What has become of the others since the kill."""
        found = self.cluster.machines()
        return [
            f"{member} was {had} and is {found.get(member, 'gone')}"
            for member, had in self.before.items()
            if found.get(member) != had
        ]

    def _names_victim(self, text: str) -> bool:
        return self.victim in text or f"broker {self.victim.rpartition('-')[2]}" in text


def _first_reason(line: str) -> str:
    """Of `- **Waits:** TASK (MEMBER) since DATE UTC: gate: WHY; blocked: WHY`, the first one."""
    return line.rpartition(" UTC: ")[2].partition("; ")[0].strip()
