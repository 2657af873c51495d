"""Whatever the gate lets stop, a model of the cluster keeps min ISR and its quorum."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import assume, event, given
from hypothesis import strategies as st

from kafka_agent.batches import largest
from kafka_agent.facts import Broker, Cluster, Local, Partition, Quorum, Voter
from kafka_agent.gate import decide, faults, violated

NOW = 1_000_000


@st.composite
def partitions(draw: st.DrawFn, ids: list[int], index: int) -> Partition:
    """Any: with brokers that are gone, out of sync, on the move."""
    some = st.lists(st.sampled_from(ids), min_size=1, max_size=4, unique=True)
    replicas = draw(some)
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        target = draw(some)
        adding = tuple(one for one in target if one not in replicas)
        removing = tuple(one for one in replicas if one not in target)
        replicas = [*target, *removing]
    isr = [one for one in replicas if draw(st.integers(0, 3))]
    return Partition(
        topic="t",
        index=index,
        leader_id=draw(st.sampled_from(isr)) if isr else -1,
        replicas=tuple(replicas),
        isr=tuple(isr),
        min_isr=draw(st.integers(1, 3)),
        adding=adding,
        removing=removing,
    )


@st.composite
def clusters(draw: st.DrawFn, *, most: int = 6, well: bool = False) -> Cluster:
    """Up to `most` brokers; `well`: each of them is alive."""
    count = draw(st.integers(1, most))
    ids = list(range(1, count + 1))
    racks = draw(st.sampled_from([1, 2, 3]))
    voters = draw(st.lists(st.sampled_from(ids), min_size=1, max_size=5, unique=True))
    rarely = st.integers(0, 12)
    leader = draw(st.sampled_from([-1, *voters] if not well else voters))
    late = st.sampled_from([0, 0, 0, 5000])
    return Cluster(
        cluster_id="c",
        quorum=Quorum(
            leader_id=leader,  # its own timestamp is its present time
            voters=tuple(
                Voter(one, "", NOW - (draw(late) if one != leader else 0)) for one in voters
            ),
        ),
        brokers=tuple(
            Broker(
                one,
                f"kafka-{one}",
                rack=str(one % racks),
                fenced=not well and draw(rarely) == 0,
                silent="dead" if not well and draw(rarely) == 0 else "",
                name=f"kafka-{one}",
            )
            for one in ids
        ),
        partitions=tuple(draw(partitions(ids, one)) for one in range(draw(st.integers(0, 5)))),
    )


def after(partition: Partition, stopped: frozenset[int], dead: frozenset[int]) -> list[set[int]]:
    """Each ISR that the partition can have once these are gone: its reassignment may end before."""
    now = set(partition.isr) - dead
    target = set(partition.target)
    found = [now]
    if partition.moving and target <= now:  # it ends when all of its target are in sync
        found.append(target)
    return [one - stopped for one in found]


def check(cluster: Cluster, stopped: frozenset[int]) -> None:
    """The model's own rules, not those of the code."""
    dead = frozenset(one.node_id for one in cluster.brokers if one.silent or one.fenced) - stopped
    assert not dead
    for one in cluster.partitions:
        if not stopped & set(one.replicas):
            continue
        copies = len(set(one.replicas) - set(one.removing))
        was_out = frozenset(
            broker.node_id for broker in cluster.brokers if broker.silent or broker.fenced
        )
        for left in after(one, stopped, was_out):
            if copies > one.min_isr:
                assert len(left) >= one.min_isr, one
            elif copies > 1:
                assert len(stopped & set(one.replicas)) <= 1
                assert left, one
    voters = {one.node_id for one in cluster.quorum.voters}
    has_all = {one.node_id for one in cluster.quorum.voters if NOW - one.caught_up_ms < 2000}
    if len(voters) > 2:
        assert 2 * len(has_all - stopped) > len(voters)
    assert cluster.quorum.leader_id in voters


@given(clusters(), st.integers(1, 6), st.sets(st.integers(1, 6), max_size=2))
def test_whatever_is_let_stop_keeps_min_isr_and_the_quorum(
    cluster: Cluster, node: int, down: set[int]
) -> None:
    ids = {one.node_id for one in cluster.brokers}
    assume(node in ids)
    deliberate = frozenset(down & ids) - {node}
    own = cluster.broker(node)
    assume(own is not None and own.safe)
    decision = decide(cluster, Local(node, running=True), deliberate)
    event("open" if decision.open else "blocked")
    if decision.open:
        check(cluster, deliberate | {node})


@given(clusters(), st.integers(1, 6))
def test_what_blocks_is_named_and_nothing_else_blocks(cluster: Cluster, node: int) -> None:
    """With the bounds taken away one by one the gate opens: each blocker is a reason of its own."""
    assume(cluster.broker(node) is not None)
    decision = decide(cluster, Local(node, running=True))
    for one in decision.blockers:
        assert one.text
        if one.subject.startswith("t-"):
            named = next(each for each in cluster.partitions if str(each) == one.subject)
            assert node in named.replicas
            left = tuple(each for each in cluster.partitions if each != named)
            fewer = decide(replace(cluster, partitions=left), Local(node, running=True))
            assert one.subject not in {each.subject for each in fewer.blockers}


def may_go_together(cluster: Cluster, some: frozenset[int]) -> bool:
    """By its definition: what the gate would say, one rack, no active controller among others."""
    racks = {one.rack for one in cluster.brokers if one.node_id in some}
    alone = len(some) == 1 or cluster.quorum.leader_id not in some
    return (
        alone
        and len(racks) == 1
        and not list(faults(cluster, some))
        and not list(violated(cluster, some))
    )


@given(clusters(most=7, well=True))
def test_no_set_is_larger_than_the_batch_by_trying_all(cluster: Cluster) -> None:
    ids = [one.node_id for one in cluster.brokers]
    for node in ids:
        alone = frozenset({node})
        if not may_go_together(cluster, alone):
            continue
        batch = largest(cluster, alone)
        assert node in batch
        assert may_go_together(cluster, batch)
        size = max(
            count
            for count in range(1, len(ids) + 1)
            for some in combinations(ids, count)
            if node in some and may_go_together(cluster, frozenset(some))
        )
        assert len(batch) == size
        event(f"batch of {size}")


@given(clusters(most=7, well=True))
def test_each_part_of_a_batch_may_go_one_after_the_other(cluster: Cluster) -> None:
    """Its members are stopped in any order, each asking its own gate with those before it."""
    for node in (one.node_id for one in cluster.brokers):
        if not may_go_together(cluster, frozenset({node})):
            continue
        batch = sorted(largest(cluster, frozenset({node})))
        for place, one in enumerate(batch):
            before = frozenset(batch[:place])
            # Those before are off by now, and may have left each ISR or not.
            for gone in (False, True):
                now = replace(
                    cluster,
                    brokers=tuple(
                        replace(each, silent="off") if each.node_id in before else each
                        for each in cluster.brokers
                    ),
                    partitions=tuple(
                        replace(each, isr=tuple(x for x in each.isr if x not in before))
                        if gone
                        else each
                        for each in cluster.partitions
                    ),
                )
                assert decide(now, Local(one, running=True), before).open
