"""What can go wrong beside a rollout: the gate closes and says why, and no record is lost."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from tests.support.kafka_gates import drain, followers, names, until_named
from tests.support.kafka_records import fill

from devstack.kafka.brokers import partitions, size, written
from devstack.kafka.members import BLOCKED, UNKNOWN, ByOrders
from devstack.kafka.traffic import Traffic
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.kafka.brokers import Broker, Cluster, Image
    from devstack.kafka.members import Answer, Members


def test_a_broker_killed_right_after_anothers_replacement_stops_the_line(
    kafka: Cluster, agents: Members, image: Image
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"payments": {}}, wait_for_metadata=True)
    first, victim = followers(kafka)
    with Traffic(kafka.bootstrap(), "payments") as traffic:
        ByOrders(agents)(kafka, first, image)
        still = isr_after(kafka, victim, kafka.brokers[victim].kill)
        others = [node for node in kafka.brokers if node != victim]
        gates = {node: until_named(agents[node], victim) for node in others}
        kafka.begin(victim, image)
        back = agents[victim].until("health")
        kafka.wait_until_safe()
        opened = {node: agents[node].until("gate")[-1] for node in kafka.brokers}
    proof = traffic.proof()

    assert any(victim in isr for isr in still), "the ISR has noticed the kill"
    for answers in gates.values():
        assert {answer.code for answer in answers} <= {BLOCKED, UNKNOWN}, answers
        assert names(answers[-1], victim), answers
    assert len(back) > 1, "it was healthy before it was up"
    assert {answer.code for answer in opened.values()} == {0}, opened
    assert (proof.lost, proof.out_of_order, proof.missed) == ((), (), ()), proof


def isr_after(kafka: Cluster, victim: int, kill: Callable[[], None]) -> list[list[int]]:
    """The ISR of every partition that the brokers name right after the kill."""
    kill()
    found: list[list[int]] = []

    def asked() -> bool:
        with suppress(KafkaError), kafka.admin(victim) as admin:
            found[:] = [
                one["isr_nodes"] for topic in partitions(admin) for one in topic["partitions"]
            ]
        return bool(found)

    wait_until(asked, 60, "the partitions", every=0.1)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"log.retention.hours": "many"}, id="a setting that Kafka refuses"),
        pytest.param(
            {"advertised.listeners": "PLAINTEXT://127.0.0.1:1"},
            id="an address that nobody reaches",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_bad_image_does_not_get_healthy_and_the_way_back_loses_no_record(
    settings: dict[str, str], kafka: Cluster, agents: Members, image: Image
) -> None:
    topic = f"bad-image-{len(settings)}-{next(iter(settings))}"
    with kafka.admin() as admin:
        admin.create_topics({topic: {}}, wait_for_metadata=True)
    canary, other = followers(kafka)
    with Traffic(kafka.bootstrap(), topic) as traffic:
        drain(kafka, agents, canary)
        kafka.begin(canary, replace(image, settings=settings))
        seen = asked_for(6.0, lambda: agents[canary].ask("health"))
        gate = agents[other].ask("gate")
        kafka.brokers[canary].kill()
        kafka.begin(canary, image)
        agents[canary].until("health")
        agents[canary].until("resume")
    proof = traffic.proof()

    assert all(answer.code != 0 for answer in seen), seen
    assert names(gate, canary), gate
    assert proof.holds, proof.summary()


def asked_for(seconds: float, ask: Callable[[], Answer]) -> list[Answer]:
    """All answers within some seconds."""
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(ask())
        time.sleep(0.5)
    return answers


def test_a_topic_that_no_broker_may_leave_is_let_through_and_named(
    kafka: Cluster, agents: Members
) -> None:
    topics = {
        "single-copy": {"assignments": {0: [1]}},
        "two-of-two": {"assignments": {0: [1, 2]}},
        "all-of-three": {"configs": {"min.insync.replicas": "3"}},
    }
    with kafka.admin() as admin:
        admin.create_topics(topics, wait_for_metadata=True)
    gate = agents[1].until("gate")[-1]
    with kafka.admin() as admin:
        admin.delete_topics(list(topics))

    for topic in topics:
        assert any(f"{topic}-" in line or f"{topic} " in line for line in gate.about("warning"))


def test_a_reassignment_under_way_closes_the_gate_of_the_replica_that_stays(
    kafka: Cluster, agents: Members
) -> None:
    partition = TopicPartition("moving", 0)
    one_of_two = {"assignments": {0: [1, 2]}, "configs": {"min.insync.replicas": "1"}}
    with kafka.admin() as admin:
        admin.create_topics({"moving": one_of_two}, wait_for_metadata=True)
    fill(kafka, "moving", megabytes=5, partitions=1)  # what one fetch takes is not throttled
    with kafka.admin() as admin:
        throttle(admin, "moving", 3, "1")
        admin.alter_partition_reassignments({partition: [1, 3]})
        moving = admin.list_partition_reassignments()
    gates = {node: agents[node].ask("gate") for node in kafka.brokers}
    with kafka.admin() as admin:
        admin.alter_partition_reassignments({partition: None})
        throttle(admin, "moving", 3, None)
        wait_until(lambda: not admin.list_partition_reassignments(), 120, "the end of the move")
        admin.delete_topics(["moving"])

    assert moving[partition]["adding_replicas"] == [3]
    assert gates[1].code == 1
    assert any("moving-0" in line for line in gates[1].about("blocked")), gates


def throttle(admin: Any, topic: str, node: int, rate: str | None) -> None:
    """Let a broker copy almost nothing of the topic: one byte a second."""
    values = {
        ConfigResourceType.TOPIC: {"follower.replication.throttled.replicas": "*"},
        ConfigResourceType.BROKER: {"follower.replication.throttled.rate": rate},
    }
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic, values[ConfigResourceType.TOPIC]),
        ConfigResource(ConfigResourceType.BROKER, str(node), values[ConfigResourceType.BROKER]),
    ]
    if rate is None:
        admin.reset_configs(resources, raise_on_unknown=False)
    else:
        admin.alter_configs(resources, raise_on_unknown=False)


def test_a_broker_that_hangs_closes_the_gate_of_the_others(kafka: Cluster, agents: Members) -> None:
    hangs = followers(kafka)[0]
    with kafka.brokers[hangs].frozen():
        others = [node for node in kafka.brokers if node != hangs]
        gates = {node: until_named(agents[node], hangs) for node in others}

    kafka.wait_until_safe()

    for answers in gates.values():
        assert {answer.code for answer in answers} <= {BLOCKED, UNKNOWN}, answers
        assert names(answers[-1], hangs), answers
    for member in agents.values():
        member.until("gate")


def test_a_new_empty_disk_is_refused_with_the_remedy_and_the_remedy_works(
    kafka: Cluster, agents: Members, image: Image
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"kept": {}}, wait_for_metadata=True)
    fill(kafka, "kept", megabytes=3)
    node = followers(kafka)[0]
    broker = kafka.brokers[node]
    before, old = segments_of(broker, "kept"), directory_of(broker)
    drain(kafka, agents, node)
    kafka.replace_disk(node)
    new = directory_of(broker)
    kafka.begin(node, image)
    wait_until(lambda: "remove-controller" in agents[node].ask("health").text, 120, "the remedy")
    refused = {script: agents[node].ask(script) for script in ("health", "resume")}
    others = kafka.bootstrap(node)[0]
    known = ("--controller-id", str(node), "--controller-directory-id", old)
    tool = ("MetadataQuorumCommand", "--bootstrap-server", others)
    broker.tool(*tool, "remove-controller", *known)
    broker.tool(*tool, "--command-config", str(broker.properties), "add-controller")
    agents[node].until("health")
    agents[node].until("resume")

    assert all(answer.code != 0 for answer in refused.values()), refused
    for answer in refused.values():
        assert old in answer.text, answer
        assert new in answer.text, answer
    assert written(before, segments_of(broker, "kept")) > 0.99 * size(before)
    with kafka.admin() as admin:
        admin.delete_topics(["kept"])


def segments_of(broker: Broker, topic: str) -> dict[str, tuple[int, int]]:
    return {
        name: found for name, found in broker.segments().items() if name.startswith(f"{topic}-")
    }


def directory_of(broker: Broker) -> str:
    """The id of its disk."""
    text = (broker.data / "meta.properties").read_text("utf-8")
    return next(line[13:] for line in text.splitlines() if line.startswith("directory.id="))
