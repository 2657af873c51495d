"""A rollout of which no further member passes ends in time; on instant machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import ZONE
from tests.support.freeze import BY_ANN, switched

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.load import load_fleet

from .walk import GROUP, Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images

RUNS = count(1)
NAMES = ["web-1", "web-2"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: ["100%"]
max_unavailable: 2
health_deadline: 20s
progress_deadline: 3h
"""
FAILS = {"instant-drain": "failed: 2 leaders stay"}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    monkeypatch.setattr("bakehouse.rollout.handover.ASK_AGAIN", 0.1)


def later(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """So many hours have passed."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    monkeypatch.setattr("bakehouse.rollout.replace_operator.now", lambda: moment)


def begun(images: Images, more: str = "") -> Rollout:
    run = Rollout(load_fleet(FLEET + more, "fleets/web.yaml"), f"manual__slow{next(RUNS)}")
    run.image = images.new
    run.begin()
    run.select(1)
    return run


def passed(run: Rollout, index: int, hours: int) -> None:
    """Another member has passed so many hours after the begin."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    run.xcoms[f"{GROUP}.replace_1", index, "progress"] = moment.isoformat()


def test_a_member_that_is_tried_again_and_again_ends_the_rollout_in_time(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES, more=FAILS)
    run = begun(images)
    later(monkeypatch, 4)
    run.replace_one(1, 0)
    error = run.errors["replace_1_0"]
    assert isinstance(error, PermanentError)
    assert "no further member has passed since" in str(error)
    assert "(progress_deadline: 3 h)" in str(error)
    assert fleet_of.stops() == {}
    assert "no further member has passed" in run.xcom("replace_1", "outcome", 0)["why"]
    run.replace_one(1, 1)
    assert run.states["replace_1_1"] == "skipped", "the line has halted"
    run.plan_rollback()
    assert run.verdict() == "failed"


def test_a_member_has_its_tries_while_others_pass(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES, more=FAILS)
    run = begun(images)
    passed(run, 1, 2)
    later(monkeypatch, 4)
    run.replace_one(1, 0)
    assert "drain of web-1" in str(run.errors["replace_1_0"])


def test_a_member_whose_turn_comes_late_is_replaced(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow was down for a night."""
    fleet_of.create(images.old, NAMES)
    run = begun(images)
    later(monkeypatch, 9)
    run.replace_one(1, 0)
    assert run.states["replace_1_0"] == "success", run.errors
    assert run.xcom("replace_1", "progress", 0) > run.xcom("select_members_1", "progress")


def test_a_closed_gate_that_is_asked_again_and_again_ends_in_time(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES, more={"instant-gate": "blocked: orders-7 lags"})
    run = begun(images, "gate: {deadline: 9h}\n")
    later(monkeypatch, 4)
    run.replace_one(1, 0)
    assert "no further member has passed" in str(run.errors["replace_1_0"])
    assert fleet_of.stops() == {}


@pytest.mark.long
def test_the_clock_begins_anew_when_a_freeze_has_ended(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES, more=FAILS)
    run = begun(images)
    began = run.xcom("select_members_1", "progress")
    switched(monkeypatch).answers = [BY_ANN, BY_ANN, None]
    run.replace_one(1, 0)
    assert run.xcom("replace_1", "progress", 0) > began
