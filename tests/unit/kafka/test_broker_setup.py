"""What a broker checks before its start, and what it does with its data disk: a table of cases."""

from __future__ import annotations

import pytest
from tests.support.kafka_recipe import program

setup = program("kafka_setup")

CLUSTER, ONE, TWO = (letter * 22 for letter in "cde")
VOTERS = f"1@kafka-1:9093:{ONE},2@kafka-2:9093:{TWO}"
GOOD = {
    "kafka-node-id": "2",
    "kafka-cluster-id": CLUSTER,
    "kafka-initial-controllers": VOTERS,
}
KNOWN = {
    "node.id": "INT",
    "log.retention.hours": "INT",
    "log.retention.bytes": "LONG",
    "log.cleaner.enable": "BOOLEAN",
    "log.cleaner.io.buffer.load.factor": "DOUBLE",
    "controlled.shutdown.enable": "BOOLEAN",
    "min.insync.replicas": "INT",
    "controller.quorum.bootstrap.servers": "LIST",
    "controller.quorum.voters": "LIST",
    "log.dirs": "LIST",
    "ssl.keystore.location": "STRING",
    "listeners": "LIST",
    "broker.id": "INT",
    "broker.rack": "STRING",
}


def wrong(**attributes: str | None) -> list[str]:
    """The mistakes of good metadata with these keys (`_` for `-`); None takes one away."""
    given = {f"kafka-{key.replace('_', '-')}": value for key, value in attributes.items()}
    metadata = {key: value for key, value in {**GOOD, **given}.items() if value is not None}
    found: list[str] = setup.mistakes(metadata, KNOWN)
    return found


def test_good_metadata_has_no_mistake() -> None:
    assert wrong() == []
    assert wrong(log_retention_hours="24", heap="96m", jmx_port="9999", jvm_options="-Xss1m") == []
    assert wrong(initial_controllers=None, controller_quorum_bootstrap_servers="k-1:9093") == []


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"node_id": None}, "kafka-node-id is missing: give each broker a number of its own"),
        ({"node_id": "two"}, "kafka-node-id is 'two', not a whole number"),
        ({"node_id": "-1"}, "kafka-node-id is '-1', not a whole number"),
        ({"cluster_id": None}, "kafka-cluster-id is missing: give all brokers what `kafka-storage"),
        ({"cluster_id": "shop"}, "kafka-cluster-id is 'shop', not an id of 22 characters"),
        ({"initial_controllers": None}, "kafka-initial-controllers is missing: give all brokers"),
    ],
)
def test_a_name_that_is_missing_is_told_with_the_remedy(
    attributes: dict[str, str | None], message: str
) -> None:
    (told,) = wrong(**attributes)
    assert told.startswith(message)


def test_all_mistakes_are_told_at_once() -> None:
    told = setup.mistakes({"kafka-log-retention-hour": "1", "kafka-heap": "lots"}, KNOWN)
    keys = ["node-id", "cluster-id", "initial-controllers", "heap", "log-retention-hour"]
    assert [line.split()[0] for line in told] == [f"kafka-{key}" for key in keys]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"log_retention_hour": "1"}, "did you mean kafka-log-retention-hours?"),
        ({"Log_Retention_Hours": "1"}, "did you mean kafka-log-retention-hours?"),
        ({"heaps": "1g"}, "did you mean kafka-heap?"),
        ({"initial_controller": VOTERS}, "did you mean kafka-initial-controllers?"),
        ({"something_else": "1"}, "means something.else, which this Kafka does not know (what a"),
        ({"log_retention_hours": "a day"}, "is 'a day': give a whole number"),
        ({"log_retention_hours": "1.5"}, "is '1.5': give a whole number"),
        ({"log_retention_hours": ""}, "is '': give a whole number"),
        ({"log_retention_bytes": "1GB"}, "is '1GB': give a whole number"),
        ({"log_cleaner_io_buffer_load_factor": "much"}, "is 'much': give a number"),
        ({"controlled_shutdown_enable": "yes"}, "is 'yes': give true or false"),
        ({"broker_rack": "Köln"}, "has a character that is not ASCII"),
        ({"heap": "1"}, "is '1': give a number with m or g"),
        ({"heap": "1gb"}, "is '1gb': give a number with m or g"),
        ({"jmx_port": "70000"}, "is '70000': give a port"),
        ({"jvm_options": "-Xss1m Xmx1g"}, "has 'Xmx1g': options of java begin with -"),
        ({"eligible_leader_replicas": "no"}, "is neither on nor off"),
        ({"new_cluster": "yes"}, "is 'yes': give the day on which the cluster is made"),
    ],
)
def test_a_misspelt_name_and_a_value_that_cannot_be_are_refused(
    attributes: dict[str, str | None], message: str
) -> None:
    (told,) = wrong(**attributes)
    assert message in told


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"min_insync_replicas": "1"}, "(ELR) the cluster keeps it. Change it by kafka-configs.sh"),
        ({"log_dirs": "/data"}, "elsewhere than on the data disk"),
        ({"log_dir": "/data"}, "elsewhere than on the data disk"),
        ({"metadata_log_dir": "/data"}, "elsewhere than on the data disk"),
        ({"controller_quorum_voters": "1@k:1"}, "a static quorum, whose voters cannot be replaced"),
        ({"broker_id": "2"}, "has another name: kafka-node-id"),
        ({"inter_broker_protocol_version": "3.9"}, "kafka-features.sh finalises it"),
        ({"zookeeper_connect": "z:2181"}, "which has no ZooKeeper"),
        ({"zookeeper_session_timeout_ms": "1"}, "which has no ZooKeeper"),
        ({"advertised_host_name": "k"}, "give kafka-advertised-listeners"),
        ({"controlled_shutdown_enable": "False"}, "would drop leaders at each stop"),
        ({"log_cleaner_enable": "false"}, "grow without end"),
    ],
)
def test_a_name_that_is_ignored_or_breaks_the_cluster_is_refused_with_the_reason(
    attributes: dict[str, str | None], message: str
) -> None:
    (told,) = wrong(**attributes)
    assert message in told
    ((key, value),) = attributes.items()
    line = f"{key.replace('_', '.')}={value}"
    (told,) = wrong(properties=f"# a comment\n{line}\n")
    assert message in told, "the lines of kafka-properties are no way round"


