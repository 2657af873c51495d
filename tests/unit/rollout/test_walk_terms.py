"""What a member's walk keeps to."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.walk_terms import DOWN_FOR, Terms

TERMS = Terms(
    conn_id="c",
    turn="1.0",
    healthy_within=timedelta(minutes=5),
    deadline=time.time() + 600,
    first_until=None,
    fields=HandoverFields(),
    windows=[],
    closed="",
    closed_until=None,
    others={"a": "z", "b": "z"},
    ahead=[],
    down=frozenset({"b"}),
)


def test_who_is_down_is_known_for_the_first_question_and_read_again_for_the_next() -> None:
    terms = replace(TERMS, down_at=time.time())
    assert terms.take_down() == frozenset({"b"})
    assert terms.take_down() is None


def test_who_was_down_some_time_ago_is_read_again() -> None:
    assert replace(TERMS, down_at=time.time() - 2 * DOWN_FOR).take_down() is None
    assert replace(TERMS, down=None, down_at=time.time()).take_down() is None
