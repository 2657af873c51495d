"""What bounds how many brokers may be down together: one list for the gate and for batches; pure.

Each bound says: of these brokers, at most so many. A set of brokers may be stopped if it keeps all
of them, so that each part of a set that may be stopped may be stopped as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_agent.facts import Cluster, Partition, Quorum


class Kind(Enum):
    """What blocks."""

    PARTITION = "partition"
    REASSIGNMENT = "reassignment"
    QUORUM = "quorum"
    VOTER = "voter"
    BROKER = "broker"
    STARTING = "starting"
    CLUSTER = "cluster"  # the disk is of another one
    HIDDEN = "hidden"  # the agent may not see it


@dataclass(frozen=True)
class Limit:
    """Of `members`, at most `at_most` may be down."""

    kind: Kind
    subject: str  # orders-7, quorum
    members: frozenset[int]
    at_most: int
    reason: str  # with {brokers} for those that would be stopped, and {left} for what is left
    left: int = 0  # what there is before the stop

    def keeps(self, stopping: frozenset[int]) -> bool:
        """Whether it lets these brokers be down."""
        return len(self.members & stopping) <= max(self.at_most, 0)

    def why(self, stopping: frozenset[int], brokers: str) -> str:
        """What would be if they were stopped."""
        return self.reason.format(brokers=brokers, left=self.left - len(self.members & stopping))


@dataclass(frozen=True)
class LetThrough:
    """What suffers from a stop and does not forbid it, as it could never be done."""

    subject: str
    members: frozenset[int]
    text: str


def alive(cluster: Cluster) -> frozenset[int]:
    """The brokers whose word in an ISR counts."""
    return frozenset(one.node_id for one in cluster.brokers if one.safe)


def limits(cluster: Cluster) -> list[Limit]:
    """All bounds, by the replicas in sync whose brokers are alive."""
    counted = alive(cluster)
    found = list(_of_quorum(cluster.quorum))
    for partition in cluster.partitions:
        found.extend(_of_partition(partition, counted))
    return found


def let_through(cluster: Cluster) -> list[LetThrough]:
    """What is told as a warning if one of its members is stopped."""
    found = list(_of_small_quorum(cluster))
    for one in cluster.partitions:
        copies = len(one.target)
        if copies > one.min_isr:
            continue
        effect = "it is offline" if copies == 1 else "writes with acks=all fail"
        found.append(
            LetThrough(
                str(one),
                frozenset(one.target),
                f"{one} has replication factor {copies} and min.insync.replicas {one.min_isr}: "
                f"{effect} while one of its brokers is stopped",
            )
        )
    return found


def _of_partition(partition: Partition, counted: frozenset[int]) -> Iterator[Limit]:
    """The bounds of one partition: for its ISR now, and for that after its reassignment."""
    in_sync = frozenset(partition.isr) & counted
    yield from _of_isr(partition, in_sync, Kind.PARTITION, "")
    if partition.moving:
        to = ", ".join(map(str, partition.target))
        yield from _of_isr(
            partition,
            in_sync & set(partition.target),
            Kind.REASSIGNMENT,
            f" of its target {to} (a reassignment is under way)",
        )


def _of_isr(partition: Partition, in_sync: frozenset[int], kind: Kind, of: str) -> Iterator[Limit]:
    """At most so many of the replicas in sync that min.insync.replicas are left."""
    need, copies = partition.min_isr, len(partition.target)
    shown = ", ".join(map(str, partition.isr)) or "none"
    if partition.elr:
        shown += f"; eligible leaders: {', '.join(map(str, partition.elr))}"
    now = len(in_sync)
    everyone = frozenset(partition.replicas)
    if copies <= need:
        # It can never be stopped by the rule; one at a time, and not the only copy in sync.
        if now <= 1 < copies:
            yield Limit(
                kind,
                str(partition),
                in_sync or everyone,
                0,
                f"{partition} has {now} in-sync replicas{of} of {copies}, and would have none "
                f"without {{brokers}} (in sync: {shown})",
            )
        yield Limit(
            kind,
            str(partition),
            everyone,
            1,
            f"{partition} has replication factor {copies} and min.insync.replicas {need}: "
            "one broker of it at a time, not {brokers}",
        )
        return
    if now < need:
        yield Limit(
            kind,
            str(partition),
            everyone,
            0,
            f"{partition} has {now} of {need} in-sync replicas{of}, and {{brokers}} may be the "
            f"first to catch up (in sync: {shown})",
        )
        return
    yield Limit(
        kind,
        str(partition),
        in_sync,
        now - need,
        f"{partition} would have {{left}} of {need} in-sync replicas{of} without {{brokers}} "
        f"(in sync: {shown})",
        left=now,
    )


def _of_quorum(quorum: Quorum) -> Iterator[Limit]:
    """The voters that are caught up keep a majority."""
    voters = frozenset(one.node_id for one in quorum.voters)
    caught_up = quorum.caught_up
    tail = behind(quorum)
    if len(voters) <= 1:
        return
    if len(voters) == 2:  # no majority is left without one; nothing is lost if both have all
        at_most = 1 if caught_up == voters else 0
        members = voters if at_most else caught_up
        text = f"the quorum has 2 voters, and {{left}} would be caught up without {{brokers}}{tail}"
        yield Limit(Kind.QUORUM, "quorum", members, at_most, text, left=len(caught_up))
        return
    need = quorum.majority
    yield Limit(
        Kind.QUORUM,
        "quorum",
        caught_up,
        len(caught_up) - need,
        f"the quorum would have {{left}} caught-up voters of the {need} it needs of "
        f"{len(voters)} without {{brokers}}{tail}",
        left=len(caught_up),
    )


def behind(quorum: Quorum) -> str:
    """The voters that are not caught up, by name, to put behind a sentence."""
    late = sorted({one.node_id for one in quorum.voters} - quorum.caught_up)
    return f" (behind: voter {', '.join(map(str, late))})" if late else ""


def _of_small_quorum(cluster: Cluster) -> Iterator[LetThrough]:
    """A quorum that cannot keep a majority without a voter, however it is rolled."""
    voters = frozenset(one.node_id for one in cluster.quorum.voters)
    if 1 <= len(voters) <= 2:
        yield LetThrough(
            "quorum",
            voters,
            f"the quorum has {len(voters)} voter{'s' if len(voters) > 1 else ''}: there is no "
            "active controller while one is stopped",
        )
