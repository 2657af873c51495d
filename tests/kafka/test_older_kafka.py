"""An older Kafka runs on the data of a newer one until their features are finalised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK
from tests.support.kafka_gates import drain
from tests.support.kafka_records import fill
from tests.support.paths import PROJECT

from bakehouse.images.formats import FormatRange, formats_in
from bakehouse.images.links import resource_name
from bakehouse.rollout.plan import Member
from bakehouse.rollout.plan_text import plan_lines
from bakehouse.rollout.planner import plan
from bakehouse.rollout.way_back import with_formats
from devstack.kafka.artefacts import jars, java
from devstack.kafka.brokers import Image, cluster
from devstack.kafka.members import ByOrders, members
from devstack.kafka.roll import roll

if TYPE_CHECKING:
    from devstack.kafka.brokers import Cluster

pytestmark = pytest.mark.long

OLDER = Path(__file__).parent / "older.lock"  # of Kafka 4.3.1
METADATA = "metadata.version"


def supported(kafka: Cluster) -> tuple[FormatRange, ...]:
    """What the brokers say that they can read, as the bake writes it into the image."""
    with kafka.admin() as admin:
        found: dict[str, Any] = admin.describe_features()
    return tuple(
        FormatRange(name, *one["supported"]) for name, one in found.items() if "supported" in one
    )


def plan_text(has: dict[str, int], older: Any, newer: Any) -> str:
    """The plan of a rollout of the newer image to a member with the older one."""
    boot = OLD_DISK.model_copy(update={"name": "kafka-1"})
    one = Member(name="kafka-1", zone="z", id="7", boot=boot, status="RUNNING")
    made = plan("kafka", "0123456789ab", NEW_IMAGE, (1,), (one,), {})
    reads = {resource_name(OLD_DISK.image): older, NEW_IMAGE.name: newer}
    return "\n".join(plan_lines(with_formats(made, {"kafka-1": has}, reads)))


def test_the_way_back_to_an_older_kafka_is_open_until_the_features_are_finalised(
    image: Image, tmp_path: Path
) -> None:
    program, older = java(), Image(jars(OLDER))
    assert program is not None
    with cluster(tmp_path, program, older) as kafka, members(PROJECT, kafka) as agents:
        by_orders = ByOrders(agents)
        with kafka.admin() as admin:
            admin.create_topics({"kept": {}}, wait_for_metadata=True)
        fill(kafka, "kept", megabytes=3)
        reads_older = supported(kafka)
        roll(kafka, image, by_orders, by_orders.order)
        reads_newer = supported(kafka)
        open_formats = formats_in(agents[1].until("gate")[-1].text)
        first = by_orders.order(kafka)[0]
        by_orders(kafka, first, older)
        by_orders(kafka, first, image)
        finalised = agents[first].ask("finalise")
        kafka.wait_until_safe()
        closed_formats = formats_in(agents[first].until("gate")[-1].text)
        drain(kafka, agents, first)
        kafka.begin(first, older)
        kafka.brokers[first].wait_for_end()
        words = kafka.brokers[first].last_words(60)
        kafka.begin(first, image)
        agents[first].until("health")

    limits = {one.name: one.max for one in reads_older}
    assert open_formats[METADATA] <= limits[METADATA]
    assert "way back: open" in plan_text(open_formats, reads_older, reads_newer)
    assert finalised.code == 0, finalised
    assert closed_formats[METADATA] > limits[METADATA]
    assert "nsupported metadata version" in words or "MetadataVersion" in words, words
    closed = plan_text(closed_formats, reads_older, reads_newer)
    assert "way back: closed" in closed
    assert f"{METADATA} {closed_formats[METADATA]} is finalised" in closed