def test_an_agent_that_no_listener_would_let_in_is_told_before_the_start() -> None:
    listeners = "CONTROLLER://:9093, OUTSIDE://:9094,INSIDE://:9095"
    mapped = "CONTROLLER:PLAINTEXT,OUTSIDE:SASL_SSL, INSIDE:SSL"
    given = {"listeners": listeners, "listener_security_protocol_map": mapped}
    known = {"listener.security.protocol.map": "LIST", "inter.broker.listener.name": "STRING"}
    metadata = {f"kafka-{key.replace('_', '-')}": value for key, value in given.items()} | GOOD

    def told(**more: str) -> list[str]:
        keys = {f"kafka-{key.replace('_', '-')}": value for key, value in more.items()}
        found: list[str] = setup.mistakes({**metadata, **keys}, KNOWN | known)
        return found

    assert told() == [
        "kafka-agent-security-protocol is PLAINTEXT, and no listener of kafka-listeners speaks it"
        " (OUTSIDE speaks SASL_SSL, INSIDE speaks SSL): give the agent the protocol of one of them"
    ]
    assert told(agent_security_protocol="SASL_SSL") == []
    assert told(agent_security_protocol="SSL") == []
    assert told(bootstrap_servers="kafka.example.com:9094") == []
    assert wrong(listeners="PLAINTEXT://:9192,CONTROLLER://:9193") == []


def test_min_isr_is_a_brokers_own_where_the_cluster_has_no_elr() -> None:
    assert wrong(min_insync_replicas="1", eligible_leader_replicas="off") == []


def test_a_default_of_the_image_that_cannot_be_is_told_before_the_broker_starts() -> None:
    text = "# rendered\nlog.retention.hours=many\nnum.partitions=3\nany.name=${file:/a:b}\n"
    known = {"log.retention.hours": "INT", "num.partitions": "INT", "any.name": "INT"}
    assert setup.mistakes_of_image(text, known) == [
        "server.properties: log.retention.hours is 'many': give a whole number"
    ]


def test_names_of_listeners_providers_and_plugins_are_taken() -> None:
    assert wrong(listener_name_external_ssl_keystore_location="/k") == []
    assert wrong(config_providers_file_class="FileConfigProvider") == []
    assert wrong(super_users="User:admin") == []
    assert wrong(properties="my.reporter.url=http://x\nlog.retention.hours=3") == []


def test_lines_of_properties_take_no_name_that_an_attribute_has() -> None:
    (told,) = wrong(log_retention_hours="3", properties="log.retention.hours=4")
    assert told == (
        "kafka-properties: log.retention.hours is given by kafka-log-retention-hours too"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1@kafka-1:9093", "has '1@kafka-1:9093': give ID@HOST:PORT:DIRECTORY-ID"),
        (f"kafka-1:9093:{ONE}", "give ID@HOST:PORT:DIRECTORY-ID"),
        (f"1@kafka-1:0:{ONE}", "whose port is none"),
        ("1@kafka-1:9093:short", "whose directory id has not 22 characters"),
        (f"1@a:1:{ONE},1@b:1:{TWO}", "has the node 1 twice"),
        (f"1@a:1:{ONE},2@b:1:{ONE}", "gives the nodes 1 and 2 one directory id"),
    ],
)
def test_a_list_of_controllers_that_cannot_be_is_refused(text: str, message: str) -> None:
    (told,) = wrong(initial_controllers=text)
    assert message in told


def test_controllers_may_have_ipv6_addresses_and_spaces_between_them() -> None:
    found = setup.controllers(f"1@[fd00::1]:9093:{ONE}, 2@10.0.0.2:9093:{TWO}")
    assert [one.host for one in found] == ["[fd00::1]", "10.0.0.2"]
