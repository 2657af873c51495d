"""May this broker stop now? A decision over facts, with what blocks by name; pure.

The rules are Strimzi's (KafkaAvailability, KafkaQuorumCheck, KafkaRoller), and what these do not
see: a broker that is dead and still in every ISR, a reassignment that takes a replica away just
after the question, two brokers that would be down together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_agent.batches import largest
from kafka_agent.health import other_cluster
from kafka_agent.limits import Kind, behind, let_through, limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_agent.facts import Cluster, Feature, Local

NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Blocker:
    """What forbids the stop."""

    kind: Kind
    subject: str  # orders-7, voter 2, broker 3
    text: str


@dataclass(frozen=True)
class Decision:
    """The answer of the gate."""

    node_id: int
    blockers: tuple[Blocker, ...]
    warnings: tuple[str, ...]
    leads: bool  # it is the active controller, and goes last
    batch: tuple[str, ...]  # names of the largest set that may go together; empty if blocked
    features: tuple[Feature, ...]

    @property
    def open(self) -> bool:
        """Whether it may stop."""
        return not self.blockers


def decide(
    cluster: Cluster,
    local: Local,
    down: frozenset[int] = NOBODY,
    without_broker: tuple[str, ...] = (),
) -> Decision:
    """Whether this broker may stop, with `down` being stopped on purpose, now or soon.

    `without_broker` are members that are down as well and take nothing away, as they have none yet.
    """
    node = local.node_id
    stopping = down | {node}
    blockers = (
        *_own(cluster, local),
        *_hidden(cluster, local),
        *faults(cluster, stopping),
        *_stale(cluster, stopping),
        *violated(cluster, stopping),
    )
    warnings = tuple(one.text for one in let_through(cluster) if one.members & stopping)
    if not local.running and local.unclean_dirs:
        folders = ", ".join(local.unclean_dirs)
        warnings += (f"no clean shutdown mark in {folders}: the next start recovers logs",)
    warnings += tuple(f"{one} has no broker in this cluster" for one in without_broker)
    if blockers and not local.running and not local.drained:
        # Nothing is taken away, and a replacement may be what it needs.
        own = (
            "Kafka does not run on this instance, so that its stop takes nothing away; otherwise: "
        )
        warnings = (*(own + one.text for one in blockers), *warnings)
        blockers = ()
    batch = largest(cluster, stopping) if not blockers and cluster.broker(node) else stopping
    return Decision(
        node_id=node,
        blockers=blockers,
        warnings=warnings,
        leads=cluster.quorum.leader_id == node,
        batch=() if blockers else (*_names(cluster, batch), *without_broker),
        features=cluster.features,
    )


def violated(cluster: Cluster, stopping: frozenset[int]) -> Iterator[Blocker]:
    """The bounds that a stop of these brokers would break."""
    named = " and ".join(cluster.name_of(one) for one in sorted(stopping))
    for one in limits(cluster):
        if not one.keeps(stopping):
            yield Blocker(one.kind, one.subject, one.why(stopping, named))


def faults(cluster: Cluster, stopping: frozenset[int]) -> Iterator[Blocker]:
    """What is wrong with the others, so that nobody may stop."""
    quorum = cluster.quorum
    if quorum.leader_id < 0:
        yield Blocker(
            Kind.QUORUM, "quorum", "the quorum has no leader: there is no active controller"
        )
    elif len(quorum.voters) > 2 and len(quorum.caught_up) < quorum.majority:
        yield Blocker(
            Kind.VOTER,
            "quorum",
            f"the quorum has {len(quorum.caught_up)} caught-up voters of the {quorum.majority} it "
            f"needs{behind(quorum)}",
        )
    for one in cluster.brokers:
        if one.node_id in stopping:
            continue
        if one.silent:
            yield Blocker(
                Kind.BROKER, f"broker {one.node_id}", f"{one} does not answer: {one.silent}"
            )
        elif one.fenced:
            yield Blocker(
                Kind.BROKER,
                f"broker {one.node_id}",
                f"{one} is fenced: it starts, recovers its logs, or has lost the controller",
            )


def _stale(cluster: Cluster, stopping: frozenset[int]) -> Iterator[Blocker]:
    """A broker without a vote that lags behind the metadata log answers with what was."""
    quorum = cluster.quorum
    leader = quorum.voter(quorum.leader_id)
    for one in quorum.observers:
        if quorum.voter(one.node_id) is not None:
            continue  # what it was until it got its vote is listed for minutes
        broker = cluster.broker(one.node_id)
        if broker is None or one.node_id in stopping or leader is None or leader.caught_up_ms < 0:
            continue
        late = leader.caught_up_ms - one.caught_up_ms
        if one.caught_up_ms < 0 or late >= quorum.fetch_timeout_ms:
            text = f"{broker} is behind the metadata log of the quorum"
            yield Blocker(Kind.BROKER, f"broker {one.node_id}", text)


def _own(cluster: Cluster, local: Local) -> Iterator[Blocker]:
    """This broker itself must be of the cluster that was asked, and not be loading its logs."""
    if other := other_cluster(cluster, local):
        yield Blocker(Kind.CLUSTER, "cluster", other)
    broker = cluster.broker(local.node_id)
    serves = broker is not None and broker.safe
    if not local.running or serves:
        return
    subject = f"broker {local.node_id}"
    if local.recovery is not None and local.recovery.under_way:
        what = "recovers" if local.recovery.unclean else "loads"
        text = f"{subject} {what} its logs: {local.recovery.loaded} of {local.recovery.total} done"
        yield Blocker(Kind.STARTING, subject, text)
    elif local.recovery is None and broker is not None and broker.fenced:
        text = f"{subject} runs and is fenced: it may be in log recovery"
        yield Blocker(Kind.STARTING, subject, text)


def _hidden(cluster: Cluster, local: Local) -> Iterator[Blocker]:
    """Kafka leaves topics out that its client may not see, and says nothing of it."""
    for one in sorted(local.on_disk - {str(each) for each in cluster.partitions}):
        yield Blocker(
            Kind.HIDDEN,
            one,
            f"{one} is on the disk of broker {local.node_id}, and the agent does not see it: its "
            "user needs Describe and DescribeConfigs on all topics",
        )


def _names(cluster: Cluster, brokers: frozenset[int]) -> Iterator[str]:
    for one in sorted(brokers):
        broker = cluster.broker(one)
        yield broker.name if broker is not None and broker.name else f"broker-{one}"
