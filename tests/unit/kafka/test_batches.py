"""The largest set of brokers that may be stopped together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.kafka_facts import cluster, partition, quorum

from kafka_agent.batches import STEPS, _Search, largest
from kafka_agent.gate import violated

if TYPE_CHECKING:
    import pytest

    from kafka_agent.facts import Partition

ELSEWHERE = quorum((101, 102, 103), leader=101)


def spread(brokers: int, partitions: int) -> list[Partition]:
    """As Kafka assigns with three racks: each partition has one replica in each."""
    return [
        partition(f"t-{one}", [1 + (one * 7 + part) % brokers for part in range(3)])
        for one in range(partitions)
    ]


def test_a_rack_goes_together_where_its_brokers_share_no_partition() -> None:
    nine = cluster(*spread(9, 200), brokers=9, of=ELSEWHERE)
    assert largest(nine, frozenset({2})) == {2, 5, 8}


def test_voters_are_bound_by_the_majority() -> None:
    nine = cluster(*spread(9, 200), brokers=9, of=quorum((2, 5, 8), leader=5))
    assert largest(nine, frozenset({2})) == {2}
    assert largest(nine, frozenset({1})) == {1, 4, 7}


def test_five_voters_let_two_go_and_the_active_controller_stays() -> None:
    five = cluster(brokers=5, racks=False, of=quorum(range(1, 6), leader=2))
    assert largest(five, frozenset({1})) == {1, 3}
    assert largest(five, frozenset({2})) == {2}


def test_other_racks_stay() -> None:
    assert largest(cluster(brokers=6, of=ELSEWHERE), frozenset({1})) == {1, 4}
    assert len(largest(cluster(brokers=6, racks=False, of=ELSEWHERE), frozenset({1}))) == 6


def test_brokers_that_share_a_partition_at_its_limit_do_not_go_together() -> None:
    shared = cluster(
        partition("t-0", (1, 4, 2)),
        partition("t-1", (4, 5, 6, 1), min_isr=2),
        brokers=7,
        of=ELSEWHERE,
    )
    assert largest(shared, frozenset({1})) == {1, 7}
    assert largest(shared, frozenset({4})) == {4, 7}


def test_a_dead_or_fenced_broker_is_in_no_batch() -> None:
    assert largest(cluster(brokers=7, silent={4}, of=ELSEWHERE), frozenset({1})) == {1, 7}
    assert largest(cluster(brokers=7, fenced={7}, of=ELSEWHERE), frozenset({1})) == {1, 4}


def test_those_that_are_down_on_purpose_are_in_the_batch() -> None:
    nine = cluster(brokers=9, silent={4}, of=ELSEWHERE)
    assert largest(nine, frozenset({1, 4})) == {1, 4, 7}


def test_a_large_cluster_without_racks_takes_a_bounded_number_of_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """60 brokers that share partitions at random cannot be tried out: what is found is taken."""
    placed = [
        partition(f"t-{one}", {1 + (one * 31 + part * part * 17 + part) % 60 for part in range(3)})
        for one in range(2000)
    ]
    large = cluster(*placed, brokers=60, racks=False, of=ELSEWHERE)
    steps = []
    visit = _Search.visit

    def counted(self: _Search, place: int, chosen: int) -> None:
        steps.append(place)
        visit(self, place, chosen)

    monkeypatch.setattr(_Search, "visit", counted)
    found = largest(large, frozenset({1}))
    assert STEPS < len(steps) < STEPS + 200
    assert len(found) > 10
    assert not list(violated(large, found))


def test_a_batch_of_an_unregistered_broker_is_itself() -> None:
    two = cluster(brokers=3, of=ELSEWHERE)
    assert largest(replace(two, brokers=two.brokers[1:]), frozenset({1})) == {1}
