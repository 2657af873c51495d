"""The recipe `kafka` on a real machine: baked once, one broker, rolled; its records are read back.

A small heap and the archive of classes, as on hosts that emulate. The machine itself asks: what it
finds is on its serial port.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.connections import commit_all
from tests.support.paths import PROJECT
from tests.vm.cookbook.kitchen import BOOT_SECONDS, ZONE, Kitchen

from devstack import machines
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.gce_api import Compute

DIRECTORY = "OUtTmYXJQ_-ywdLn2Q1JpA"
METADATA = {
    "kafka-node-id": "1",
    "kafka-cluster-id": "ptuzof_qQAio8bLFRCflfQ",
    "kafka-initial-controllers": f"1@kafka-1.us-central1-a:9093:{DIRECTORY}",
    "kafka-heap": "96m",
    "kafka-jvm-options": "-XX:TieredStopAtLevel=1 -XX:CompileThresholdScaling=10",
    "kafka-log-retention-hours": "24",
}
# Run by each boot once the broker is healthy: a record more, and what was read before it.
STARTUP = """#!/bin/bash
set -Eeuo pipefail
until grep -qs '"state": "healthy"' /run/bakehouse/health.json; do sleep 1; done
config=/etc/kafka/server.properties
server=$(sed -n 's/^advertised.listeners=PLAINTEXT:..\\([^,]*\\).*/\\1/p' $config)
to=(--bootstrap-server "$server" --topic kept)
kafka-topics.sh "${to[@]}" --create --if-not-exists --partitions 1
before=$(kafka-get-offsets.sh "${to[@]}" | cut -d : -f 3)
echo "record-$before" | kafka-console-producer.sh "${to[@]}" --command-property acks=all
rows=$(kafka-console-consumer.sh "${to[@]}" --partition 0 --offset earliest \\
  --max-messages $((before + 1)) --timeout-ms 120000 2>/dev/null | paste -sd,)
