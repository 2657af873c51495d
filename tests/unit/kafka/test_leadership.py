"""Leaders that move away before a stop, and back after it."""

from __future__ import annotations

from tests.support.kafka_facts import cluster, partition

from kafka_agent.leadership import handed_over, led_by, led_in_vain, to_elect

BEFORE = cluster(partition("a-0", (1, 2)), partition("a-1", (2, 1)), partition("b-0", (1,)))


def test_it_leads_what_it_leads() -> None:
    assert [str(one) for one in led_by(BEFORE, 1)] == ["a-0", "b-0"]


def test_a_hand_over_is_complete_when_others_lead_all_that_can_be_led() -> None:
    now = cluster(
        partition("a-0", (1, 2), (2,)), partition("a-1", (2, 1)), partition("b-0", (1,), ())
    )
    found = handed_over(led_by(BEFORE, 1), now, 1)
    assert found.complete
    assert ([str(one) for one in found.moved], [str(one) for one in found.offline]) == (
        ["a-0"],
        ["b-0"],
    )


def test_a_leader_that_has_stayed_or_is_missing_is_no_hand_over() -> None:
    assert not handed_over(led_by(BEFORE, 1), BEFORE, 1).complete
    gone = cluster(partition("a-0", (1, 2), (1,), leader=-1))
    found = handed_over(led_by(BEFORE, 1), gone, 1)
    assert not found.complete
    assert [str(one) for one in found.leaderless] == ["a-0"]


def test_a_topic_that_was_deleted_meanwhile_is_not_missed() -> None:
    assert handed_over(led_by(BEFORE, 1), cluster(), 1).complete


def test_preferred_leaders_are_elected_where_they_can_lead() -> None:
    now = cluster(
        partition("led-0", (1, 2)),
        partition("back-0", (1, 2), leader=2),
        partition("late-0", (1, 2), (2,)),
        partition("dead-0", (3, 2), leader=2),
        partition("moves-0", (1, 2, 3), leader=2, adding=(3,)),
        silent={3},
    )
    assert [str(one) for one in to_elect(now)] == ["back-0"]
    assert [str(one) for one in led_in_vain(now, 1)] == ["back-0", "late-0"]
