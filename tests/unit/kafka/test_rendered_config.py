"""What the templates of the recipe `kafka` make of the metadata of an instance."""

from __future__ import annotations

import json

import pytest
from tests.support.kafka_recipe import program, properties, rendered

setup = program("kafka_setup")

ONE, TWO, THREE = (letter * 22 for letter in "def")
VOTERS = ",".join(
    f"{number}@kafka-{number}.us-central1-{zone}:9093:{directory}"
    for number, zone, directory in ((1, "a", ONE), (2, "b", TWO), (3, "c", THREE))
)
CLUSTER = {
    "kafka-cluster-id": "c" * 22,
    "kafka-node-id": "2",
    "kafka-initial-controllers": VOTERS,
}
DOMAIN = "c.shop.internal"


def server(**more: str) -> dict[str, str]:
    given = {f"kafka-{key.replace('_', '-')}": value for key, value in more.items()}
    return properties(rendered({**CLUSTER, **given})["etc/kafka/server.properties"])


def test_a_member_of_a_cluster_of_three_needs_three_names() -> None:
    found = server()
    assert found["node.id"] == "2"
    assert found["process.roles"] == "broker,controller"
    assert found["broker.rack"] == "us-central1-b", "the zone of the instance"
    assert found["log.dirs"] == "/var/lib/kafka/data"
    own = f"kafka-2.us-central1-b.{DOMAIN}"
    assert found["advertised.listeners"] == f"PLAINTEXT://{own}:9092,CONTROLLER://{own}:9093"
    assert found["controller.quorum.bootstrap.servers"].split(",") == [
        f"kafka-{number}.us-central1-{zone}.{DOMAIN}:9093"
        for number, zone in ((1, "a"), (2, "b"), (3, "c"))
    ]
    assert (found["default.replication.factor"], found["min.insync.replicas"]) == ("3", "2")


def test_replication_fits_the_number_of_controllers() -> None:
    factors = {
        entries: properties(
            rendered(
                {
                    **CLUSTER,
                    "kafka-initial-controllers": ",".join(VOTERS.split(",")[:entries]),
                }
            )["etc/kafka/server.properties"]
        )
        for entries in (1, 2, 3)
    }
    told = {
        entries: (found["default.replication.factor"], found["min.insync.replicas"])
        for entries, found in factors.items()
    }
    assert told == {1: ("1", "1"), 2: ("2", "1"), 3: ("3", "2")}


def test_an_attribute_wins_over_the_default_of_the_image() -> None:
    found = server(
        num_partitions="12",
        log_retention_hours="24",
        process_roles="broker",
        default_replication_factor="2",
        broker_rack="r1",
    )
    assert found["num.partitions"] == "12"
    assert found["log.retention.hours"] == "24"
    assert found["default.replication.factor"] == "2"
    assert found["broker.rack"] == "r1"
    assert found["listeners"] == "PLAINTEXT://:9092", "a broker alone has no controller's listener"
    assert found["controller.quorum.auto.join.enable"] == "false"


def test_each_name_is_in_the_file_once() -> None:
    given = {"kafka-num-partitions": "12", "kafka-min-insync-replicas": "1"}
    text = rendered({**CLUSTER, **given})["etc/kafka/server.properties"]
    names = [line.split("=")[0] for line in text.splitlines() if "=" in line]
    assert len(set(names)) == len(names)


def test_a_value_is_one_line_of_properties() -> None:
    text = rendered(
        {**CLUSTER, "kafka-ssl-principal-mapping-rules": r"RULE:^CN=(\w+)/x/" + "\nlog.dirs=/\n"}
    )["etc/kafka/server.properties"]
    lines = [line for line in text.splitlines() if "RULE" in line]
    assert lines == [r"ssl.principal.mapping.rules=RULE:^CN=(\\w+)/x/\nlog.dirs=/"]


def test_more_lines_come_last() -> None:
    assert server(properties="my.reporter=x\nmy.other=y")["my.other"] == "y"


def test_keys_of_ours_are_no_config_and_are_those_that_are_checked() -> None:
    own = dict.fromkeys((*setup.OWN, "agent-metrics-listen", "secret-keystore"), "")
    keys = {f"kafka-{key}": value for key, value in own.items()} | CLUSTER
    found = properties(rendered(keys)["etc/kafka/server.properties"])
    assert {name for name in found if setup.own_key(name.replace(".", "-"))} == set()


def test_the_disk_is_formatted_with_whole_names_of_hosts() -> None:
    text = rendered(CLUSTER)["etc/kafka/controllers"].strip()
    assert text == VOTERS.replace(":9093", f".{DOMAIN}:9093")
    assert [one.directory for one in setup.controllers(text)] == [ONE, TWO, THREE]


