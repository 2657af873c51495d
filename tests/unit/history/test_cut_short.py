"""A rollout whose run is over, or was deleted, is under way no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.events import at, ended, image, planned, replaced, run

from bakehouse.core.reasons import Reason
from bakehouse.history.cut_short import cut_short
from bakehouse.history.metrics import WAITING_ROLLOUTS, metrics_of
from bakehouse.history.overview import rollouts
from bakehouse.history.story import story
from bakehouse.history.wait_events import WaitDetail, WaitsEvent

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent

OLD, NEW = image(1), image(2)
MEMBERS = {"web-1": OLD, "web-2": OLD}


def waits(hours: float = 1) -> WaitsEvent:
    detail = WaitDetail(what="web", since=at(hours), why="frozen by ann")
    return WaitsEvent(**run(hours), reason=Reason.FROZEN, subject=f"{hours}", detail=detail)


def after(events: list[LedgerEvent], state: str | None, hours: float = 5) -> list[LedgerEvent]:
    read, found = cut_short(lambda: events, lambda *_: state, at(hours), "show_drift")
    return [*read, *found]


@pytest.mark.parametrize(
    ("state", "why"), [(None, "its run was deleted"), ("failed", "its run has ended: failed")]
)
def test_a_rollout_that_waits_is_cut_short_with_its_run(state: str | None, why: str) -> None:
    events = after([planned(NEW, MEMBERS), replaced(NEW, "web-1", OLD), waits()], state)
    (row,) = rollouts(events)
    assert (row.state, row.why, row.moved, row.members) == ("cut short", why, 1, 2)
    sentence = story(events)[0].sentence
    assert sentence.endswith(f"cut short, 1 of 2 members: {why}")
    (metric,) = metrics_of(events[-1])
    assert (metric.name, metric.value, metric.tags) == (WAITING_ROLLOUTS, 0, {"fleet": "web"})


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_rollout_whose_run_goes_on_is_under_way(state: str) -> None:
    (row,) = rollouts(after([planned(NEW, MEMBERS)], state))
    assert row.state == "under way"


def test_what_is_cut_short_is_said_once_and_asked_no_more() -> None:
    events = after([planned(NEW, MEMBERS)], None)
    asked: list[Any] = []
    assert cut_short(lambda: events, lambda *run: asked.append(run), at(9), "t")[1] == []
    assert asked == []


def test_a_run_that_ended_while_it_was_asked_about_has_said_it_itself() -> None:
    begun: list[LedgerEvent] = [planned(NEW, MEMBERS)]
    reads = iter([begun, [*begun, ended(NEW)]])
    events, found = cut_short(lambda: next(reads), lambda *_: "success", at(5), "t")
    assert found == []
    assert rollouts(events)[0].state == "rolled out"


def test_a_run_that_was_cleared_and_deleted_is_cut_short_again() -> None:
    events = [*after([planned(NEW, MEMBERS)], "failed"), waits(6)]
    assert rollouts(events)[0].state == "waits"
    again = after(events, None, 7)
    assert rollouts(again)[0].state == "cut short"
    assert len({event.path for event in again}) == len(again)


def test_two_fleets_of_one_run_have_a_rollout_each() -> None:
    other = planned(NEW, MEMBERS)
    other = other.model_copy(update={"detail": other.detail.model_copy(update={"fleet": "shop"})})
    assert {row.fleet for row in rollouts([planned(NEW, MEMBERS), other])} == {"web", "shop"}
