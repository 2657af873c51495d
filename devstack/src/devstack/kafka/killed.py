"""A broker that is killed during a rollout: the line stops, and goes on when it is back."""

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
STAYS_STOPPED = 20.0  # seconds for which the line is watched once it has said why it waits


@dataclass
class KilledBroker:
    """The `watch` of a rollout: kills a broker when the canary is replaced, and starts it later."""

    cluster: DemoCluster
    report: Report
    victim: str
    next_member: str  # whose gate has to be closed meanwhile
    topic: str
    note: Callable[[], str]  # of the run
    clock: Callable[[], float] = time.monotonic
    killed: float = 0.0  # a moment of the clock, as all here
    told: float = 0.0  # when the run's note named the victim
    started: float = 0.0
    reason: str = ""
    still_in_sync: float = 0.0  # seconds after the kill at which an ISR still had the victim
    boot_disk: str = ""  # of the next member, at the kill
    moved: list[str] = field(default_factory=list)  # what was done to the next member meanwhile
    _looked: float = 0.0

    def __call__(self, tasks: list[Task]) -> None:
        """Look at the tasks, about once a second."""
        if not self.killed:
            first = [task for task in tasks if task.task_id == FIRST_STAGE]
            if first and all(task.state == "success" for task in first):
                self._kill()
        elif not self.started:
            self._watch()

    def _kill(self) -> None:
        self.boot_disk = self.cluster.boot_disks()[self.next_member]
        self.cluster.kill(self.victim)
        self.killed = self.clock()
        self.report.line(f"{self.victim} is killed: its machine is off", "yellow")

    def _watch(self) -> None:
        now = self.clock()
        if now - self._looked < 1.0:
            return
        if not self.told:
            self._look_at_isr()
        self._looked = self.clock()
        self._check_next()
        note = self.note()
        if not self.told and self._names_victim(note):
            self.told = self.clock()
            self.reason = next(one for one in note.splitlines() if self._names_victim(one)).strip()
            self.report.line(f"the line has stopped: {self.reason}", "yellow")
        if self.told and self.clock() - self.told > STAYS_STOPPED:
            self.cluster.start(self.victim)
            self.started = self.clock()
            self.report.line(f"{self.victim} is powered on again", "yellow")

    def _look_at_isr(self) -> None:
        node = int(self.victim.rpartition("-")[2])
        try:
            found = self.cluster.in_sync(self.topic, without=self.victim)
        except (KafkaError, OSError):
            return
        if any(node in isr for isr in found):
            self.still_in_sync = self.clock() - self.killed

    def _check_next(self) -> None:
        if (found := self.cluster.boot_disks()[self.next_member]) != self.boot_disk:
            self.moved.append(f"its boot disk was {self.boot_disk} and is {found}")
        if (status := self.cluster.instance(self.next_member)["status"]) != "RUNNING":
            self.moved.append(f"it is {status}")

    def _names_victim(self, text: str) -> bool:
        return self.victim in text or f"broker {self.victim.rpartition('-')[2]}" in text
