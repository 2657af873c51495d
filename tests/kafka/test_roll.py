"""A fleet of three brokers moves onto another image while clients are at work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kafka.admin import ConfigResource, ConfigResourceType
from tests.support.kafka_records import fill

from devstack.kafka.brokers import partitions
from devstack.kafka.members import ByOrders
from devstack.kafka.roll import roll
from devstack.kafka.traffic import Traffic

if TYPE_CHECKING:
    from devstack.kafka.brokers import Cluster, Image
    from devstack.kafka.members import Members

MARK = "num.network.threads"  # a setting that the next image brings
MEGABYTES = 20


def test_a_roll_behind_the_gate_loses_no_acknowledged_record_and_copies_nothing(
    kafka: Cluster, agents: Members, image: Image
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"orders": {}, "archive": {}}, wait_for_metadata=True)
    fill(kafka, "archive", MEGABYTES)
    leader = kafka.active_controller()
    by_orders = ByOrders(agents)
    with Traffic(kafka.bootstrap(), "orders") as traffic:
        done = roll(kafka, replace(image, settings={MARK: "2"}), by_orders, by_orders.order)
    proof = traffic.proof()

    assert proof.holds, proof.summary()
    assert proof.failed == ()
    assert [one.node for one in done][-1] == leader
    assert sorted(one.node for one in done) == sorted(kafka.brokers)
    for one in done:
        assert any(one.began < look < one.ended for look in proof.looks), "nobody looked"
        assert one.data > MEGABYTES * 1_000_000
        assert one.copied < one.data / 100
    with kafka.admin() as admin:
        assert {value_of(admin, node, MARK) for node in kafka.brokers} == {"2"}
        assert led_by_others(admin) == []
    assert all(answer.about("clean shutdown") for _, answer in by_orders.said("drain"))


def value_of(admin: Any, node: int, key: str) -> str:
    resource = ConfigResource(ConfigResourceType.BROKER, str(node))
    found = admin.describe_configs([resource], config_filter="all")
    value: str = found["broker"][str(node)][key]["value"]
    return value


def led_by_others(admin: Any) -> list[str]:
    """Partitions whose first replica does not lead."""
    return [
        f"{topic['name']}-{one['partition_index']}"
        for topic in partitions(admin)
        for one in topic["partitions"]
        if one["leader_id"] != one["replica_nodes"][0]
    ]
