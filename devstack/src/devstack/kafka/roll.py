"""A roll of the cluster by hand: a controlled stop, the next image, and a wait for the ISR."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.kafka.brokers import size, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.kafka.brokers import Cluster, Image


@dataclass(frozen=True)
class Replacement:
    """One broker's; moments of time.monotonic."""

    node: int
    began: float
    ended: float
    data: int  # bytes of records that it held before
    copied: int  # bytes of records that were written to it meanwhile


def followers_first(cluster: Cluster) -> list[int]:
    """All brokers, the one last whose controller is the active one."""
    leader = cluster.active_controller()
    return sorted(cluster.brokers, key=lambda node: (node == leader, node))


def by_hand(cluster: Cluster, node: int, image: Image) -> None:
    """As an administrator does it who watches the ISR."""
    cluster.brokers[node].stop()
    cluster.begin(node, image)
    cluster.wait_until_safe()


def roll(
    cluster: Cluster,
    image: Image,
    replace: Callable[[Cluster, int, Image], None] = by_hand,
    order: Callable[[Cluster], list[int]] = followers_first,
) -> list[Replacement]:
    """Replace one broker after the other; the order is asked anew before each."""
    done: list[Replacement] = []
    while waiting := [node for node in order(cluster) if node not in {one.node for one in done}]:
        node, before = waiting[0], cluster.brokers[waiting[0]].segments()
        began = time.monotonic()
        replace(cluster, node, image)
        copied = written(before, cluster.brokers[node].segments())
        done.append(Replacement(node, began, time.monotonic(), size(before), copied))
    return done
