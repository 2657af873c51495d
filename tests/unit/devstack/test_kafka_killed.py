"""When the demo kills a broker, what stops the line for it, and when the line may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from kafka.errors import KafkaTimeoutError

from devstack.airflow_api import Task
from devstack.kafka.killed import FIRST_STAGE, KilledBroker

if TYPE_CHECKING:
    from devstack.kafka.demo_cluster import DemoCluster
    from devstack.report import Report

VICTIM, NEXT = "kafka-3", "kafka-2"


class Told:
    """A report that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str, style: str = "") -> None:
        self.lines.append(f"{text}{style[:0]}")


class ThreeBrokers:
    """A cluster that does what a test says."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.next: str | None = "RUNNING on disk-1"
        self.isr: list[list[int]] | None = [[1, 2, 3]]

    def machines(self) -> dict[str, str]:
        found = {VICTIM: "RUNNING on disk-3", NEXT: self.next}
        return {member: told for member, told in found.items() if told is not None}

    def kill(self, member: str) -> None:
        self.done.append(f"kill {member}")

    def in_sync(self, topic: str, without: str) -> list[list[int]]:
        assert without == VICTIM, f"whoever is off is not asked about {topic}"
        if self.isr is None:
            raise KafkaTimeoutError
        return self.isr


class Scene:
    """The watch of a rollout, with a clock of its own."""

    def __init__(self) -> None:
        self.now, self.note, self.replaced = 100.0, "", False
        self.cluster, self.report = ThreeBrokers(), Told()
        cluster, report = cast("DemoCluster", self.cluster), cast("Report", self.report)
        self.killed = KilledBroker(
            cluster, report, VICTIM, [NEXT], "orders", lambda: self.note, lambda: self.now
        )

    def pass_seconds(self, seconds: float) -> None:
        """The watch is called once a second, as `Airflow.wait` does."""
        for _ in range(int(seconds)):
            self.now += 1.0
            state = "success" if self.replaced else "running"
            self.killed([Task(FIRST_STAGE, 0, state, 1, None, None)])


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_killed_when_the_canary_is_replaced_and_the_first_reason_is_kept(
    scene: Scene,
) -> None:
    scene.pass_seconds(10)
    assert scene.cluster.done == []
    scene.replaced = True
    scene.pass_seconds(30)
    assert scene.cluster.done == [f"kill {VICTIM}"]
    assert not scene.killed.told, "nobody has said yet that the line waits"
    waits = f"- **Waits:** `replace_2` ({NEXT}) since 2026-11-29 15:05 UTC"
    scene.note = f"{waits}: gate: broker 3 (kafka-3) does not answer; blocked: voter 3 is behind"
    scene.pass_seconds(5)
    scene.note = "gate: broker 3 recovers its logs"
    scene.pass_seconds(30)
    assert scene.cluster.done == [f"kill {VICTIM}"]
    assert scene.killed.reason == "gate: broker 3 (kafka-3) does not answer"
    assert scene.killed.moved == []


def test_a_next_member_that_is_touched_before_the_broker_is_back_is_told(scene: Scene) -> None:
    scene.replaced = True
    scene.pass_seconds(3)
    scene.cluster.next = "STOPPING on disk-1"
    scene.pass_seconds(1)
    scene.cluster.next = None
    scene.pass_seconds(1)
    assert scene.killed.moved == [
        f"{NEXT} was RUNNING on disk-1 and is STOPPING on disk-1",
        f"{NEXT} was RUNNING on disk-1 and is gone",
    ]


def test_the_line_goes_on_once_another_member_is_touched_behind_the_return(scene: Scene) -> None:
    scene.replaced, scene.note = True, "gate: broker 3 does not answer"
    scene.pass_seconds(40)
    assert not scene.killed.left, "the ISR lists a dead broker for a while"
    scene.cluster.isr = [[1, 2], [1, 2]]
    scene.pass_seconds(10)
    scene.cluster.isr = [[1, 2, 3], [1, 2]]
    scene.pass_seconds(10)
    assert not scene.killed.back
    scene.cluster.isr = [[1, 2, 3], [1, 2, 3]]
    scene.pass_seconds(10)
    assert scene.killed.back
    assert not scene.killed.went_on
    scene.cluster.next = "STOPPING on disk-1"
    scene.pass_seconds(10)
    assert scene.killed.back < scene.killed.went_on
    assert scene.killed.moved == []


def test_how_long_an_isr_still_has_the_dead_broker_is_kept(scene: Scene) -> None:
    scene.replaced = True
    scene.pass_seconds(9)
    scene.cluster.isr = None
    scene.pass_seconds(4)
    scene.cluster.isr = [[1, 2]]
    scene.pass_seconds(4)
    assert scene.killed.still_in_sync == pytest.approx(8)
