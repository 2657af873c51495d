"""The largest set of brokers that may be stopped together, by the bounds of the gate; pure.

The brokers of a set are of one rack, where racks are set: rack-aware assignment gives them no
partition in common, and the loss of a whole rack is what the cluster was laid out for. The active
controller is in no set with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_agent.limits import alive, limits

if TYPE_CHECKING:
    from kafka_agent.facts import Cluster

# The problem is that of independent sets. Rack-aware assignment leaves few bounds; where it is not
# used and there are many brokers, what was found after so many steps is taken.
STEPS = 5000


def largest(cluster: Cluster, base: frozenset[int]) -> frozenset[int]:
    """The largest set with all of `base`, which must keep all bounds itself."""
    candidates = _candidates(cluster, base)
    bounds = _bounds(cluster, base, candidates)
    free = candidates - {one for members, left in bounds.items() if left <= 0 for one in members}
    rest = {
        members & free: left
        for members, left in sorted(bounds.items(), key=lambda one: -one[1])
        if left > 0 and len(members & free) > left
    }
    return base | _Search.over(free, rest)


def _candidates(cluster: Cluster, base: frozenset[int]) -> frozenset[int]:
    """Who may be added at all."""
    leader = cluster.quorum.leader_id
    if leader in base:
        return frozenset()
    racks = {one.rack for one in cluster.brokers if one.node_id in base}
    of_racks = {one.node_id for one in cluster.brokers if one.rack in racks}
    return (alive(cluster) & of_racks) - base - {leader}


def _bounds(
    cluster: Cluster, base: frozenset[int], candidates: frozenset[int]
) -> dict[frozenset[int], int]:
    """Of these candidates, so many at most; each group once."""
    found: dict[frozenset[int], int] = {}
    for one in limits(cluster):
        members = one.members & candidates
        left = max(one.at_most, 0) - len(one.members & base)
        if len(members) > left:
            found[members] = min(left, found.get(members, left))
    return found


@dataclass
class _Search:
    """Branch and bound, with sets of brokers as the bits of numbers."""

    bounds: list[list[tuple[int, int]]]  # of each candidate
    steps: int = 0
    best: int = 0

    @classmethod
    def over(cls, free: frozenset[int], bounds: dict[frozenset[int], int]) -> frozenset[int]:
        """The largest part of `free` that keeps the bounds; that with the lower ids of several."""
        crowded = {one: sum(one in members for members in bounds) for one in free}
        order = sorted(free, key=lambda one: (crowded[one], one))
        bit = {one: 1 << place for place, one in enumerate(order)}
        masks = [(sum(bit[one] for one in members), left) for members, left in bounds.items()]
        search = cls([[one for one in masks if one[0] & bit[name]] for name in order])
        search.visit(0, 0)
        return frozenset(one for one in order if search.best & bit[one])

    def visit(self, place: int, chosen: int) -> None:
        """All sets that begin with these."""
        self.steps += 1
        if chosen.bit_count() > self.best.bit_count():
            self.best = chosen
        left = len(self.bounds) - place
        if self.steps > STEPS or chosen.bit_count() + left <= self.best.bit_count():
            return
        more = chosen | 1 << place
        if all((mask & more).bit_count() <= most for mask, most in self.bounds[place]):
            self.visit(place + 1, more)
        self.visit(place + 1, chosen)
