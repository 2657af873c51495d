"""Clusters for tests of the Kafka agent: short to write, well unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kafka_agent.facts import Broker, Cluster, Feature, Local, Partition, Quorum, Voter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOW = 1_000_000  # milliseconds of the leader's clock


def partition(
    name: str,
    replicas: Iterable[int],
    isr: Iterable[int] | None = None,
    min_isr: int = 2,
    *,
    leader: int | None = None,
    adding: Iterable[int] = (),
    removing: Iterable[int] = (),
    elr: Iterable[int] = (),
) -> Partition:
    """A partition; in sync are all replicas, and the first of them leads."""
    topic, _, index = name.rpartition("-")
    replicas = tuple(replicas)
    in_sync = replicas if isr is None else tuple(isr)
    first = in_sync[0] if in_sync else -1
    return Partition(
        topic=topic,
        index=int(index),
        leader_id=first if leader is None else leader,
        replicas=replicas,
        isr=in_sync,
        min_isr=min_isr,
        elr=tuple(elr),
        adding=tuple(adding),
        removing=tuple(removing),
    )


def quorum(
    voters: Iterable[int] = (1, 2, 3),
    leader: int = 3,
    behind: Mapping[int, int] | None = None,
    fetch_timeout_ms: int = 2000,
) -> Quorum:
    """A quorum; `behind` has milliseconds, -1 for a voter of which nothing is known."""
    late = behind or {}
    return Quorum(
        leader_id=leader,
        voters=tuple(
            Voter(one, f"dir-{one}", -1 if late.get(one) == -1 else NOW - late.get(one, 0), 100)
            for one in voters
        ),
        fetch_timeout_ms=fetch_timeout_ms,
    )


def cluster(
    *partitions: Partition,
    brokers: int = 3,
    silent: Iterable[int] = (),
    fenced: Iterable[int] = (),
    racks: bool = True,
    of: Quorum | None = None,
    features: Iterable[Feature] = (),
) -> Cluster:
    """Brokers 1 to N, one of three racks after the other; voters are the first three at most."""
    everyone = range(1, brokers + 1)
    return Cluster(
        cluster_id="c",
        quorum=of or quorum(tuple(everyone)[:3], leader=min(3, brokers)),
        brokers=tuple(
            Broker(
                one,
                f"kafka-{one}",
                rack=f"zone-{(one - 1) % 3}" if racks else None,
                fenced=one in set(fenced),
                silent="no answer" if one in set(silent) else "",
                name=f"kafka-{one}",
            )
            for one in everyone
        ),
        partitions=partitions,
        features=tuple(features),
    )


RUNS = Local(node_id=1, running=True, directory_id="dir-1")
CRASHED = replace(RUNS, running=False)
DRAINED = replace(CRASHED, drained=True)
