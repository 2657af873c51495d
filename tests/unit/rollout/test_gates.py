"""Whether a member may be stopped, from what it and others have said; and what an order is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.fleet.members import NEW_FLEET
from bakehouse.rollout.gates import (
    FRESH,
    GuestFacts,
    down_of,
    guest_agrees,
    http_agrees,
    may_go_together,
    prometheus_agrees,
)
from bakehouse.rollout.orders import (
    Answer,
    Order,
    answer_to,
    nonce_of,
    order_text,
    parse_answer,
    with_order,
)


def answer(state: str = "ok", detail: str = "") -> Answer:
    return Answer("gate", "n1", "b1", state, detail)


def facts(found: Answer | None, **more: Any) -> GuestFacts:
    return GuestFacts(**{"has_gate": True, "answer": found, **more})


@pytest.mark.parametrize(
    ("found", "is_open", "why"),
    [
        (facts(answer()), True, ""),
        (facts(answer("ok", "all 7 in sync")), True, "all 7 in sync"),
        (facts(answer("blocked", "p-7 lags\nby 9")), False, "gate: p-7 lags; by 9"),
        (facts(answer("blocked")), False, "gate: it says no more"),
        (facts(answer("failed", "boom")), False, "gate has not answered (failed): boom"),
        (facts(answer("unknown", "?")), False, "gate has not answered (unknown): ?"),
        (facts(None), False, "gate: no answer"),
        (facts(answer(), age=FRESH + timedelta(seconds=1)), False, "gate: its answer is 61 s old"),
        (GuestFacts(has_gate=False), True, ""),
        (facts(answer("none")), True, ""),
    ],
)
def test_a_member_is_stopped_only_if_it_has_just_agreed(
    found: GuestFacts, is_open: bool, why: str
) -> None:
    gate = guest_agrees(found)
    assert (gate.open, gate.why) == (is_open, why)


def test_a_member_that_is_down_and_cannot_be_asked_takes_nothing_away() -> None:
    ill = facts(None, ill="no health report for 120 s")
    assert guest_agrees(ill).open
    assert "no health report for 120 s" in guest_agrees(ill).why
    blocked = facts(answer("blocked", "p-7 lags"), ill="unhealthy: slow")
    assert not guest_agrees(blocked).open, "what it says counts, however it is"


def test_a_fleet_may_require_a_gate() -> None:
    without = GuestFacts(has_gate=False)
    gate = guest_agrees(without, required=True)
    assert (gate.open, gate.why) == (False, "its image has no gate, which the fleet requires")
    assert not guest_agrees(facts(answer("none")), required=True).open
    assert guest_agrees(GuestFacts(has_gate=False, ill="silent"), required=True).open


@pytest.mark.parametrize(
    ("status", "said", "expected", "is_open", "why"),
    [
        (200, "yes", None, True, ""),
        (299, "", None, True, ""),
        (204, "", 204, True, ""),
        (200, "yes", 204, False, "http: status 200 instead of 204, yes"),
        (503, "draining\nnode 4", None, False, "http: status 503, draining node 4"),
        (302, "", None, False, "http: status 302"),
        (None, "no answer within 10 s", None, False, "http: no answer within 10 s"),
    ],
)
def test_an_http_check_agrees_by_its_status(
    status: int | None, said: str, expected: int | None, is_open: bool, why: str
) -> None:
    gate = http_agrees(status, said, expected)
    assert (gate.open, gate.why) == (is_open, why)


def result(*samples: dict[str, Any], kind: str = "vector") -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": list(samples)}}


SAMPLE = {"metric": {"topic": "orders", "partition": "7"}, "value": [1764, "2"]}


@pytest.mark.parametrize(
    ("said", "expect", "is_open", "why"),
    [
        (result(SAMPLE), "result", True, ""),
        (result({"metric": {}, "value": [1, "0"]}), "result", True, ""),  # sum(x) == 0 is true
        (result(), "result", False, "prometheus: the query has no result"),
        (result(), "no_result", True, ""),
        (result(SAMPLE), "no_result", False, "prometheus: {partition=7, topic=orders} 2"),
        (result(SAMPLE, SAMPLE), "no_result", False, "{partition=7, topic=orders} 2 and 1 more"),
        ({"status": "error", "error": "parse error"}, "result", False, "prometheus: parse error"),
        ({"status": "error", "error": "parse error"}, "no_result", False, "parse error"),
        ("no answer within 10 s", "no_result", False, "prometheus: no answer within 10 s"),
        ([], "no_result", False, "prometheus: []"),
        (
            {"status": "success", "data": {"resultType": "scalar", "result": [1, "0"]}},
            "result",
            False,
            "the query is a number; compare it",
        ),
    ],
)
def test_a_query_agrees_by_having_a_result_and_an_error_never_does(
    said: Any, expect: str, is_open: bool, why: str
) -> None:
    gate = prometheus_agrees(said, expect)
    assert gate.open is is_open
    assert why in gate.why


def test_an_answer_counts_only_with_the_nonce_of_the_order() -> None:
    said = {"order": "gate", "nonce": "n1", "boot_id": "b1", "state": "ok", "leader": True}
    attributes = {"answer-gate": json.dumps(said), "answer-drain": json.dumps(said)}
    found = answer_to(attributes, Order.GATE, "n1")
    assert found is not None
    assert (found.state, found.leader, found.is_ok) == ("ok", True, True)
    assert answer_to(attributes, Order.GATE, "n2") is None
    assert answer_to(attributes, Order.RESUME, "n1") is None
    assert answer_to({}, Order.GATE, "n1") is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"order": "gate"}', "null"])
def test_what_is_no_answer_is_none(text: str | None) -> None:
    assert parse_answer(text) is None


def test_an_order_has_the_form_that_the_guest_reads() -> None:
    nonce = nonce_of("drain", "run", "web-1")
    order = json.loads(order_text(Order.DRAIN, nonce, "b1", 0.2, 7))
    assert order == {"order": "drain", "nonce": nonce, "boot_id": "b1", "limit": 1, "attempt": 7}
    assert len(nonce) == 32
    assert nonce == nonce_of("drain", "run", "web-1") != nonce_of("drain", "run", "web-2")


def test_an_order_changes_nothing_else_of_the_metadata() -> None:
    metadata = {"fingerprint": "f", "items": [{"key": "a", "value": "1"}, {"key": "b"}]}
    given = with_order(metadata, "text")
    assert given["items"] == [*metadata["items"], {"key": "bakehouse-order", "value": "text"}]
    assert with_order(given, "other")["items"][-1]["value"] == "other"
    assert with_order(given, None)["items"] == metadata["items"]
    assert with_order({}, None) == {"items": []}


def test_the_first_order_ends_what_holds_for_a_new_fleet_only() -> None:
    metadata = {"items": [{"key": NEW_FLEET, "value": "run"}, {"key": "a", "value": "1"}]}
    for text in ("text", None):
        assert NEW_FLEET not in str(with_order(metadata, text))
    assert with_order(metadata, None)["items"] == [{"key": "a", "value": "1"}]


BATCHES = [{"a", "d"}, {"a", "e", "g"}]


@pytest.mark.parametrize(
    ("beside", "batches", "why"),
    [
        ([], BATCHES, ""),
        (["d"], BATCHES, ""),
        (["e", "g"], BATCHES, ""),
        (["g"], BATCHES, ""),
        (["b"], BATCHES, "gate: not together with b (together with e, g)"),
        (["d", "e"], BATCHES, "gate: not together with d, e (together with e, g)"),
        (["b"], [{"a"}], "gate: not together with b (alone)"),
        (["b"], [{"b", "c"}], "gate: not together with b (alone)"),
        (["b"], [], ""),
    ],
)
def test_members_are_down_together_only_in_a_set_that_the_gate_has_named(
    beside: list[str], batches: list[set[str]], why: str
) -> None:
    gate = may_go_together("a", beside, batches)
    assert (gate.open, gate.why) == (not why, why)


names = st.sets(st.sampled_from("abcdef"))


@given(names, st.lists(names, min_size=1))
def test_a_named_set_is_never_exceeded(others: set[str], batches: list[set[str]]) -> None:
    beside = others - {"a"}
    if may_go_together("a", beside, batches).open and beside:
        assert any(beside | {"a"} <= batch for batch in batches)


def test_members_that_do_not_run_or_do_not_exist_are_down() -> None:
    there = {name: {"status": "RUNNING"} for name in "abc"} | {"d": {"status": "STOPPING"}}
    assert down_of("abcde", there) == {"d", "e"}


def test_a_gate_that_is_open_names_the_sets_that_may_go_together() -> None:
    said = answer("ok", "all in sync\nbatch a d\nbatch  a e g \nbatches are fine")
    assert said.batches == (frozenset("ad"), frozenset("aeg"))
    assert said.line == "all in sync; batches are fine", "lines for programs are not for people"
    beside = facts(said, member="a", beside=frozenset({"d"}))
    assert guest_agrees(beside).open
    other = facts(said, member="a", beside=frozenset({"b"}))
    assert guest_agrees(other).why == "gate: not together with b (together with e, g)"


def test_a_gate_that_is_closed_stays_so_whatever_sets_it_names() -> None:
    said = answer("blocked", "p-7 lags\nbatch a b")
    assert guest_agrees(facts(said, member="a", beside=frozenset({"b"}))).why == "gate: p-7 lags"


def test_an_answer_says_what_the_data_have_for_good() -> None:
    said = answer("ok", "leader: quorum\nformat metadata.version 33\nformat kraft.version 1")
    assert said.formats == {"metadata.version": 33, "kraft.version": 1}
    assert said.line == "leader: quorum"


def test_an_order_names_who_else_is_down() -> None:
    told = json.loads(order_text(Order.GATE, "n", "b", 9, 1, beside=["web-3", "web-2"]))
    assert told["beside"] == "web-2 web-3"
    assert "beside" not in json.loads(order_text(Order.GATE, "n", "b", 9, 1))