gate=$(/usr/lib/bakehouse/gate 2>&1 | paste -sd';') || gate="closed: $gate"
pid=$(systemctl show --property=MainPID --value kafka)
archive=$(grep -c /opt/kafka/kafka.jsa "/proc/$pid/maps") || :
hours=$(grep ^log.retention.hours $config)
directory=$(sed -n 's/^directory.id=//p' /var/lib/kafka/data/meta.properties)
echo "kafka-test: rows=$rows archive=$archive config=$hours directory=$directory gate=$gate"
"""
TOLD = re.compile(
    r"kafka-test: rows=(\S+) archive=(\d+) config=(\S+) directory=(\S+) gate=([^\r\n]*)"
)


class Broker:
    """An instance with a data disk, as a declared fleet would have it."""

    def __init__(self, compute: Compute, image: str) -> None:
        self._compute, self._image, self._boots = compute, image, 0
        self._instance = f"{ZONE}/instances/kafka-1"

    def create(self, **metadata: str) -> None:
        """Create it; its data disk is used if there is one."""
        self._boots += 1
        items = {"enable-guest-attributes": "TRUE", "startup-script": STARTUP, **METADATA}
        items |= {key.replace("_", "-"): value for key, value in metadata.items()}
        names = {disk["name"] for disk in self._compute.disks()}
        data: dict[str, Any] = {"deviceName": "data", "autoDelete": False}
        if "kafka-1-data" in names:
            data["source"] = f"{ZONE}/disks/kafka-1-data"
        else:
            data["initializeParams"] = {"diskName": "kafka-1-data", "diskSizeGb": "2"}
        boot = {
            "diskName": f"kafka-1-{self._boots}",
            "sourceImage": f"global/images/{self._image}",
        }
        body = {
            "name": "kafka-1",
            "machineType": f"{ZONE}/machineTypes/e2-small",
            "networkInterfaces": [{"network": "global/networks/default"}],
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,
                    "deviceName": "boot",
                    "initializeParams": boot,
                },
                data,
            ],
        }
        self._done(self._compute.call("POST", f"{ZONE}/instances", json=body))

    def delete(self) -> None:
        """Delete the instance and its boot disk; the data disk stays."""
        self._done(self._compute.call("DELETE", self._instance))

    def told(self) -> re.Match[str]:
        """What its script says once the broker is healthy."""

        def said() -> bool:
            text = self.serial()
            assert '"state": "unhealthy"' not in text, text[-6000:]
            assert "startup-script exit status 1" not in text, text[-6000:]
            return TOLD.search(text) is not None

        wait_until(said, BOOT_SECONDS, "kafka-1 to tell its rows", every=1)
        found = TOLD.search(self.serial())
        assert found is not None
        return found

    def refused(self) -> str:
        """Why the boot is unhealthy."""
        state = '"state": "unhealthy"'
        wait_until(lambda: state in self.serial(), BOOT_SECONDS, "kafka-1 to refuse", every=1)
        return self.serial()

    def serial(self) -> str:
        """The output of this instance."""
        return self._compute.serial_output(self._instance)

    def _done(self, operation: dict[str, Any]) -> None:
        def ended() -> bool:
            path = f"{ZONE}/operations/{operation['name']}"
            found: dict[str, Any] = self._compute.call("GET", path)
            assert "error" not in found, found
            return bool(found["status"] == "DONE")

        wait_until(ended, BOOT_SECONDS, operation["operationType"])


class KafkaKitchen(Kitchen):
    """A project with the recipes `jre` and `kafka` as they ship, patient with a slow machine."""

    def __init__(self, project: Path) -> None:
        self.project = project
        shutil.copytree(PROJECT / "include", project / "include")
        shutil.copyfile(PROJECT / "airflow_settings.yaml", project / "airflow_settings.yaml")
        kafka = project / "include/recipes/kafka.yaml"
        text = kafka.read_text("utf-8").replace("boot_time_limit: 15m", "boot_time_limit: 30m")
        kafka.write_text(text.replace("  deadline: 30m", "  deadline: 60m"), "utf-8")
        jre = project / "include/recipes/jre.yaml"
        with jre.open("a", encoding="utf-8") as file:
            file.write("boot_time_limit: 20m\nsmoke: { deadline: 45m }\n")
        commit_all(project, "The recipes of Kafka")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaKitchen]:
    able, words = machines.doctor()
    if not able:
        pytest.skip(f"no real machines here: {machines.reason(words)}")
    machines.make_public_image(print)
    kitchen = KafkaKitchen(tmp_path_factory.mktemp("kafka") / "project")
    yield kitchen
    kitchen.close()


def test_a_broker_boots_from_metadata_and_keeps_its_records_through_a_recreation(
    kitchen: KafkaKitchen,
) -> None:
    image = kitchen.build_recipe("kafka")
    broker = Broker(kitchen.compute(), image)
    broker.create(bakehouse_new_fleet="the-first-rollout")
    first = broker.told()
    assert first[1] == "record-0"
    assert int(first[2]) > 0, "the archive of classes is mapped"
    assert first[3] == "log.retention.hours=24"
    assert first[4] == DIRECTORY, "of the metadata"
    assert "blocked" in first[5] or "open" in first[5], "the gate answers"
    made = "the data disk is empty and is formatted: the cluster is new: the first rollout of"
    assert made in broker.serial()
    broker.delete()
    broker.create()
    second = broker.told()
    assert second[1] == "record-0,record-1", "what was written before is read back"
    assert second[4] == DIRECTORY
    assert "is formatted" not in broker.serial()
    broker.delete()

    broker.create(kafka_min_insync_replicas="1", kafka_log_retention_hour="1", kafka_node_id="2")
    text = broker.refused()
    assert "kafka-min-insync-replicas is ignored by a broker" in text
    assert "did you mean kafka-log-retention-hours?" in text
    broker.delete()
