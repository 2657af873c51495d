"""What brokers say that is not so, and what takes long: none of it opens a gate."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.kafka_gates import followers, names, until_named
from tests.support.kafka_records import fill

from devstack.kafka.members import BLOCKED, UNKNOWN
from devstack.kafka.traffic import Traffic
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.kafka.brokers import Broker, Cluster, Image
    from devstack.kafka.members import Members

pytestmark = pytest.mark.long

CLOSED = {BLOCKED, UNKNOWN}
PARTITIONS = 120
LOADED = re.compile(rb"\((\d+)/(\d+) completed in")


def test_an_active_controller_that_hangs_closes_every_gate_before_and_after_the_election(
    kafka: Cluster, agents: Members
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"hanging": {}}, wait_for_metadata=True)
    leader = kafka.active_controller()
    others = [node for node in kafka.brokers if node != leader]

    def elected() -> bool:
        with kafka.admin(leader) as admin:
            found = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
            return int(found["leader_id"]) in others

    with Traffic(kafka.bootstrap(), "hanging") as traffic:
        with kafka.brokers[leader].frozen():
            before = {node: until_named(agents[node], leader) for node in others}
            wait_until(elected, 120, "another controller", every=0.5)
            after = {node: until_named(agents[node], leader) for node in others}
        kafka.wait_until_safe()
        for member in agents.values():
            member.until("gate")
    proof = traffic.proof()

    for answers in [*before.values(), *after.values()]:
        assert {answer.code for answer in answers} <= CLOSED, answers
        assert names(answers[-1], leader), answers
    assert (proof.lost, proof.out_of_order, proof.missed) == ((), (), ()), proof.summary()


def test_without_a_quorum_the_last_controller_is_not_stopped(
    kafka: Cluster, agents: Members, image: Image
) -> None:
    with kafka.admin() as admin:
        admin.create_topics({"alone": {}}, wait_for_metadata=True)
    fill(kafka, "alone", megabytes=3)
    left, *others = kafka.brokers
    for node in others:
        kafka.brokers[node].kill()
    gates = [agents[left].ask("gate") for _ in range(3)]
    stopped = agents[left].ask("drain")
    runs = kafka.brokers[left].running
    for node in others:
        kafka.begin(node, image)
    for node in others:
        agents[node].until("health")
    kafka.wait_until_safe()
    opened = {node: agents[node].until("gate")[-1].code for node in kafka.brokers}

    assert {answer.code for answer in gates} <= CLOSED, gates
    assert stopped.code != 0, stopped
    assert runs
    assert set(opened.values()) == {0}
    with kafka.admin() as admin:
        admin.delete_topics(["alone"])


def test_a_broker_that_recovers_its_logs_counts_them_and_keeps_the_other_gates_closed(
    kafka: Cluster, agents: Members, image: Image
) -> None:
    """It is held in the middle of its recovery: how long that takes is no matter of the test."""
    with kafka.admin() as admin:
        many = {"num_partitions": PARTITIONS, "replication_factor": 3}
        admin.create_topics({"many": many}, wait_for_metadata=True)
    fill(kafka, "many", megabytes=24, partitions=PARTITIONS)
    victim, other = followers(kafka)
    broker = kafka.brokers[victim]
    broker.kill()
    size = broker.log.stat().st_size
    slow = {"num.recovery.threads.per.data.dir": "1"}
    kafka.begin(victim, replace(image, settings=slow))
    done, total = until_it_has_loaded_one(broker, size)
    try:
        health, gate = agents[victim].ask("health"), agents[other].ask("gate")
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    agents[victim].until("health")
    kafka.wait_until_safe()
    agents[other].until("gate")
    with kafka.admin() as admin:
        admin.delete_topics(["many"])

    assert 0 < done < total
    told = re.match(r"busy: (\d+) of (\d+)\b", health.lines[0])
    assert health.code != 0
    assert told is not None, health
    assert done <= int(told[1]) < int(told[2]) == total
    assert "recovered after an unclean stop" in health.text
    assert gate.code in CLOSED, gate
    assert names(gate, victim), gate


def until_it_has_loaded_one(broker: Broker, since: int) -> tuple[int, int]:
    """Stop a broker that starts, once it has loaded a log; how many it has, and of how many."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with broker.log.open("rb") as file:
            file.seek(since)
            found = LOADED.findall(file.read())
        if found:
            os.kill(broker.pid, signal.SIGSTOP)
            return int(found[-1][0]), int(found[-1][1])
        time.sleep(0.002)
    raise AssertionError(f"no log was loaded:\n{broker.last_words()}")


def test_of_three_brokers_two_never_go_together(kafka: Cluster, agents: Members) -> None:
    """Whatever `max_unavailable` of the fleet says."""
    with kafka.admin() as admin:
        admin.create_topics({"pairs": {"num_partitions": 6}}, wait_for_metadata=True)
    for node, member in agents.items():
        alone = member.until("gate")[-1]
        batches = [line for line in alone.lines if line.startswith("batch ")]
        assert batches == [f"batch kafka-{node}"], alone
        for other in sorted(set(agents) - {node}):
            both = member.ask("gate", down=[f"kafka-{other}"])
            assert both.code == BLOCKED, both
            told = both.about("blocked")
            assert any(line.startswith("the quorum would have 1") for line in told), both
            assert any("would have 1 of 2 in-sync replicas" in line for line in told), both
    with kafka.admin() as admin:
        admin.delete_topics(["pairs"])
