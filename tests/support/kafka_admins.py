"""What kafka-python 3.0.12 returns of a Kafka 4.4.0, without the broker."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = uuid.UUID("56f8a688-1243-40fc-a6ef-6d151ac4c448")
DEFAULTS = {
    "min.insync.replicas": "1",
    "controller.quorum.fetch.timeout.ms": "2000",
    "broker.session.timeout.ms": "9000",
}
Json = dict[str, Any]


def voter(node: int, caught_up: int = 1000, directory: uuid.UUID = DIRECTORY) -> Json:
    """A replica of the metadata log."""
    return {
        "replica_id": node,
        "replica_directory_id": directory,
        "log_end_offset": 100,
        "last_fetch_timestamp": caught_up,
        "last_caught_up_timestamp": caught_up,
    }


def row(index: int, replicas: list[int], isr: list[int] | None = None) -> Json:
    """A partition."""
    return {
        "error_code": 0,
        "partition_index": index,
        "leader_id": replicas[0],
        "leader_epoch": 3,
        "replica_nodes": replicas,
        "isr_nodes": replicas if isr is None else isr,
        "eligible_leader_replicas": None,
        "last_known_elr": None,
        "offline_replicas": [],
    }


@dataclass
class FakeAdmin:
    """Three brokers, one topic; a test changes what it is about."""

    topics: dict[str, list[Json]] = field(
        default_factory=lambda: {"orders": [row(0, [1, 2, 3]), row(1, [2, 3, 1])]}
    )
    fenced: set[int] = field(default_factory=set)
    leader: int = 1
    voters: list[Json] = field(default_factory=lambda: [voter(1), voter(2), voter(3)])
    settings: dict[int, Json] = field(default_factory=dict)  # of brokers, over the defaults
    of_topics: dict[str, str] = field(default_factory=dict)  # min.insync.replicas of their own
    moves: Mapping[Any, Json] = field(default_factory=dict)
    page: int = 2000
    fails: dict[str, BaseException] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    closed: bool = False
    refused: dict[str, str] = field(
        default_factory=dict
    )  # features that are not finalised, and why

    def _called(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments) if arguments else name)
        if name in self.fails:
            raise self.fails[name]

    def describe_metadata_quorum(self) -> Json:
        self._called("quorum")
        partition = {
            "partition_index": 0,
            "leader_id": self.leader,
            "leader_epoch": 5,
            "high_watermark": 100,
            "current_voters": self.voters,
            "observers": [],
            "error": None,
        }
        return {"topics": [{"topic_name": "__cluster_metadata", "partitions": [partition]}]}

    def get_broker_version_data(self, broker_id: int) -> Any:
        self._called("connect", broker_id)

    def describe_cluster(self) -> Json:
        self._called("cluster")
        return {
            "cluster_id": "c",
            "controller_id": 3,  # a random one
            "brokers": [
                {
                    "broker_id": one,
                    "host": f"10.0.0.{one}",
                    "port": 9092,
                    "rack": f"zone-{one}",
                    "is_fenced": one in self.fenced,
                }
                for one in (3, 1, 2)
            ],
        }

    def describe_features(self) -> Json:
        self._called("features")
        return {
            "metadata.version": {"supported": (7, 33), "finalized": (33, 33), "finalized_epoch": 9},
            "group.version": {"supported": (0, 1)},
        }

    def update_features(
        self, feature_updates: Mapping[str, int], timeout_ms: int = 0
    ) -> dict[str, str]:
        assert timeout_ms > 0
        self._called("finalise", dict(feature_updates))
        return {name: self.refused.get(name, "OK") for name in feature_updates}

    def describe_topic_partitions(
        self, topics: list[str], response_partition_limit: int = 2000, cursor: Json | None = None
    ) -> Json:
        assert topics == []
        self._called("partitions", cursor)
        rows = [(name, one) for name, some in self.topics.items() for one in some]
        start = 0 if cursor is None else cursor["place"]
        some, rest = rows[start : start + self.page], rows[start + self.page :]
        found = [
            {
                "error_code": 0,
                "name": name,
                "topic_id": "x",
                "is_internal": False,
                "partitions": [one],
            }
            for name, one in some
        ]
        del response_partition_limit
        return {"topics": found, "next_cursor": {"place": start + self.page} if rest else None}

    def list_partition_reassignments(self) -> Mapping[Any, Json]:
        self._called("reassignments")
        return self.moves

    def describe_configs(
        self, config_resources: list[Any], include_synonyms: bool = False, config_filter: str = ""
    ) -> Json:
        assert (config_filter, include_synonyms) == ("all", False)
        found: Json = {}
        for one in config_resources:
            kind = one.resource_type.name.lower()
            self._called(f"configs of {kind} {one.name}")
            if kind == "broker":
                of = {**DEFAULTS, **self.settings.get(int(one.name), {})}
                values = {
                    key: {"value": of[key], "config_source": "DEFAULT_CONFIG"}
                    for key in one.configs
                }
            else:
                own = self.of_topics.get(one.name)
                source = "DYNAMIC_TOPIC_CONFIG" if own else "DEFAULT_CONFIG"
                values = {"min.insync.replicas": {"value": own or "1", "config_source": source}}
            found.setdefault(kind, {})[one.name] = values
        return found

    def describe_log_dirs(
        self, topic_partitions: Json | None = None, brokers: list[int] | None = None
    ) -> list[Json]:
        assert brokers is not None
        assert topic_partitions is not None
        self._called(f"log dirs of {brokers[0]}")
        topics = [
            {
                "name": name,
                "partitions": [
                    {"partition_index": one, "partition_size": 100, "is_future_key": False}
                    for one in some
                ],
            }
            for name, some in topic_partitions.items()
        ]
        return [{"broker": brokers[0], "log_dirs": [{"topics": topics}]}]

    def elect_leaders(
        self, election_type: int, topic_partitions: Json, timeout_ms: int, raise_errors: bool
    ) -> Any:
        assert (election_type, raise_errors) == (0, False)
        assert timeout_ms > 0
        self._called("elect", topic_partitions)

    def close(self) -> None:
        self.closed = True


MOVE = {
    TopicPartition("orders", 0): {
        "replicas": [1, 2, 3],
        "adding_replicas": [4],
        "removing_replicas": [1],
    }
}
