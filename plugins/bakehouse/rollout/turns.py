"""The turns of a stage's members that are ready: who comes first tells the next, in the triggerer.

A member that has reached its goal is known at once to those that wait beside it. What another
triggerer has seen, and whatever became of a task, they read from Airflow, all of them together.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakehouse.rollout.place import failed
from bakehouse.triggers import supervisor_comms
from bakehouse.triggers.wakeup import Topic, wake, waking_for

if TYPE_CHECKING:
    from bakehouse.rollout.place import Place

LOOK_EVERY = 5.0  # seconds between two readings of the states
GIVES_WAY_AFTER = 15.0  # seconds that nobody who comes first has a slot of the stage
KNOWN_FOR = 3600.0  # seconds that a member is known to have passed: no wait is as long

_passed: dict[Topic, dict[str, float]] = {}
_readings: dict[Topic, tuple[float, asyncio.Task[dict[str, str | None]]]] = {}


@dataclass(frozen=True)
class Turn:
    """What is known when a member's turn comes."""

    ahead: list[str]  # who of those that come first has not ended
    down: frozenset[str]  # who of the fleet does not run


class NotItsTurn(Exception):
    """The member's task has to look itself, and why."""


def topic_of(ti: Any, task: str) -> Topic:
    """Return the topic of a stage of a run: its mapped task."""
    return ("turns", str(ti.dag_id), str(ti.run_id), task)


def has_ended(topic: Topic, member: str, *, passed: bool) -> None:
    """Tell those that wait that the walk of a member has ended; call it in the event loop."""
    now = time.monotonic()
    for old in [*_passed]:
        _passed[old] = {name: at for name, at in _passed[old].items() if now - at < KNOWN_FOR}
        if not _passed[old]:
            del _passed[old]
    if passed:
        _passed.setdefault(topic, {})[member] = now
    wake(*topic)


async def wait_for_turn(place: Place, ti: Any) -> list[str]:
    """Wait until it is a member's turn; return who of those that come first is still moving.

    Args:
        place: of the member.
        ti: its task instance; None where there is no triggerer.

    Raises:
        NotItsTurn: its task has to look itself.
    """
    if ti is None:
        raise NotItsTurn("it cannot wait for its turn outside of a triggerer")
    topic, began = topic_of(ti, place.task), time.monotonic()
    without_slot: float | None = None
    with waking_for(*topic) as woken:
        while True:
            states = await _states(topic)
            if those := failed(states):
                raise NotItsTurn(f"failed before: {', '.join(those)}")
            first = place.left(states, _passed_since(topic, began))
            if len(first) < place.at_most:
                return first
            now = time.monotonic()
            without_slot = None if place.has_slot(states, first) else without_slot or now
            if without_slot is not None and states and now - without_slot >= GIVES_WAY_AFTER:
                raise NotItsTurn(f"{', '.join(first)} come first, and none is under way")
            if time.time() >= place.until:
                raise NotItsTurn(f"{', '.join(first)} still come first")
            await woken.wait(LOOK_EVERY)


def _passed_since(topic: Topic, began: float) -> set[str]:
    """Return who has passed since then: what was before is in the states.

    A run may be cleared, and its members be replaced once more.
    """
    return {name for name, at in _passed.get(topic, {}).items() if at >= began}


async def _states(topic: Topic) -> dict[str, str | None]:
    """Return the states of a stage's tasks, read at most every LOOK_EVERY by all that wait.

    None, where Airflow does not answer: then those that wait know of each other alone.
    """
    now = time.monotonic()
    for old in [key for key, (at, _) in _readings.items() if now - at > KNOWN_FOR]:
        del _readings[old]
    at, reading = _readings.get(topic, (float("-inf"), None))
    if reading is None or (now - at >= LOOK_EVERY and reading.done()):
        _, dag_id, run_id, task = topic
        reading = asyncio.create_task(_read(dag_id, run_id, task))
        _readings[topic] = (now, reading)
    return await asyncio.shield(reading)


async def _read(dag_id: str, run_id: str, task: str) -> dict[str, str | None]:
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        return await supervisor_comms.task_states(dag_id, run_id, [task])
    except AirflowRuntimeError:
        return {}
