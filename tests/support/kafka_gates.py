"""What the gates of real brokers say while one of them is not well."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from devstack.kafka.members import OPEN

if TYPE_CHECKING:
    from devstack.kafka.brokers import Cluster
    from devstack.kafka.members import Answer, Member, Members


def names(answer: Answer, node: int) -> bool:
    """Whether a gate is closed, and one of its reasons is this broker."""
    wanted = re.compile(rf"\b(broker|voter|kafka-)[ -]?{node}\b")
    return answer.code == 1 and any(wanted.search(line) for line in answer.about("blocked"))


def until_named(member: Member, node: int) -> list[Answer]:
    """All answers of a gate until it names a broker, or is open."""
    answers = [member.ask("gate")]
    while not names(answers[-1], node) and answers[-1].code != OPEN:
        time.sleep(0.5)
        answers.append(member.ask("gate"))
    return answers


def drain(kafka: Cluster, agents: Members, node: int) -> None:
    """Stop a broker as a rollout does, and wait until it has ended."""
    agents[node].until("gate")
    answer = agents[node].ask("drain")
    assert answer.code == 0, answer
    kafka.brokers[node].wait_for_end()


def followers(kafka: Cluster) -> list[int]:
    """All but the active controller."""
    leader = kafka.active_controller()
    return [node for node in kafka.brokers if node != leader]
