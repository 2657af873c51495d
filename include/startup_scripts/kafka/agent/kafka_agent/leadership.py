"""Who leads which partition, and who should; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_agent.limits import alive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_agent.facts import Cluster, Partition


@dataclass(frozen=True)
class HandOver:
    """What has become of the partitions that a broker led."""

    moved: tuple[Partition, ...]
    kept: tuple[Partition, ...]  # it still leads them
    leaderless: tuple[Partition, ...]  # nobody does, though there is another replica in sync
    offline: tuple[Partition, ...]  # nobody can: it has the only copy

    @property
    def complete(self) -> bool:
        """Whether everything is elsewhere that can be."""
        return not self.kept and not self.leaderless


def led_by(cluster: Cluster, node_id: int) -> tuple[Partition, ...]:
    """The partitions that this broker leads."""
    return tuple(one for one in cluster.partitions if one.leader_id == node_id)


def handed_over(before: Iterable[Partition], cluster: Cluster, node_id: int) -> HandOver:
    """What it led before, and what it leads of all now."""
    was = {str(one) for one in before}
    moved, kept, leaderless, offline = [], [], [], []
    for one in cluster.partitions:
        if one.leader_id == node_id:
            kept.append(one)
        elif str(one) not in was:
            continue
        elif one.leader_id >= 0:
            moved.append(one)
        elif set(one.isr) - {node_id} or len(one.replicas) > 1:
            leaderless.append(one)
        else:
            offline.append(one)
    return HandOver(tuple(moved), tuple(kept), tuple(leaderless), tuple(offline))


def to_elect(cluster: Cluster) -> tuple[Partition, ...]:
    """The partitions whose preferred replica is in sync and alive, and does not lead."""
    counted = alive(cluster)
    return tuple(
        one
        for one in cluster.partitions
        if one.preferred_leader in counted & set(one.isr)
        and one.leader_id != one.preferred_leader
        and not one.moving
    )


def led_in_vain(cluster: Cluster, node_id: int) -> tuple[Partition, ...]:
    """The partitions that this broker should lead by preference, and does not."""
    return tuple(
        one
        for one in cluster.partitions
        if one.preferred_leader == node_id and one.leader_id != node_id and not one.moving
    )
