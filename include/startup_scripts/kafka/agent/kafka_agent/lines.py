"""What the agent says: the plain text lines of its answers, and Prometheus text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_agent.leadership import led_by
from kafka_agent.limits import alive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kafka_agent.facts import Cluster, Local
    from kafka_agent.gate import Blocker, Decision
    from kafka_agent.health import Health

BLOCKED_SHOWN = 20
WARNINGS_SHOWN = 10


def of_gate(decision: Decision) -> str:
    """The body of an answer of the gate."""
    first, *others = _blocked(decision.blockers) or [f"open: broker {decision.node_id} may stop"]
    told = [first]
    if decision.leads:
        told.append("leader: active controller")
    if decision.batch:
        told.append(f"batch {' '.join(decision.batch)}")
    told += [
        f"format {one.name} {one.finalised}"
        for one in decision.features
        if one.finalised is not None
    ]
    told += others
    told += _cut(
        [f"warning: {one}" for one in decision.warnings], WARNINGS_SHOWN, "warning", "warnings"
    )
    return text(told)


def of_health(health: Health) -> str:
    """The body of an answer about health."""
    if health.healthy:
        return text([f"healthy: {health.text}"])
    if health.busy:
        return text([f"busy: {health.done} of {health.total} {health.text}"])
    return text([f"unhealthy: {health.text}"])


def text(lines: Sequence[str]) -> str:
    """One fact a line, whatever a broker has put into it."""
    return "".join(" ".join(one.split()) + "\n" for one in lines)


def _blocked(blockers: Sequence[Blocker]) -> list[str]:
    return _cut([f"blocked: {one.text}" for one in blockers], BLOCKED_SHOWN, "blocked", "reasons")


def _cut(lines: list[str], shown: int, word: str, what: str) -> list[str]:
    left = len(lines) - shown
    return lines if left <= 0 else [*lines[:shown], f"{word}: and {left} more {what}"]


def metrics(decision: Decision, cluster: Cluster, local: Local, seconds: float) -> str:
    """What the gate knows, as Prometheus text."""
    return "".join(
        f"# HELP kafka_agent_{name} {about}\n# TYPE kafka_agent_{name} gauge\n"
        + "".join(f"kafka_agent_{name}{labels} {value:g}\n" for labels, value in samples)
        for name, about, samples in _gauges(decision, cluster, local, seconds)
    )


def no_metrics(trouble: str) -> str:
    """Where the cluster has not answered."""
    return (
        "# HELP kafka_agent_up Whether the cluster has answered.\n"
        "# TYPE kafka_agent_up gauge\n"
        f"# {' '.join(trouble.split())}\n"
        "kafka_agent_up 0\n"
    )


Samples = list[tuple[str, float]]


def _gauges(
    decision: Decision, cluster: Cluster, local: Local, seconds: float
) -> Iterator[tuple[str, str, Samples]]:
    """Name, help and samples of each metric."""
    node, quorum, counted = local.node_id, cluster.quorum, alive(cluster)
    held = cluster.holding(node)
    in_sync = [(one, len(counted & set(one.isr))) for one in held]
    kinds = [one.kind.value for one in decision.blockers]
    yield "up", "Whether the cluster has answered.", [("", 1)]
    yield "gather_seconds", "How long it took to gather the facts.", [("", round(seconds, 3))]
    yield "gate_open", "Whether this broker may stop.", [("", decision.open)]
    blocked: Samples = [(_labels(kind=kind), kinds.count(kind)) for kind in sorted(set(kinds))]
    yield "gate_blockers", "What blocks the stop of this broker.", blocked
    yield (
        "batch_brokers",
        "Size of the largest set that may stop together.",
        [("", len(decision.batch))],
    )
    yield "active_controller", "Whether this is the active controller.", [("", decision.leads)]
    yield "quorum_voters", "Voters of the metadata quorum.", [("", len(quorum.voters))]
    yield (
        "quorum_caught_up_voters",
        "Voters that have what the leader has.",
        [("", len(quorum.caught_up))],
    )
    yield (
        "broker_up",
        "Whether a broker answers a fresh connection and is unfenced.",
        [(_labels(broker=one.node_id, rack=one.rack or ""), one.safe) for one in cluster.brokers],
    )
    yield "partitions", "Partitions with a replica on this broker.", [("", len(held))]
    yield "partitions_led", "Partitions that this broker leads.", [("", len(led_by(cluster, node)))]
    yield (
        "partitions_below_min_isr",
        "Of those, with fewer live replicas in sync than min.insync.replicas.",
        [("", sum(now < one.min_isr for one, now in in_sync))],
    )
    yield (
        "partitions_at_min_isr",
        "Of those, with exactly as many.",
        [("", sum(now == one.min_isr for one, now in in_sync))],
    )
    yield (
        "partitions_out_of_sync",
        "Of those, whose replica on this broker is not in sync.",
        [("", sum(node not in one.isr for one in held))],
    )
    yield (
        "partitions_reassigning",
        "Of those, with a reassignment under way.",
        [("", sum(one.moving for one in held))],
    )
    finalised: Samples = [
        (_labels(feature=one.name), one.finalised)
        for one in cluster.features
        if one.finalised is not None
    ]
    yield "finalised_feature_level", "Level of a feature in the data.", finalised
    yield (
        "supported_feature_level",
        "The highest level of a feature that a broker supports.",
        [(_labels(feature=one.name), one.supported[1]) for one in cluster.features],
    )


def _labels(**labels: object) -> str:
    """Label values, quoted as Prometheus reads them."""
    quoted = (
        '{}="{}"'.format(
            name, str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        )
        for name, value in labels.items()
    )
    return "{" + ",".join(quoted) + "}"
