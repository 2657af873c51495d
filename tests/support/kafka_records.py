"""Records that lie in a topic before a test begins."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from kafka import KafkaProducer

if TYPE_CHECKING:
    from devstack.kafka.brokers import Cluster

RECORD = 100_000  # bytes


def fill(kafka: Cluster, topic: str, megabytes: int, partitions: int = 3) -> None:
    """Write to the partitions of a topic in turn."""
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap(), acks="all", linger_ms=20)
    with closing(producer):
        count = megabytes * 1_000_000 // RECORD
        sent = [
            producer.send(topic, b"x" * RECORD, partition=one % partitions) for one in range(count)
        ]
        for one in sent:
            one.get(120)
