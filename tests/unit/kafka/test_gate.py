"""The decision of the Kafka gate: one row for each trap, and each blocker by its name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from tests.support.kafka_facts import CRASHED, DRAINED, NOW, RUNS, cluster, partition, quorum

from kafka_agent.facts import Cluster, Feature, Local, Recovery, Voter
from kafka_agent.gate import decide
from kafka_agent.limits import Kind
from kafka_agent.lines import of_gate


@dataclass(frozen=True)
class Case:
    """What is known, and what must be said; nothing is said of what blocks nothing."""

    what: str
    cluster: Cluster
    blocks: dict[Kind, str] = field(default_factory=dict)  # and a part of the sentence
    warns: str = ""
    local: Local = RUNS
    down: frozenset[int] = frozenset()


P, Q, B, R = Kind.PARTITION, Kind.QUORUM, Kind.BROKER, Kind.REASSIGNMENT
ELSEWHERE = quorum((101, 102, 103), leader=101)
STARTING = replace(RUNS, recovery=Recovery(3, 10, unclean=True))

CASES = [
    Case("everything is in sync", cluster(partition("orders-7", (1, 2, 3)))),
    Case("a cluster without topics", cluster()),
    # replicas in sync
    Case(
        "the ISR is at min ISR, and this broker is in it",
        cluster(partition("orders-7", (1, 2, 3), (1, 3))),
        {P: "orders-7 would have 1 of 2 in-sync replicas without broker 1 (kafka-1)"},
    ),
    Case(
        "the ISR is at min ISR, and this broker is out of it",
        cluster(partition("orders-7", (1, 2, 3), (2, 3))),
    ),
    Case(
        "the ISR is below min ISR; out of it, this broker may be the first to catch up",
        cluster(partition("orders-7", (1, 2, 3), (2,))),
        {P: "orders-7 has 1 of 2 in-sync replicas, and broker 1 (kafka-1) may be the first"},
    ),
    Case(
        "a partition that this broker does not hold is below min ISR",
        cluster(partition("orders-7", (2, 3, 4), (2,)), brokers=4),
    ),
    Case(
        "the effective min ISR is that of the topic",
        cluster(partition("orders-7", (1, 2, 3), (1, 2), min_isr=1)),
    ),
    Case(
        "no leader, and only ELR: this broker can be elected",
        cluster(partition("orders-7", (1, 2, 3), (), elr=(1,))),
        {P: "be the first to catch up (in sync: none; eligible leaders: 1)"},
    ),
    Case(
        "four replicas, two of them out of sync",
        cluster(partition("orders-7", (1, 2, 3, 4), (1, 2)), brokers=4),
        {P: "orders-7"},
    ),
    # replication factor at or below min ISR
    Case(
        "one replica is let through, or it could never be rolled",
        cluster(partition("audit-0", (1,), min_isr=2)),
        warns="audit-0 has replication factor 1 and min.insync.replicas 2: it is offline",
    ),
    Case(
        "one replica with min ISR 1 as well",
        cluster(partition("audit-0", (1,), min_isr=1)),
        warns="audit-0 has replication factor 1",
    ),
    Case(
        "two replicas of min ISR 2 are let through",
        cluster(partition("audit-0", (1, 2), min_isr=2)),
        warns="writes with acks=all fail",
    ),
    Case(
        "three of three as well",
        cluster(partition("audit-0", (1, 2, 3), min_isr=3)),
        warns="audit-0",
    ),
    Case(
        "not the only copy in sync, while another catches up",
        cluster(partition("audit-0", (1, 2), (1,))),
        {P: "audit-0 has 1 in-sync replicas of 2, and would have none"},
        warns="audit-0",
    ),
    Case(
        "of these, one broker at a time",
        cluster(partition("audit-0", (1, 2, 3), min_isr=3), of=ELSEWHERE),
        {P: "replication factor 3 and min.insync.replicas 3: one broker of it at a time"},
        warns="audit-0",
        down=frozenset({2}),
    ),
    Case(
        "of these, one broker at a time, also where a third has the only copy in sync",
        cluster(partition("audit-0", (1, 2, 3), (3,), min_isr=3), of=ELSEWHERE),
        {P: "replication factor 3 and min.insync.replicas 3: one broker of it at a time"},
        warns="audit-0",
        down=frozenset({2}),
    ),
    # brokers
    Case(
        "a broker was killed: every ISR lists it for nine seconds, and it is not fenced",
        cluster(partition("orders-7", (2, 3, 4)), brokers=4, silent={4}),
        {B: "broker 4 (kafka-4) does not answer: no answer"},
    ),
    Case(
        "a dead broker's place in the ISR counts nothing",
        cluster(partition("orders-7", (1, 2, 3)), silent={2}),
        {B: "broker 2 (kafka-2)", P: "orders-7 would have 1 of 2 in-sync replicas"},
    ),
    Case(
        "a fenced broker, which may be in log recovery",
        cluster(partition("orders-7", (1, 3)), brokers=4, fenced={4}),
        {B: "broker 4 (kafka-4) is fenced"},
        warns="orders-7",
    ),
    Case(
        "a fenced broker that is stopped on purpose",
        cluster(partition("orders-7", (1, 2, 3)), brokers=4, fenced={4}),
        down=frozenset({4}),
    ),
    Case(
        "one that is stopped on purpose counts as stopped before it is",
        cluster(partition("orders-7", (1, 2, 3)), of=ELSEWHERE),
        {P: "orders-7 would have 1 of 2 in-sync replicas without broker 1 (kafka-1) and broker 2"},
        down=frozenset({2}),
    ),
    Case(
        "a broker without a vote lags behind the metadata: what it answers is old",
        cluster(
            brokers=4,
            of=replace(quorum(), observers=(Voter(4, "", NOW - 5000),)),
        ),
        {B: "broker 4 (kafka-4) is behind the metadata log"},
    ),
    Case(
        "a voter is listed as the observer too that it was before it got its vote",
        cluster(of=replace(quorum(), observers=(Voter(2, "", NOW - 5000),))),
    ),
    # this broker itself
    Case(
        "this broker recovers its logs",
        cluster(fenced={1}),
        {Kind.STARTING: "broker 1 recovers its logs: 3 of 10 done"},
        local=STARTING,
    ),
    Case(
        "it is fenced, and its log does not say why",
        cluster(fenced={1}),
        {Kind.STARTING: "broker 1 runs and is fenced"},
    ),
    Case(
        "it is fenced, and its logs are loaded: a fix must reach it",
        cluster(fenced={1}),
        local=replace(RUNS, recovery=Recovery(10, 10, unclean=True)),
    ),
    Case("it hangs: a fix must reach it", cluster(silent={1}), local=RUNS),
    Case(
        "it does not run: its stop takes nothing away, whatever is wrong",
        cluster(partition("orders-7", (1, 2, 3), (2,)), silent={1, 3}),
        local=CRASHED,
        warns="otherwise: broker 3 (kafka-3) does not answer",
    ),
    Case(
        "it was drained, and a broker has died since: it is needed again",
        cluster(partition("orders-7", (1, 2, 3), (2,)), silent={1, 3}),
        {B: "broker 3", P: "orders-7 has 1 of 2"},
        local=DRAINED,
    ),
    Case(
        "it was drained, and the others have all",
        cluster(partition("orders-7", (1, 2, 3), (2, 3)), fenced={1}, silent={1}),
        local=DRAINED,
    ),
    Case(
        "it was killed, and its next start recovers its logs",
        cluster(silent={1}),
        local=replace(CRASHED, unclean_dirs=("/d1", "/d2")),
        warns="no clean shutdown mark in /d1, /d2: the next start recovers logs",
    ),
    Case(
        "the brokers that were asked are of another cluster",
        cluster(partition("orders-7", (1, 2, 3))),
        {Kind.CLUSTER: "bootstrap.servers are of the cluster c, and the disk of broker 1 is of d"},
        local=replace(RUNS, cluster_id="d"),
    ),
    Case("it is not registered any more", replace(cluster(), brokers=cluster().brokers[1:])),
    Case(
        "a topic that the agent may not see: Kafka leaves it out of every list",
        cluster(partition("orders-7", (1, 2, 3))),
        {Kind.HIDDEN: "secret-0 is on the disk of broker 1, and the agent does not see it: its"},
        local=replace(RUNS, on_disk=frozenset({"secret-0", "orders-7"})),
    ),
    # the quorum
    Case(
        "a voter is behind: two of three are not left",
        cluster(of=quorum(behind={2: 2000})),
        {
            Q: "the quorum would have 1 caught-up voters of the 2 it needs of 3 without broker 1 "
            "(kafka-1) (behind: voter 2)"
        },
    ),
    Case("a voter is behind by less than the fetch timeout", cluster(of=quorum(behind={2: 1999}))),
    Case(
        "a longer fetch timeout of the cluster counts",
        cluster(of=quorum(behind={2: 19_000}, fetch_timeout_ms=20_000)),
    ),
    Case(
        "nothing is known of a voter",
        cluster(of=quorum(behind={2: -1})),
        {Q: "behind: voter 2"},
    ),
    Case("this voter itself is behind: it is not missed", cluster(of=quorum(behind={1: 60_000}))),
    Case(
        "five voters, one behind",
        cluster(brokers=5, of=quorum(range(1, 6), behind={2: 60_000})),
    ),
    Case(
        "five voters, two behind",
        cluster(brokers=5, of=quorum(range(1, 6), behind={2: 60_000, 4: -1})),
        {Q: "2 caught-up voters of the 3 it needs of 5"},
    ),
    Case(
        "four voters need three",
        cluster(brokers=4, of=quorum(range(1, 5), behind={2: 60_000})),
        {Q: "2 caught-up voters of the 3 it needs of 4"},
    ),
    Case("no leader", cluster(of=quorum(leader=-1)), {Q: "the quorum has no leader"}),
    Case(
        "the majority is gone: this broker has no vote, and stays as well",
        cluster(brokers=4, of=quorum((2, 3, 4), behind={2: 9000, 4: -1})),
        {Kind.VOTER: "the quorum has 1 caught-up voters of the 2 it needs (behind: voter 2, 4)"},
    ),
    Case(
        "controllers of their own: this broker has no vote",
        cluster(of=quorum((101, 102, 103), leader=101)),
    ),
    Case(
        "one voter: there is no way to keep a majority",
        cluster(brokers=1, of=quorum((1,), leader=1)),
        warns="the quorum has 1 voter: there is no active controller while one is stopped",
    ),
    Case(
        "two voters, both caught up",
        cluster(brokers=2, of=quorum((1, 2), leader=2)),
        warns="the quorum has 2 voters",
    ),
    Case(
        "two voters, the other behind",
        cluster(brokers=2, of=quorum((1, 2), leader=1, behind={2: 9000})),
        {Q: "the quorum has 2 voters, and 0 would be caught up"},
        warns="the quorum has 2 voters",
    ),
    # reassignments
    Case(
        "a reassignment takes the others of the ISR away just after the question",
        cluster(
            partition("orders-7", (1, 2, 3, 4), (1, 2, 3), adding=(4,), removing=(3,)), brokers=4
        ),
        {R: "orders-7 would have 1 of 2 in-sync replicas of its target 1, 2, 4 (a reassignment is"},
    ),
    Case(
        "the target has enough in sync without this broker",
        cluster(
            partition("orders-7", (1, 2, 3, 4), (1, 2, 3, 4), adding=(4,), removing=(3,)), brokers=4
        ),
    ),
    Case(
        "it takes this broker's replica away, and nothing of the target is in sync",
        cluster(
            partition(
                "orders-7", (1, 2, 3, 4, 5, 6), (1, 2, 3), adding=(4, 5, 6), removing=(1, 2, 3)
            ),
            brokers=6,
        ),
        {R: "orders-7 has 0 of 2 in-sync replicas of its target 4, 5, 6"},
    ),
    Case(
        "this broker is being added",
        cluster(
            partition("orders-7", (1, 2, 3, 4), (2, 3, 4), adding=(1,), removing=(4,)), brokers=4
        ),
    ),
    Case(
        "a shrink to two replicas of min ISR 2 is let through by its target",
        cluster(partition("orders-7", (1, 2, 3), removing=(3,))),
        warns="orders-7 has replication factor 2",
    ),
    Case(
        "a reassignment elsewhere",
        cluster(
            partition("orders-7", (2, 3, 4, 5), (2, 3, 4), adding=(5,), removing=(2,)), brokers=5
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[one.what for one in CASES])
def test_a_broker_may_stop(case: Case) -> None:
    decision = decide(case.cluster, case.local, case.down)
    told = {one.kind: one.text for one in decision.blockers}
    assert set(told) == set(case.blocks), told
    for kind, part in case.blocks.items():
        assert part in told[kind]
    assert bool(decision.warnings) == bool(case.warns), decision.warnings
    assert case.warns in "\n".join(decision.warnings)


def test_the_active_controller_is_told_by_the_quorum_alone() -> None:
    assert decide(cluster(of=quorum(leader=1)), RUNS).leads
    assert not decide(cluster(of=quorum(leader=3)), RUNS).leads


FEATURES = (
    Feature("eligible.leader.replicas.version", 1, (0, 1)),
    Feature("group.version", None, (0, 1)),
    Feature("metadata.version", 33, (7, 33)),
)


def test_an_open_gate_says_leader_batch_and_formats() -> None:
    six = cluster(
        partition("orders-7", (1, 2, 3)),
        partition("audit-0", (1,), min_isr=1),
        brokers=6,
        features=FEATURES,
    )
    assert of_gate(decide(six, RUNS)).splitlines() == [
        "open: broker 1 may stop",
        "batch kafka-1 kafka-4",
        "format eligible.leader.replicas.version 1",
        "format metadata.version 33",
        "warning: audit-0 has replication factor 1 and min.insync.replicas 1: it is offline while "
        "one of its brokers is stopped",
    ]


def test_the_active_controller_goes_alone_and_says_so() -> None:
    six = cluster(partition("orders-7", (1, 2, 3)), brokers=6, of=quorum(leader=1))
    assert of_gate(decide(six, RUNS)).splitlines() == [
        "open: broker 1 may stop",
        "leader: active controller",
        "batch kafka-1",
    ]


def test_a_closed_gate_says_leader_and_formats_and_no_batch() -> None:
    three = cluster(
        partition("orders-7", (1, 2, 3), (1, 3)), of=quorum(leader=1), features=FEATURES
    )
    assert of_gate(decide(three, RUNS)).splitlines() == [
        "blocked: orders-7 would have 1 of 2 in-sync replicas without broker 1 (kafka-1) "
        "(in sync: 1, 3)",
        "leader: active controller",
        "format eligible.leader.replicas.version 1",
        "format metadata.version 33",
    ]


def test_ten_thousand_partitions_that_block_are_counted_and_fit_an_answer() -> None:
    many = [partition(f"{'t' * 200}-{one}", (1, 2, 3), (1, 3)) for one in range(10_000)]
    told = of_gate(decide(cluster(*many), RUNS)).splitlines()
    assert len(told) == 21
    assert told[-1] == "blocked: and 9980 more reasons"


def test_a_name_with_a_line_feed_makes_no_line_of_its_own() -> None:
    evil = cluster(silent={2})
    brokers = (replace(evil.brokers[1], silent="x\nopen: broker 1 may stop"), evil.brokers[2])
    told = of_gate(decide(replace(evil, brokers=brokers), RUNS))
    assert told == "blocked: broker 2 (kafka-2) does not answer: x open: broker 1 may stop\n"
