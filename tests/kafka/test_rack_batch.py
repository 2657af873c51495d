"""Two brokers of one rack are replaced at once, as `max_unavailable: 2` of a fleet allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from devstack.kafka.artefacts import java
from devstack.kafka.brokers import Broker, Image, cluster
from devstack.kafka.members import BLOCKED, members
from devstack.kafka.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.kafka.brokers import Cluster

pytestmark = pytest.mark.long

# Three controllers that are brokers too, each in a rack of its own, and two brokers in a fourth.
IN_ONE_RACK = (4, 5)
RACK = "zone-4"
ASSIGNMENTS = {index: [4 + index % 2, 1 + index // 2] for index in range(6)}


def broker_alone(made: Cluster, node: int, folder: Path, image: Image) -> Broker:
    """A broker that is no controller, running."""
    program = java()
    assert program is not None
    broker = Broker(node, folder / f"b{node}", program, image)
    listener = f"PLAINTEXT://{broker.address}"
    settings = {
        "process.roles": "broker",
        "listeners": listener,
        "advertised.listeners": listener,
        "broker.rack": RACK,
    }
    broker.image = Image(image.jars, settings)
    broker.configure([one.controller for one in made.brokers.values()])
    assert broker.begin_format(made.cluster_id, None).wait(300) == 0, broker.last_words()
    broker.begin()
    return broker


@pytest.fixture
def five(image: Image, tmp_path: Path) -> Iterator[Cluster]:
    program = java()
    assert program is not None
    with cluster(tmp_path, program, image) as made:
        more = {node: broker_alone(made, node, tmp_path, image) for node in IN_ONE_RACK}
        made.brokers.update(more)
        yield made


def test_two_brokers_of_a_rack_go_together_and_no_partition_falls_below_min_isr(
    five: Cluster,
) -> None:
    with members(PROJECT, five) as agents:
        for member in agents.values():
            member.until("health")
        topic = {"assignments": ASSIGNMENTS, "configs": {"min.insync.replicas": "1"}}
        with five.admin() as admin:
            admin.create_topics({"racks": topic}, wait_for_metadata=True)
        with Traffic(five.bootstrap(*IN_ONE_RACK), "racks", partitions=6) as traffic:
            first = agents[4].until("gate")[-1]
            agents[5].until("gate", down=["kafka-4"])
            across = agents[1].ask("gate", down=["kafka-4"])
            drained = [agents[4].ask("drain"), agents[5].ask("drain", down=["kafka-4"])]
            for node in IN_ONE_RACK:
                five.brokers[node].wait_for_end()
            for node in IN_ONE_RACK:
                five.brokers[node].begin()
            for node in IN_ONE_RACK:
                agents[node].until("health")
                agents[node].until("resume")
        proof = traffic.proof()

    assert "batch kafka-4 kafka-5" in first.lines, first
    assert across.code == BLOCKED, across
    assert [answer.code for answer in drained] == [0, 0], drained
    assert proof.holds, proof.summary()
    assert proof.failed == ()
