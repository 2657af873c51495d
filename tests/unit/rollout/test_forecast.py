"""How long a rollout will take."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fake_compute import NEW_IMAGE, NOW

from bakehouse.core.reasons import Reason
from bakehouse.core.time import in_short
from bakehouse.history.rollout_events import MemberDetail, MemberReplacedEvent
from bakehouse.rollout.forecast import forecast, seconds_of_a_turn
from bakehouse.rollout.plan_parts import Blocker, Forecast
from bakehouse.rollout.planner import plan

from .test_order import member

if TYPE_CHECKING:
    from bakehouse.rollout.plan import RolloutPlan

SOAK, DEADLINE = timedelta(minutes=1), timedelta(minutes=10)


def past(name: str, seconds: float | None, at: float = 0, **more: Any) -> MemberReplacedEvent:
    detail = MemberDetail(
        fleet=more.pop("fleet", "web"),
        member=name,
        zone="z",
        instance_id="1",
        disk="d",
        image_id="1",
        old_image="o",
        old_image_id="0",
        state="replaced",
        why="",
        seconds=seconds,
    )
    return MemberReplacedEvent(
        time=NOW,
        at=NOW + timedelta(seconds=at),
        dag_id="roll_out__web",
        run_id=more.pop("run", "r"),
        task_id="replace_1",
        recipe=more.pop("recipe", "web"),
        reason=Reason.NEW_IMAGE,
        subject=name,
        detail=detail,
    )


def planned(
    names: str = "abc", stages: tuple[int | str, ...] = (1, "100%"), **more: Any
) -> RolloutPlan:
    return plan("web", "run", NEW_IMAGE, stages, [member(n) for n in names], {}, **more)


def predicted(made: RolloutPlan, *events: MemberReplacedEvent, soak: timedelta = SOAK) -> Forecast:
    return forecast(made, events, NOW, soak=soak, deadline=DEADLINE)


def test_each_member_takes_what_it_took_and_a_new_one_what_its_fleet_took() -> None:
    events = [past("a", 10, 10), past("a", 30, 100, run="s"), past("b", 50, 200, run="t")]
    found = predicted(planned(), *events)
    spans = [(span.what, span.seconds) for span in found.spans]
    assert spans == [
        ("stage 1 (a)", 20),
        ("soak of stage 1", 60),
        ("stage 2 (2 members)", 50 + 30),
        ("soak of stage 2", 60),
    ]
    assert found.seconds == 220
    assert found.end == NOW + timedelta(seconds=220)
    assert (found.past, found.of) == (3, "the fleet web")
    assert found.blocker == "the soak: 2 min of 3 min 40 s"


def test_what_airflow_needs_between_two_members_is_counted() -> None:
    events = [past("a", 10, 10), past("b", 10, 25), past("c", 10, 600)]
    found = predicted(planned(stages=("100%",)), *events, soak=timedelta(0))
    assert found.seconds == 3 * (10 + 5), "5 s from a to b; the soak before c is no such time"


def test_members_that_are_down_together_take_the_time_of_one() -> None:
    events = [past(n, 60) for n in "abc"]
    found = predicted(planned(stages=("100%",), max_unavailable=3), *events, soak=timedelta(0))
    assert found.seconds == 60
    assert found.at_most == DEADLINE.total_seconds()


def test_without_own_replacements_those_of_the_recipe_count() -> None:
    other = past("x", 40, fleet="shop")
    found = predicted(planned("a", ("100%",)), other, past("y", 7, recipe="kafka", fleet="k"))
    assert (found.seconds, found.of, found.past) == (100, "the recipe web", 1)


@pytest.mark.parametrize("events", [[], [past("a", None)]])
def test_what_was_never_done_is_not_predicted_but_has_a_limit(events: list[Any]) -> None:
    found = predicted(planned("ab"), *events)
    assert (found.seconds, found.end) == (None, None)
    assert found.at_most == 2 * (600 + 60)


def test_a_rollout_of_nobody_ends_at_once() -> None:
    found = predicted(planned(""))
    assert (found.seconds, found.end, found.at_most) == (0, NOW, 0)


def test_the_blocker_is_what_it_waits_for_now_else_the_slowest_part_and_member() -> None:
    events = [past("a", 10, run="1"), past("b", 100, run="2"), past("c", 20, run="3")]
    slow = predicted(planned(), *events, soak=timedelta(0)).blocker
    assert slow == "stage 2 (2 members): 2 min of 2 min 10 s; the slowest member is b, 1 min 40 s"
    held = Blocker(what="lease", why="the run r of roll_out__web holds the lease")
    blocked = planned().model_copy(update={"blockers": (held,)})
    assert predicted(blocked, *events).blocker == held.why


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3599.6, "1 h"),
        (3700, "1 h 2 min"),
        (7200, "2 h"),
        (360_000, "100 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert in_short(seconds) == text


def test_a_turn_takes_what_its_stages_take_without_the_soaks() -> None:
    """One member, then two at a time: three turns of five members."""
    made = planned("abcde", max_unavailable=2)
    assert seconds_of_a_turn(made) == pytest.approx(0.0), "nothing is predicted"
    found = predicted(made, *(past(name, 60.0) for name in "abcde"))
    assert seconds_of_a_turn(made.model_copy(update={"forecast": found})) == pytest.approx(60.0)
    assert seconds_of_a_turn(planned("").model_copy(update={"forecast": found})) == pytest.approx(
        0.0
    )
