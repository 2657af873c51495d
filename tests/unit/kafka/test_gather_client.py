"""The client of the agent has no connection to a broker that hangs: it would ask that one, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    RequestTimedOutError,
    UnknownBrokerIdError,
)

from kafka_agent.config import Config, read
from kafka_agent.gather import ATTEMPTS, Gatherer, GatherError

if TYPE_CHECKING:
    from pathlib import Path

BROKERS = [{"broker_id": node, "host": f"kafka-{node}", "port": 9092} for node in (1, 2, 3)]
VOTER = {"replica_id": 1, "last_caught_up_timestamp": 1, "log_end_offset": 1}
QUORUM = {"leader_id": 1, "current_voters": [VOTER], "observers": []}


@dataclass
class Admin:
    """A cluster without topics."""

    servers: tuple[str, ...]
    connected: list[int] = field(default_factory=list)
    unknown: frozenset[int] = frozenset()  # to its metadata
    closed: bool = False
    refusals: list[Exception] = field(default_factory=list)  # shared by all clients

    def get_broker_version_data(self, broker_id: int) -> None:
        if broker_id in self.unknown:
            raise UnknownBrokerIdError(broker_id)
        self.connected.append(broker_id)

    def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": BROKERS, "cluster_id": "c"}

    def describe_configs(self, asked: list[Any], **__: object) -> dict[str, Any]:
        return {"broker": {asked[0].name: {"min.insync.replicas": {"value": "1"}}}}

    def describe_topic_partitions(self, *_: object, **__: object) -> dict[str, Any]:
        return {"topics": [], "next_cursor": None}

    def list_partition_reassignments(self) -> dict[Any, Any]:
        if self.refusals:
            raise self.refusals.pop(0)
        return {}

    def describe_metadata_quorum(self) -> dict[str, Any]:
        return {"topics": [{"partitions": [QUORUM]}]}

    def describe_features(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


@dataclass
class Machines:
    """Which brokers hang, the clients that were made, and who was probed."""

    hanging: set[int] = field(default_factory=set)
    clients: list[Admin] = field(default_factory=list)
    probes: list[list[int]] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    unknown: frozenset[int] = frozenset()

    def connect(self, config: Config, _: object) -> Any:
        self.clients.append(Admin(config.bootstrap, unknown=self.unknown, refusals=self.refusals))
        return self.clients[-1]

    def probe(self, addresses: list[tuple[int, str, int]], *_: object) -> dict[int, str]:
        self.probes.append([node for node, _, _ in addresses])
        return {node: "no answer" if node in self.hanging else "" for node in self.probes[-1]}


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.fixture
def gatherer(tmp_path: Path, machines: Machines) -> Gatherer:
    server, agent = tmp_path / "server.properties", tmp_path / "agent.properties"
    server.write_text("node.id=1\nprocess.roles=broker,controller\nlog.dirs=/data\n")
    agent.write_text(f"server.properties={server}\nbootstrap.servers=a:1,b:2\n")
    return Gatherer(read(agent), machines.connect, machines.probe)


def test_the_client_stays_while_the_same_brokers_answer(
    gatherer: Gatherer, machines: Machines
) -> None:
    for _ in range(3):
        assert [one.silent for one in gatherer.cluster().brokers] == ["", "", ""]
    assert [client.servers for client in machines.clients] == [("a:1", "b:2")]
    assert machines.probes == [[1, 2, 3]] * 3, "each broker is probed once for each question"


def test_another_client_without_the_broker_that_hangs_takes_its_place(
    gatherer: Gatherer, machines: Machines
) -> None:
    gatherer.cluster()
    machines.hanging = {2}
    for _ in range(2):
        silent = {one.node_id: one.silent for one in gatherer.cluster().brokers}
        assert silent == {1: "", 2: "no answer", 3: ""}
    assert len(machines.clients) == 2
    assert machines.clients[1].servers == ("kafka-1:9092", "kafka-3:9092")
    assert machines.clients[1].connected == [1, 3]


def test_a_broker_that_answers_again_is_asked_again(gatherer: Gatherer, machines: Machines) -> None:
    gatherer.cluster()
    machines.hanging = {2}
    gatherer.cluster()
    machines.hanging = set()
    gatherer.cluster()
    assert machines.clients[-1].servers == ("a:1", "b:2")


def test_where_nobody_answers_all_are_asked(gatherer: Gatherer, machines: Machines) -> None:
    gatherer.cluster()
    machines.hanging = {1, 2, 3}
    assert all(one.silent for one in gatherer.cluster().brokers)
    assert machines.clients[-1].servers == ("a:1", "b:2")


def test_a_question_that_went_to_a_dead_broker_is_asked_again_by_a_new_client(
    gatherer: Gatherer, machines: Machines
) -> None:
    gatherer.cluster()
    machines.hanging = {2}
    machines.refusals += [KafkaConnectionError("111 ECONNREFUSED") for _ in range(3)]
    assert gatherer.cluster().brokers[1].silent == "no answer"
    assert len(machines.clients) == 5


def test_a_question_of_a_client_that_does_not_know_a_broker_yet_is_asked_again(
    gatherer: Gatherer, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kafka_agent.gather.PAUSE", 0)
    gatherer.cluster()
    machines.refusals += [UnknownBrokerIdError(2) for _ in range(2)]
    assert [one.silent for one in gatherer.cluster().brokers] == ["", "", ""]
    assert len(machines.clients) == 3


def test_a_broker_that_a_new_client_does_not_know_yet_is_passed_over(
    gatherer: Gatherer, machines: Machines
) -> None:
    gatherer.cluster()
    machines.hanging, machines.unknown = {2}, frozenset({3})
    assert [one.silent for one in gatherer.cluster().brokers] == ["", "no answer", ""]
    assert machines.clients[-1].connected == [1]


def test_a_question_is_not_asked_for_ever_and_no_other_error_is_tried_again(
    gatherer: Gatherer, machines: Machines
) -> None:
    gatherer.cluster()
    machines.refusals += [RequestTimedOutError("10 s") for _ in range(99)]
    with pytest.raises(GatherError, match="RequestTimedOutError"):
        gatherer.cluster()
    assert len(machines.refusals) == 99 - ATTEMPTS
    machines.refusals[:] = [ClusterAuthorizationFailedError("no"), KafkaConnectionError("no")]
    with pytest.raises(GatherError, match="may not read"):
        gatherer.cluster()
    assert len(machines.refusals) == 1
