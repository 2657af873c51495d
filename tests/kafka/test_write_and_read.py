"""The record of the smoke test, against real brokers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.kafka_recipe import program
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    import pytest

    from devstack.kafka.brokers import Cluster

PROGRAM = PROJECT / "include/startup_scripts/kafka/setup/write_and_read.py"
TOPIC = "smoke"


def write_and_read(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """As the smoke test calls it."""
    command = [sys.executable, str(PROGRAM), cluster.bootstrap()[0], TOPIC]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


def test_a_record_is_written_and_read_back_also_behind_others(kafka: Cluster) -> None:
    with kafka.admin() as admin:
        admin.create_topics({TOPIC: {"num_partitions": 1}}, wait_for_metadata=True)
    for offset in (0, 1):
        done = write_and_read(kafka)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"written at offset {offset} of {TOPIC}, and read back\n"


def test_a_record_that_is_not_there_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = program("write_and_read")
    monkeypatch.setattr(found, "KafkaProducer", Acknowledges)
    monkeypatch.setattr(found, "read", lambda *_: [b"another"])
    monkeypatch.setattr(sys, "argv", ["write_and_read.py", "localhost:9092", TOPIC])
    assert found.main() == 1


class Acknowledges:
    """A producer whose broker has acknowledged, and kept nothing."""

    offset = 7

    def __init__(self, **_: object) -> None:
        pass

    def send(self, *_: object, **__: object) -> Acknowledges:
        return self

    def get(self, timeout: float) -> Acknowledges:
        assert timeout
        return self

    def close(self) -> None:
        pass
