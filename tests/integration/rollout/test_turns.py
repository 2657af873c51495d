"""A member that is ready waits for its turn in the triggerer, and is stopped no earlier."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from threading import Barrier
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.rollout import test_triggers
from tests.integration.rollout.test_triggers import Hook, fire, trigger

from bakehouse.rollout import members, standing, target_images, triggers, turns
from bakehouse.rollout.gates import Gate
from bakehouse.rollout.health import Health
from bakehouse.rollout.place import Place
from bakehouse.rollout.plan import Reported
from bakehouse.rollout.standing import Standing
from bakehouse.rollout.states import Action
from bakehouse.triggers import supervisor_comms

if TYPE_CHECKING:
    from tests.support.fake_compute import Cloud

    from bakehouse.rollout.strategies.swap import Swap

cloud, swap, hook = test_triggers.cloud, test_triggers.swap, test_triggers.hook
TASK = "replace_instances.replace_2"
READY = 1000.0  # seconds


class Stage:
    """The tasks of a stage, as Airflow tells their states, and how the others stand."""

    def __init__(self) -> None:
        self.run_id = "manual__1"
        self.states: dict[str, str | None] = {f"{TASK}_0": "deferred", f"{TASK}_1": "deferred"}
        self.gate = Gate(open=True)
        self.ahead: list[str] = []
        self.down: frozenset[str] = frozenset()

    async def task_states(self, *_: Any) -> dict[str, str | None]:
        return {**self.states}

    async def stand(self, _conn: Any, _swap: Swap, _place: Place, ahead: list[str]) -> Standing:
        self.ahead = ahead
        return Standing(self.gate, self.down)

    @property
    def task_instance(self) -> Any:
        return SimpleNamespace(dag_id="roll_out__web", run_id=self.run_id, task_id=TASK)


@pytest.fixture
def stage(hook: Hook, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stage:
    assert not hook.asked
    found = Stage()
    found.run_id = request.node.name
    monkeypatch.setattr(supervisor_comms, "task_states", found.task_states)
    monkeypatch.setattr(triggers, "still_its_turn", found.stand)
    return found


def ready(stage: Stage, swap: Swap, until: float = READY) -> triggers.SwapTrigger:
    """The trigger of web-1, behind web-0."""
    place = Place(
        task=TASK,
        ahead={"web-0": 0},
        at_most=1,
        others={"web-0": "z", "web-1": "z"},
        reports=(),
        until=time.time() + until,
    )
    _, arguments = trigger(swap, deadline=READY + 250.0).serialize()
    found = triggers.SwapTrigger(**{**arguments, "place": place.model_dump(mode="json")})
    found.task_instance = stage.task_instance
    return found


async def until_ready(hook: Hook) -> None:
    await hook.changes.until(lambda: bool(hook.ids_of(Action.MAKE_DISK)))
    await asyncio.sleep(0.1)


async def test_a_member_is_stopped_as_soon_as_the_one_before_it_has_passed(
    hook: Hook, swap: Swap, stage: Stage, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LOOK_EVERY", 3600.0)  # it is told
    running = asyncio.create_task(fire(ready(stage, swap)))
    await until_ready(hook)
    assert (cloud.stops, swap.disk in cloud.disks) == (0, True), "its disk is ready, and it serves"
    turns.has_ended(turns.topic_of(stage.task_instance, TASK), "web-0", passed=True)
    event = await running
    assert (event.state, cloud.stops) == ("replaced", 1)
    assert event.seconds is not None
    assert stage.ahead == []


async def test_what_another_triggerer_has_seen_is_read_from_airflow(
    hook: Hook, swap: Swap, stage: Stage, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LOOK_EVERY", 0.05)
    running = asyncio.create_task(fire(ready(stage, swap)))
    await until_ready(hook)
    assert cloud.stops == 0
    stage.states[f"{TASK}_0"] = "success"
    assert (await running).state == "replaced"


async def test_one_that_fails_leaves_the_next_to_its_task(
    hook: Hook, swap: Swap, stage: Stage, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LOOK_EVERY", 0.05)
    running = asyncio.create_task(fire(ready(stage, swap)))
    await until_ready(hook)
    turns.has_ended(turns.topic_of(stage.task_instance, TASK), "web-0", passed=False)
    stage.states[f"{TASK}_0"] = "failed"
    event = await running
    assert (event.state, event.held, cloud.stops) == (None, True, 0)
    assert event.why == f"failed before: {TASK}_0"


async def test_a_member_whose_turn_comes_while_another_is_ill_is_left_to_its_task(
    swap: Swap, stage: Stage, cloud: Cloud
) -> None:
    stage.states[f"{TASK}_0"], stage.gate = "success", Gate(open=False, why="ill: web-3 (silent)")
    event = await fire(ready(stage, swap))
    assert (event.held, event.why, cloud.stops) == (True, "ill: web-3 (silent)", 0)


async def test_who_has_waited_long_is_looked_at_by_its_task(
    swap: Swap, stage: Stage, cloud: Cloud
) -> None:
    event = await fire(ready(stage, swap, until=-1.0))
    assert (event.held, event.why, cloud.stops) == (True, "web-0 still come first", 0)


async def test_a_slot_is_given_up_to_one_before_it_that_has_another_try_to_come(
    swap: Swap, stage: Stage, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(turns, "GIVES_WAY_AFTER", 0.2)
    stage.states[f"{TASK}_0"] = "up_for_retry"
    event = await fire(ready(stage, swap))
    assert (event.held, cloud.stops) == (True, 0)
    assert event.why == "web-0 come first, and none is under way"


async def test_who_passed_before_a_run_was_cleared_has_not_passed_since(
    hook: Hook, swap: Swap, stage: Stage, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LOOK_EVERY", 0.05)
    turns.has_ended(turns.topic_of(stage.task_instance, TASK), "web-0", passed=True)
    running = asyncio.create_task(fire(ready(stage, swap)))
    await until_ready(hook)
    assert cloud.stops == 0
    stage.states[f"{TASK}_0"] = "success"
    assert (await running).state == "replaced"


def test_the_time_of_a_try_begins_with_its_turn(swap: Swap, stage: Stage) -> None:
    found = ready(stage, swap)
    terms = found.tries.terms
    assert terms.deadline - time.time() == pytest.approx(READY + 250.0, abs=5.0)
    terms.begin_turn(turns.Turn([], frozenset()))
    assert terms.deadline - time.time() == pytest.approx(250.0, abs=5.0)
    assert terms.place is None


async def test_the_reports_of_the_others_are_read_at_the_same_time(
    swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["web-2", "web-3", "web-4"]
    together = Barrier(len(names))

    def report(_hook: Any, _zone: str, name: str) -> Health:
        together.wait(60)
        return Health(state="unhealthy" if name == "web-3" else "healthy", image="i", boot_id="b")

    def statuses(_hook: Any, zones: dict[str, str]) -> dict[str, Any]:
        return {name: {"status": "RUNNING"} for name in zones}

    monkeypatch.setattr("bakehouse.cloud.compute_hook.hook_of", lambda _: None)
    monkeypatch.setattr(target_images, "check", lambda *_: None)
    monkeypatch.setattr(members, "health", report)
    monkeypatch.setattr(members, "statuses", statuses)
    now = datetime.now(UTC)
    place = Place(
        task=TASK,
        ahead={},
        at_most=1,
        others=dict.fromkeys(["web-1", *names], "z"),
        reports=tuple(Reported(name=name, zone="z", stamp="", at=now) for name in names),
        until=0.0,
    )
    gate, down = await standing.still_its_turn("c", swap, place, [])
    assert gate.why.startswith("ill: web-3 (")
    assert down == frozenset()
