"""Is this broker healthy, or on its way to it? Pure.

Healthy is what this broker is answerable for: it is registered and unfenced, its controller is
caught up, and each replica of its own is in sync. That another broker lags is that broker's health:
otherwise one that is down would make its whole fleet ill.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka_agent.facts import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_agent.facts import Cluster, Local, Partition, Replica, Voter

SHOWN = 5  # partitions by name
AS_CONTROLLER = "--command-config /etc/kafka/server.properties add-controller"


@dataclass(frozen=True)
class Health:
    """`done` of `total` says that it gets there by itself."""

    healthy: bool
    text: str
    done: int = 0
    total: int = 0

    @property
    def busy(self) -> bool:
        """Whether it counts to something."""
        return not self.healthy and self.total > 0


def assess(
    cluster: Cluster | None,
    local: Local,
    replicas: Iterable[Replica] = (),
    trouble: str = "",
) -> Health:
    """Its health. `replicas` count where one is not in sync; `trouble`: why no cluster."""
    found = of_process(cluster, local)
    if found is None and cluster is None:
        found = Health(False, trouble or "the cluster does not answer")
    elif found is None and cluster is not None:
        found = (
            _of_cluster(cluster, local)
            or _of_registration(cluster, local)
            or _of_controller(cluster, local)
            or _of_replicas(cluster, local, replicas)
        )
    return found or Health(True, _summary(cluster, local))


def of_process(cluster: Cluster | None, local: Local) -> Health | None:
    """What its process and its log say; None where that is nothing bad."""
    if not local.running:
        why = (
            "it was drained"
            if local.drained
            else "no process holds the lock of its log directories"
        )
        return Health(False, f"Kafka does not run: {why}")
    broker = cluster.broker(local.node_id) if cluster is not None else None
    if broker is not None and broker.safe:
        return None
    if local.recovery is not None and local.recovery.under_way:
        what = "recovered after an unclean stop" if local.recovery.unclean else "loaded"
        done, total = local.recovery.loaded, local.recovery.total
        return Health(False, f"logs are {what}", done, total)
    if local.duplicate_registration:
        timeouts = cluster.timeouts if cluster is not None else Timeouts()
        total = math.ceil(timeouts.broker_session_ms / 1000)
        done = min(int(local.running_seconds), total)
        return Health(False, "seconds of the former session's timeout are over", done, total)
    return None


def own_out_of_sync(cluster: Cluster, node_id: int) -> list[Partition]:
    """The partitions whose replica here is not in sync."""
    return [
        one for one in cluster.holding(node_id) if node_id in one.target and node_id not in one.isr
    ]


def other_cluster(cluster: Cluster, local: Local) -> str:
    """That the brokers which answer are of another cluster than the disk; empty if they are not."""
    if not local.cluster_id or not cluster.cluster_id or local.cluster_id == cluster.cluster_id:
        return ""
    return (
        f"bootstrap.servers are of the cluster {cluster.cluster_id}, and the disk of broker "
        f"{local.node_id} is of {local.cluster_id}: name its own brokers"
    )


def directory_remedy(cluster: Cluster, local: Local) -> str:
    """What to do if the quorum knows this voter by another disk; empty where it does not."""
    known = cluster.quorum.voter(local.node_id)
    node, here = local.node_id, local.directory_id
    if not local.votes or known is None or not here or not known.directory_id:
        return ""
    if known.directory_id == here:
        return ""
    what = (
        f"controller {node} has the directory id {here} on its disk, and the quorum knows it by "
        f"{known.directory_id}: the data disk is another one."
    )
    if local.auto_join:
        return f"{what} It takes its place by itself (controller.quorum.auto.join.enable)"
    tool = _tool(cluster, node)
    return (
        f"{what} Run `{tool} remove-controller --controller-id {node} --controller-directory-id "
        f"{known.directory_id}`, then, on this instance, `{tool} {AS_CONTROLLER}`"
    )


def _tool(cluster: Cluster, node_id: int) -> str:
    """The command-line tool, asking the other brokers."""
    brokers = [f"{one.host}:{one.port}" for one in cluster.brokers if one.node_id != node_id]
    return f"kafka-metadata-quorum.sh --bootstrap-server {','.join(brokers)}"


def _of_cluster(cluster: Cluster, local: Local) -> Health | None:
    other = other_cluster(cluster, local)
    return Health(False, other) if other else None


def _of_registration(cluster: Cluster, local: Local) -> Health | None:
    broker = cluster.broker(local.node_id)
    if broker is None:
        return Health(False, f"broker {local.node_id} is not registered in the cluster")
    if broker.silent:
        return Health(False, f"{broker} does not answer: {broker.silent}")
    if broker.fenced:
        return Health(False, f"{broker} is fenced")
    return None


def _of_controller(cluster: Cluster, local: Local) -> Health | None:
    quorum, node = cluster.quorum, local.node_id
    if not local.votes:
        return None
    remedy = directory_remedy(cluster, local)
    if remedy:
        return Health(False, remedy)
    if quorum.voter(node) is None:
        return _no_voter(cluster, local)
    if quorum.leader_id < 0:
        return Health(False, "the quorum has no leader")
    if node not in quorum.caught_up:
        own, leader = quorum.voter(node), quorum.voter(quorum.leader_id)
        return _behind(own, leader)
    return None


def _no_voter(cluster: Cluster, local: Local) -> Health:
    """It runs a controller, and has no vote."""
    node = local.node_id
    voters = ", ".join(str(one.node_id) for one in cluster.quorum.voters)
    what = f"controller {node} is no voter of the quorum (voters: {voters})"
    if local.auto_join:
        return Health(False, f"{what} yet: it joins by itself (controller.quorum.auto.join.enable)")
    return Health(False, f"{what}: run, on this instance, `{_tool(cluster, node)} {AS_CONTROLLER}`")


def _behind(own: Voter | None, leader: Voter | None) -> Health:
    text = "records of the metadata log have reached this controller"
    if own is None or leader is None or leader.log_end_offset <= 0:
        return Health(False, "its controller is not caught up")
    return Health(False, text, max(own.log_end_offset, 0), leader.log_end_offset)


def _of_replicas(cluster: Cluster, local: Local, replicas: Iterable[Replica]) -> Health | None:
    """The bytes of all replicas of its own, so that the number grows to its end."""
    late = own_out_of_sync(cluster, local.node_id)
    if not late:
        return None
    names = ", ".join(str(one) for one in late[:SHOWN])
    more = f" and {len(late) - SHOWN} more" if len(late) > SHOWN else ""
    sizes: dict[tuple[str, int], dict[int, int]] = {}
    for one in replicas:
        sizes.setdefault((one.topic, one.index), {})[one.broker_id] = one.size
    done = total = 0
    for partition in cluster.holding(local.node_id):
        known = sizes.get((partition.topic, partition.index), {})
        own = known.pop(local.node_id, 0)
        whole = max(known.values(), default=own)  # what the others have of it
        total += whole
        done += whole if partition not in late else min(own, whole)
    if total:
        return Health(False, f"bytes of its replicas; not in sync: {names}{more}", done, total)
    held = len(cluster.holding(local.node_id))
    return Health(False, f"partitions are in sync; not {names}{more}", held - len(late), held)


def _summary(cluster: Cluster | None, local: Local) -> str:
    held = cluster.holding(local.node_id) if cluster is not None else []
    led = sum(one.leader_id == local.node_id for one in held)
    return f"broker {local.node_id} is unfenced, {len(held)} replicas in sync, leads {led}"
