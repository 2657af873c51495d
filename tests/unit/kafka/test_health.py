"""When a broker is healthy, busy, or neither."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.kafka_facts import CRASHED, DRAINED, RUNS, cluster, partition, quorum

from kafka_agent.facts import Recovery, Replica, Voter
from kafka_agent.health import assess
from kafka_agent.lines import of_health

WELL = cluster(partition("orders-7", (1, 2, 3)), partition("orders-8", (2, 3, 1)))
LATE = cluster(partition("orders-7", (1, 2, 3), (2, 3)), partition("orders-8", (2, 3, 1)))


def test_it_is_healthy_when_it_serves_and_has_everything() -> None:
    assert (
        of_health(assess(WELL, RUNS))
        == "healthy: broker 1 is unfenced, 2 replicas in sync, leads 1\n"
    )


@pytest.mark.parametrize(
    ("known", "local", "said"),
    [
        (WELL, CRASHED, "unhealthy: Kafka does not run: no process holds the lock"),
        (WELL, DRAINED, "unhealthy: Kafka does not run: it was drained"),
        (None, RUNS, "unhealthy: no broker answers"),
        (replace(WELL, brokers=WELL.brokers[1:]), RUNS, "unhealthy: broker 1 is not registered"),
        (cluster(fenced={1}), RUNS, "unhealthy: broker 1 (kafka-1) is fenced"),
        (cluster(silent={1}), RUNS, "unhealthy: broker 1 (kafka-1) does not answer: no answer"),
        (cluster(of=quorum(leader=-1)), RUNS, "unhealthy: the quorum has no leader"),
        (
            cluster(of=quorum(behind={1: 3000})),
            RUNS,
            "busy: 100 of 100 records of the metadata log",
        ),
        (cluster(of=quorum(behind={1: -1})), RUNS, "busy: 100 of 100 records of the metadata log"),
        (
            cluster(fenced={1}),
            replace(RUNS, recovery=Recovery(12, 340, unclean=True)),
            "busy: 12 of 340 logs are recovered after an unclean stop",
        ),
        (
            None,
            replace(RUNS, recovery=Recovery(12, 340, unclean=False)),
            "busy: 12 of 340 logs are loaded",
        ),
        (
            cluster(silent={1}),
            replace(RUNS, duplicate_registration=True, running_seconds=3.7),
            "busy: 3 of 9 seconds of the former session's timeout",
        ),
        (
            cluster(silent={1}),
            replace(RUNS, duplicate_registration=True, running_seconds=30.0),
            "busy: 9 of 9 seconds of the former session's timeout",
        ),
        (WELL, replace(RUNS, cluster_id="d"), "unhealthy: bootstrap.servers are of the cluster c"),
        (LATE, RUNS, "busy: 1 of 2 partitions are in sync; not orders-7"),
    ],
)
def test_it_says_what_is_missing(known: object, local: object, said: str) -> None:
    health = assess(known, local, trouble="no broker answers")  # type: ignore[arg-type]
    assert not health.healthy
    assert of_health(health).startswith(said)


@pytest.mark.parametrize(
    "other", [cluster(silent={2}), cluster(fenced={3}), cluster(of=quorum(behind={2: -1}))]
)
def test_another_broker_that_is_ill_does_not_make_this_one_ill(other: object) -> None:
    assert assess(other, RUNS).healthy  # type: ignore[arg-type]


def test_what_the_log_said_before_counts_no_more_once_it_serves() -> None:
    local = replace(RUNS, recovery=Recovery(1, 2, unclean=True), duplicate_registration=True)
    assert assess(WELL, local).healthy


def test_bytes_of_all_replicas_are_counted_so_that_the_number_grows_to_its_end() -> None:
    def after(own: int) -> str:
        sizes = [
            Replica("orders", 7, 2, 1000),
            Replica("orders", 7, 1, own),
            Replica("orders", 8, 2, 500),
            Replica("orders", 8, 1, 500),
        ]
        return of_health(assess(LATE, RUNS, sizes))

    assert after(0).startswith("busy: 500 of 1500 bytes of its replicas; not in sync: orders-7")
    assert after(400).startswith("busy: 900 of 1500 ")
    assert after(4000).startswith("busy: 1500 of 1500 ")


def test_many_replicas_out_of_sync_are_counted_and_five_are_named() -> None:
    late = cluster(*(partition(f"t-{one}", (2, 1), (2,)) for one in range(9)))
    assert "t-0, t-1, t-2, t-3, t-4 and 4 more" in assess(late, RUNS).text


def test_a_replica_that_a_reassignment_takes_away_need_not_be_in_sync() -> None:
    moved = partition("orders-7", (1, 2, 3, 4), (2, 3, 4), adding=(4,), removing=(1,))
    assert assess(cluster(moved, brokers=4), RUNS).healthy


def test_a_broker_without_controller_needs_no_vote() -> None:
    local = replace(RUNS, votes=False)
    assert assess(cluster(of=quorum((2, 3, 4), leader=2), brokers=4), local).healthy


def test_another_directory_id_is_told_with_the_commands_that_mend_it() -> None:
    text = assess(WELL, replace(RUNS, directory_id="new")).text
    assert (
        "controller 1 has the directory id new on its disk, and the quorum knows it by dir-1"
        in text
    )
    assert (
        "`kafka-metadata-quorum.sh --bootstrap-server kafka-2:9092,kafka-3:9092 remove-controller "
        "--controller-id 1 --controller-directory-id dir-1`" in text
    )
    assert "add-controller`" in text


def test_a_controller_that_joins_by_itself_is_waited_for() -> None:
    local = replace(RUNS, directory_id="new", auto_join=True)
    assert assess(WELL, local).text.endswith(
        "It takes its place by itself (controller.quorum.auto.join.enable)"
    )
    assert "it joins by itself" in assess(cluster(of=quorum((2, 3))), local).text


def test_a_controller_that_was_removed_is_told_to_be_added() -> None:
    other = replace(quorum((2, 3)), observers=(Voter(1, "new", 1_000_000),))
    text = assess(cluster(of=other), replace(RUNS, directory_id="new")).text
    assert text.startswith(
        "controller 1 is no voter of the quorum (voters: 2, 3): run, on this instance, "
    )
