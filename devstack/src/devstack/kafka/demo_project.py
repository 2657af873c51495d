"""The project of `make demo-kafka`: a copy of this one, its fleet as this computer can run it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import yaml

from devstack.testbed import AUTHOR, copy_tree, git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLEET = "include/fleets/kafka.yaml"
TEMPLATE = "include/startup_scripts/kafka/templates/etc/kafka/server.properties.j2"
PATIENCE = {"boot_time_limit": "40m", "smoke": {"deadline": "60m"}}  # without KVM, beside others
# A boot that ends before its broker is healthy is looked at again by a timer, half a minute later.
READY_TIMEOUT = "180s"
HEALTH_DEADLINE = "60m"

# A broker that is emulated takes 20 to 30 times as long for everything, and three idle ones must
# not fill two cores: a small heap, no second compiler and less for the first one (docs/kafka.md),
# timeouts and intervals to match.
EMULATED = {
    "kafka-heap": "96m",
    "kafka-jvm-options": "-XX:TieredStopAtLevel=1 -XX:CompileThresholdScaling=10 -XX:-UsePerfData",
    "kafka-broker-session-timeout-ms": "40000",
    "kafka-broker-heartbeat-interval-ms": "6000",
    "kafka-controller-quorum-election-timeout-ms": "10000",
    "kafka-controller-quorum-fetch-timeout-ms": "20000",
    "kafka-controller-quorum-request-timeout-ms": "20000",
    "kafka-metadata-max-idle-interval-ms": "10000",
    "kafka-replica-fetch-wait-max-ms": "5000",
    "kafka-offsets-topic-num-partitions": "3",
    "kafka-group-initial-rebalance-delay-ms": "0",
    # each thread that waits looks up three times a second (java's sampler, off above, 20 times)
    "kafka-num-network-threads": "1",
    "kafka-num-io-threads": "1",
    "kafka-group-coordinator-threads": "1",
}
# Of one processor, and of two: what two brokers that wait leave of two cores is more than one.
MACHINE, LARGER_MACHINE = "g1-small", "e2-medium"
# Clients of this computer reach a broker at its external address, as docs/kafka.md has it.
OUTSIDE = 9094
LISTENERS = {
    "kafka-listeners": f"PLAINTEXT://:9092,CONTROLLER://:9093,OUTSIDE://:{OUTSIDE}",
    "kafka-listener-security-protocol-map": (
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT"
    ),
}

NEXT, BAD = "the next version", "the bad version"
_AT = '  "num.partitions": 3,\n'
# Only a cluster of several brokers has the mistake: the smoke test, with one, cannot find it.
_CONFIG = {
    NEXT: '  "log.retention.hours": 72,\n',
    BAD: '  "log.retention.hours": "many" if cluster.count > 1 else 72,\n',
}


def copy_project(source: Path, project: Path) -> dict[str, str]:
    """A copy of the work tree, with three versions of the recipe as commits; their hashes by name.

    The first is `""`: the recipes of this project, but for the patience that emulation needs.
    """
    shutil.rmtree(project, ignore_errors=True)
    copy_tree(source, project)
    for recipe in ("jre", "kafka"):
        file = project / f"include/recipes/{recipe}.yaml"
        text = file.read_text("utf-8")
        loaded = yaml.safe_load(text)
        loaded |= {"boot_time_limit": PATIENCE["boot_time_limit"]}
        if "ready" in loaded:
            loaded["ready"]["timeout"] = READY_TIMEOUT
        loaded["smoke"] = {**loaded.get("smoke", {}), **PATIENCE["smoke"]}  # type: ignore[dict-item]
        file.write_text(yaml.safe_dump(loaded, sort_keys=False), "utf-8")
    versions = {"": commit(project, "The recipes of Kafka, patient")}
    template = project / TEMPLATE
    original = template.read_text("utf-8")
    for name, line in _CONFIG.items():
        changed = original.replace(_AT, _AT + line)
        if changed == original:
            raise RuntimeError(f"{TEMPLATE} has no line {_AT.strip()!r} to change for {name}")
        template.write_text(changed, "utf-8")
        versions[name] = commit(project, name.capitalize())
    template.write_text(original, "utf-8")
    commit(project, "The config as it was")
    return versions


def write_fleet(project: Path, gce_project: str, addresses: Mapping[str, str], **more: Any) -> None:
    """The fleet as this project declares it, for this computer.

    addresses: the reserved external address of each member.
    more: fields of the template that differ.
    """
    file = project / FLEET
    git(project, "checkout", "--quiet", "HEAD", "--", FLEET)
    fleet = yaml.safe_load(file.read_text("utf-8"))
    metadata = {**fleet["template"]["metadata"], **EMULATED, **LISTENERS}
    fleet["template"] |= {"machine_type": MACHINE, "metadata": metadata, "external_ip": True}
    fleet["template"] |= more.pop("template", {})
    for one in fleet["members"]["instances"]:
        name = one["name"]
        host = f"{name}.{one['zone']}.c.{gce_project}.internal"
        one["external_address"] = outside_name(name)
        one["metadata"]["kafka-advertised-listeners"] = (
            f"PLAINTEXT://{host}:9092,CONTROLLER://{host}:9093,"
            f"OUTSIDE://{addresses[name]}:{OUTSIDE}"
        )
    fleet |= {"rollout": "manual", "health_deadline": HEALTH_DEADLINE, **more}
    file.write_text(yaml.safe_dump(fleet, sort_keys=False), "utf-8")


def members(project: Path) -> dict[str, str]:
    """The zone of each member."""
    fleet = yaml.safe_load((project / FLEET).read_text("utf-8"))
    return {one["name"]: one["zone"] for one in fleet["members"]["instances"]}


def outside_name(member: str) -> str:
    """Of the reserved external address."""
    return f"{member}-outside"


def commit(project: Path, why: str) -> str:
    """All that was written; the new commit's hash."""
    git(project, "add", "-A")
    git(project, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", why)
    return git(project, "rev-parse", "HEAD").strip()
