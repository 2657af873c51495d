"""The note of a run says what its tasks wait for while they do, on Airflow's own tables."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bakehouse.runs import ends, waits

from .conftest import START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import World

FROZEN = {"since": START.isoformat(), "member": "", "why": "frozen by ann: the quarter ends"}
SAID = "`select_members_1` since 2026-11-27 03:00 UTC: frozen by ann: the quarter ends"


@pytest.fixture(autouse=True)
def _listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import event

    monkeypatch.setattr(waits, "LOOK_EVERY", 0.0)
    waits.watch()
    yield
    event.remove(DagRun.last_scheduling_decision, "set", waits._decided)


def the_scheduler_looks(world: World, minutes: int = 1) -> str | None:
    world.run.last_scheduling_decision = START + timedelta(minutes=minutes)
    world.session.commit()
    return world.note


def test_a_run_says_what_it_waits_for_until_it_goes_on(world: World) -> None:
    task = world.task("select_members_1", "deferred")
    world.xcom("select_members_1", "waits", FROZEN)
    assert the_scheduler_looks(world) == f"- **Waits:** {SAID}"
    assert the_scheduler_looks(world, 2) == f"- **Waits:** {SAID}", "once"
    world.xcom("select_members_1", "waits", None)
    assert the_scheduler_looks(world, 3) is None
    world.xcom("select_members_1", "waits", FROZEN)
    task.state = "failed"
    assert the_scheduler_looks(world, 4) is None, "it was killed while it waited"


def test_a_persons_own_text_stays_and_the_member_is_named(world: World) -> None:
    world.run.note = "Ask me first."
    world.task("replace_1", "deferred")
    world.xcom("replace_1", "waits", {**FROZEN, "member": "web-1"})
    note = the_scheduler_looks(world)
    assert note is not None
    assert note.startswith("Ask me first.\n\n- **Waits:** `replace_1` (web-1) since ")
    world.xcom("replace_1", "waits", None)
    assert the_scheduler_looks(world, 2) == "Ask me first."


def test_a_run_that_has_ended_waits_for_nothing(world: World) -> None:
    world.task("select_members_1", "deferred")
    world.xcom("select_members_1", "waits", FROZEN)
    the_scheduler_looks(world)
    world.run.state = "success"
    ends.finish(world.run)
    assert world.note is None


def test_a_look_costs_one_read_in_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOOK_EVERY", 3600.0)
    waits._looked.clear()
    assert the_scheduler_looks(world) is None
    world.task("select_members_1", "deferred")
    world.xcom("select_members_1", "waits", FROZEN)
    assert the_scheduler_looks(world, 2) is None


def test_what_cannot_be_read_never_disturbs_the_scheduler(world: World) -> None:
    world.task("select_members_1", "deferred")
    world.xcom("select_members_1", "waits", {"who": "knows"})
    assert the_scheduler_looks(world) is None
    assert world.run.last_scheduling_decision == START + timedelta(minutes=1)