def test_hosts_that_are_whole_stay_as_they_are() -> None:
    hosts = ("10.0.0.1", "localhost", "kafka.example.com", f"k.us-central1-a.{DOMAIN}", "[fd00::1]")
    for host in hosts:
        text = f"2@{host}:9093:{TWO}"
        files = rendered({**CLUSTER, "kafka-initial-controllers": text})
        assert files["etc/kafka/controllers"].strip() == text
        found = properties(files["etc/kafka/server.properties"])
        assert found["advertised.listeners"].startswith(f"PLAINTEXT://{host}:9092,")


def test_a_broker_that_joins_has_the_controllers_of_its_metadata() -> None:
    attributes = {
        "kafka-cluster-id": "c" * 22,
        "kafka-node-id": "4",
        "kafka-controller-quorum-bootstrap-servers": "kafka-1.us-central1-a:9093, 10.0.0.2:9093",
    }
    files = rendered(attributes)
    found = properties(files["etc/kafka/server.properties"])
    servers = f"kafka-1.us-central1-a.{DOMAIN}:9093,10.0.0.2:9093"
    assert found["controller.quorum.bootstrap.servers"] == servers
    assert f"PLAINTEXT://kafka-2.us-central1-b.{DOMAIN}:9092" in found["advertised.listeners"]
    agent = properties(files["etc/kafka-agent/agent.properties"])
    assert agent["bootstrap.servers"] == servers.replace("9093", "9092")


def test_without_metadata_all_is_rendered_and_the_check_tells_what_is_missing() -> None:
    files = rendered({"other": "1"}, {"kafka-heap": "1g"})
    metadata = json.loads(files["etc/kafka/metadata.json"])
    assert metadata == {"kafka-heap": "1g"}, "of the project, too"
    assert len(setup.mistakes(metadata, {})) == 3


def test_the_check_is_told_that_the_fleet_is_new_and_kafka_is_not() -> None:
    files = rendered({**CLUSTER, setup.NEW_FLEET: "run-1"})
    metadata = json.loads(files["etc/kafka/metadata.json"])
    assert metadata == {**CLUSTER, setup.NEW_FLEET: "run-1"}
    assert setup.keys_of(metadata) == setup.keys_of(CLUSTER)
    assert "new-fleet" not in files["etc/kafka/server.properties"]
    assert setup.mistakes(metadata, {}) == setup.mistakes(CLUSTER, {})


def test_the_agent_has_its_own_keys() -> None:
    given = {"kafka-agent-metrics-listen": "off", "kafka-bootstrap-servers": "a:1"}
    agent = properties(rendered({**CLUSTER, **given})["etc/kafka-agent/agent.properties"])
    assert agent["bootstrap.servers"] == "a:1"
    assert agent["metrics.listen"] == "off"
    assert agent["broker.log"] == "/var/log/kafka/server.log"


LISTENERS = "PLAINTEXT://:9192,CONTROLLER://:9193,OUTSIDE://:9094,INSIDE://:9095"
PROTOCOLS = "CONTROLLER:SSL,PLAINTEXT:PLAINTEXT,OUTSIDE:SASL_SSL,INSIDE:SSL"


@pytest.mark.parametrize(
    ("more", "port"),
    [
        ({}, 9092),
        ({"listeners": LISTENERS}, 9192),
        ({"listeners": LISTENERS, "agent_security_protocol": "SASL_SSL"}, 9094),
        ({"listeners": LISTENERS, "agent_security_protocol": "SSL"}, 9095),
        (
            {
                "listeners": "A://0.0.0.0:1, B://[::]:2",
                "inter_broker_listener_name": "B",
                "listener_security_protocol_map": "A:SSL,B:SASL_SSL",
            },
            2,
        ),
        (
            {
                "listeners": "PLAINTEXT://:1,CONTROLLER://:9094,B://:2",
                "listener_security_protocol_map": "PLAINTEXT:SSL, B:PLAINTEXT",
            },
            2,
        ),
        ({"listeners": "SSL://:9093,CONTROLLER://:9094", "agent_security_protocol": "SSL"}, 9093),
    ],
)
def test_the_agent_asks_the_listener_that_speaks_its_protocol(
    more: dict[str, str], port: int
) -> None:
    given = {"listener_security_protocol_map": PROTOCOLS, **more}
    keys = {f"kafka-{key.replace('_', '-')}": value for key, value in given.items()}
    agent = properties(rendered({**CLUSTER, **keys})["etc/kafka-agent/agent.properties"])
    servers = agent["bootstrap.servers"].split(",")
    assert [one.rpartition(":")[2] for one in servers] == [str(port)] * 3


def test_options_of_java_are_what_the_broker_is_started_with() -> None:
    given = {"kafka-heap": "96m", "kafka-jvm-options": "-Xss1m\n-XX:TieredStopAtLevel=1\n"}
    found = properties(rendered({**CLUSTER, **given})["etc/kafka/jvm.env"])
    assert found == {"HEAP": "96m", "JVM_OPTIONS": "-Xss1m -XX:TieredStopAtLevel=1", "JMX_PORT": ""}
