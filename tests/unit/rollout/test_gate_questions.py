"""Whom a plan asks at its gates, and what becomes of the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK

from bakehouse.fleet.gate import Gate, HttpCheck
from bakehouse.rollout import gate_questions
from bakehouse.rollout.gate_questions import Question, questions, unanswered, with_answers
from bakehouse.rollout.plan import Change, Reported, RolloutPlan
from bakehouse.rollout.plan_parts import GateAnswer, NotAsked
from bakehouse.rollout.plan_text import plan_lines
from bakehouse.rollout.states import Strategy

NOW = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
GATE = Gate()
OUTSIDE = Gate(http=HttpCheck(url="https://lb.example/$member"))


def change(name: str, **more: Any) -> Change:
    return Change(name=name, zone="z", id="7", disk=f"{name}-1", old=OLD_DISK, **more)


def report(name: str, *, gate: bool = True, ill: str = "", stamp: str = "s") -> Reported:
    boot = f"boot-{name}"
    return Reported(name=name, zone="z", at=NOW, stamp=stamp, ill=ill, gate=gate, boot_id=boot)


def plan(*names: str, sizes: tuple[int, ...] = (), **more: Any) -> RolloutPlan:
    changes = [change(name) for name in names]
    stages, start = [], 0
    for size in sizes or (len(names),):
        stages.append(tuple(changes[start : start + size]))
        start += size
    told = {"reported": tuple(map(report, names)), **more}
    return RolloutPlan(fleet="web", run="run", image=NEW_IMAGE, stages=tuple(stages), **told)


def names(found: RolloutPlan) -> list[list[str]]:
    return [[change.name for change in stage] for stage in found.stages]


def test_each_member_that_can_answer_is_asked_in_the_order_of_the_plan() -> None:
    asked, not_asked = questions(plan("b", "a"), GATE)
    assert asked == [
        Question(member="b", zone="z", boot_id="boot-b", has_gate=True),
        Question(member="a", zone="z", boot_id="boot-a", has_gate=True),
    ]
    assert not_asked == []


def test_of_a_fleet_without_gates_nobody_is_asked_and_nothing_is_told() -> None:
    found = plan("a", "b", reported=(report("a", gate=False), report("b", gate=False)))
    assert questions(found, GATE) == ([], [])
    assert with_answers(found, (), (), NOW) == found
    ignored = Gate(script="ignored")
    assert questions(plan("a"), ignored) == ([], [])


def test_whoever_cannot_be_asked_is_told_with_the_reason() -> None:
    off = report("off", ill="it is TERMINATED", stamp="")
    reports = (report("a"), off, report("old", gate=False))
    found = plan("a", "off", "old", "begun", reported=reports)
    asked, not_asked = questions(found, GATE)
    assert [question.member for question in asked] == ["a"]
    assert not_asked == [
        NotAsked(why="it is TERMINATED", members=("off",)),
        NotAsked(why="its image has no gate", members=("old",)),
        NotAsked(why="this rollout has begun with it", members=("begun",)),
    ]


def test_a_check_outside_is_asked_for_members_without_a_gate_too() -> None:
    found = plan("a", "b", reported=(report("a"), report("b", gate=False)))
    asked, not_asked = questions(found, OUTSIDE)
    assert [(q.member, q.has_gate) for q in asked] == [("a", True), ("b", False)]
    assert not_asked == []


def test_a_member_that_is_created_takes_nobody_away_and_is_not_asked() -> None:
    found = plan("a")
    created = change("new", strategy=Strategy.CREATE)
    both = found.model_copy(update={"stages": ((created, *found.changes),)})
    asked, not_asked = questions(both, GATE)
    assert [question.member for question in asked] == ["a"]
    assert not_asked == []


def test_of_a_thousand_members_the_first_are_asked_and_the_others_are_counted() -> None:
    every = [f"m-{number}" for number in range(1000)]
    asked, (rest,) = questions(plan(*every), GATE)
    assert [question.member for question in asked] == every[:50]
    assert (rest.members, rest.why) == (
        tuple(every[50:]),
        "beyond the first 50, each is asked before its stop",
    )


def test_leaders_come_last_among_their_like_whatever_else_is_the_order() -> None:
    reports = (*map(report, "abcd"), report("e", ill="unhealthy"), report("f", ill="silent"))
    found = plan(*"efabcd", sizes=(2, 2, 2), reported=reports)
    answers = [
        GateAnswer(member=name, open=True, leader=name in {"e", "a", "c"}) for name in "efabcd"
    ]
    led = with_answers(found, answers, (), NOW)
    assert names(led) == [["f", "e"], ["b", "d"], ["a", "c"]], "ill ones are still the first"
    assert led.leaders == ("e", "a", "c")
    assert names(with_answers(led, answers, (), NOW)) == names(led)


def test_what_is_closed_is_what_the_rollout_would_wait_for() -> None:
    answers = [
        GateAnswer(member="a", open=True, why="all is well", detail="all is well\nformat x 3"),
        GateAnswer(member="b", open=False, why="gate: lags"),
        GateAnswer(member="c", open=False, why="gate: lags"),
    ]
    found = with_answers(plan("a", "b", "c"), answers, (), NOW)
    (blocker,) = found.blockers
    assert (blocker.what, blocker.why, blocker.members) == ("gate", "gate: lags", ("b", "c"))
    assert found.gates is not None
    assert found.gates.answers[0].detail == "all is well\nformat x 3", "kept as it was said"
    assert RolloutPlan.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("ill", "is_open", "why"),
    [
        ("", False, "gate: has not answered within 20 s"),
        ("silent", True, "it cannot be asked, and is down anyway: silent"),
    ],
)
def test_no_answer_is_no_consent_of_a_member_that_is_well(
    ill: str, is_open: bool, why: str
) -> None:
    question = Question(member="a", zone="z", has_gate=True, ill=ill)
    answer = unanswered(question, GATE, "has not answered within 20 s")
    assert (answer.open, answer.why) == (is_open, why)


def test_the_text_says_who_may_be_stopped_who_leads_and_who_was_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate_questions, "ASK_AT_MOST", 4)
    found = plan(*"abcdef")
    answers = [
        GateAnswer(member="a", open=True),
        GateAnswer(member="b", open=True, why="leader: orders-7", leader=True),
        GateAnswer(member="c", open=False, why="gate: lags"),
        GateAnswer(member="d", open=True),
    ]
    lines = list(plan_lines(with_answers(found, answers, questions(found, GATE)[1], NOW)))
    start = lines.index(
        "gates: 3 of 4 may be stopped, asked at 2026-11-28 02:00:00 UTC and again before each stop"
    )
    assert lines[start + 1 : start + 5] == [
        "  a, d: open",
        "  b: leader: orders-7 (a leader)",
        "  c: closed, gate: lags",
        "  e, f: not asked, beyond the first 4, each is asked before its stop",
    ]
    assert "  gate: gate: lags (these wait: c)" in lines
