"""A fleet of three brokers moves onto another image while clients are at work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from devstack.kafka.roll import roll
from devstack.kafka.traffic import Traffic

if TYPE_CHECKING:
    from devstack.kafka.brokers import Cluster, Image

MARK = "num.network.threads"  # a setting that the next image brings
MEGABYTES = 20


def test_a_roll_by_hand_loses_no_acknowledged_record_and_copies_nothing(
    kafka: Cluster, image: Image
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"orders": {}, "archive": {}}, wait_for_metadata=True)
    fill(kafka, "archive", MEGABYTES)
    leader = kafka.active_controller()
    with Traffic(kafka.bootstrap(), "orders") as traffic:
        done = roll(kafka, replace(image, settings={MARK: "2"}))
    proof = traffic.proof()

    assert proof.holds, proof
    assert proof.failed == ()
    assert [one.node for one in done][-1] == leader
    assert sorted(one.node for one in done) == sorted(kafka.brokers)
    for one in done:
        assert any(one.began < look < one.ended for look in proof.looks), "nobody looked"
        assert one.data > MEGABYTES * 1_000_000
        assert one.copied < one.data / 100
    with kafka.admin() as admin:
        assert {value_of(admin, node, MARK) for node in kafka.brokers} == {"2"}


def fill(kafka: Cluster, topic: str, megabytes: int) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap(), acks="all", linger_ms=20)
    sent = [
        producer.send(topic, b"x" * 100_000, partition=number % 3)
        for number in range(megabytes * 10)
    ]
    for one in sent:
        one.get(60)
    producer.close()


def value_of(admin: Any, node: int, key: str) -> str:
    resource = ConfigResource(ConfigResourceType.BROKER, str(node))
    found = admin.describe_configs([resource], config_filter="all")
    value: str = found["broker"][str(node)][key]["value"]
    return value
