"""The metadata of the guide to Kafka, rendered by the recipe's templates, on real brokers."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError
from tests.support.kafka_recipe import program, rendered

from devstack.kafka.artefacts import java
from devstack.kafka.brokers import Broker, answers, free_ports, random_id
from devstack.waiting import wait_until
from kafka_agent.agent import OK, Agent
from kafka_agent.config import read
from kafka_agent.gather import Gatherer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from devstack.kafka.brokers import Image

pytestmark = pytest.mark.long

setup, ask_others = program("kafka_setup"), program("ask_others")
TODAY = datetime.datetime.now(datetime.UTC).date()
SCRAM = "SCRAM-SHA-512"


class Rendered(Broker):
    """A broker with the config that its instance would have by its metadata."""

    def __init__(self, node: int, folder: Path, java: str, image: Image) -> None:
        super().__init__(node, folder, java, image)
        self.metadata: dict[str, str] = {}
        self.files: dict[str, str] = {}
        (self.outside_port,) = free_ports(1)

    def boot(self, metadata: Mapping[str, str]) -> None:
        """Render the files; the paths are those of this computer, as they are not a guest's."""
        self.metadata = dict(metadata)
        self.files = rendered(metadata)
        text = self.files["etc/kafka/server.properties"]
        text += f"\nlog.dirs={self.data}\nlog.cleaner.dedupe.buffer.size=8388608\n"
        self.properties.write_text(text, "utf-8")
        agent = self.files["etc/kafka-agent/agent.properties"]
        agent = re.sub(r"(?m)^broker\.log=.*$", f"broker.log={self.log}", agent)
        agent += f"server.properties={self.properties}\nstop.command=true\nmetrics.listen=off\n"
        self.agent_config.write_text(agent, "utf-8")
        self.metadata_file.write_text(self.files["etc/kafka/metadata.json"], "utf-8")

    @property
    def agent_config(self) -> Path:
        """Of the agent."""
        return self.folder / "agent.properties"

    @property
    def metadata_file(self) -> Path:
        """What the check of the config reads."""
        return self.folder / "metadata.json"

    def first_start(self, others: Any, allowed: str) -> None:
        """Format the data as kafka_setup decides it, and start."""
        keys = setup.keys_of(self.metadata)
        keys["initial-controllers"] = self.files["etc/kafka/controllers"].strip()
        action = setup.storage(keys, None, [], lambda: others, allowed, TODAY)
        arguments = ["format", "--cluster-id", keys["cluster-id"], "--config", str(self.properties)]
        process = self._run("kafka.tools.StorageTool", *arguments, *action.arguments)
        assert process.wait(300) == 0, self.last_words()
        self.begin()
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        """Raises with its words when it has ended."""

        def holds() -> bool:
            assert self.running, self.last_words(40)
            return answers(self.address)

        wait_until(holds, 300, f"broker {self.node}", every=0.5)

    def listeners(self, *, controller: bool) -> str:
        """Of the metadata."""
        found = [f"PLAINTEXT://{self.address}", f"OUTSIDE://127.0.0.1:{self.outside_port}"]
        return ",".join(found + ([f"CONTROLLER://{self.controller}"] if controller else []))


@pytest.fixture
def make(image: Image, tmp_path: Path) -> Iterator[Callable[[int], Rendered]]:
    """Makes brokers, which end with the test."""
    path = java()
    assert path is not None
    made: list[Rendered] = []

    def broker(node: int) -> Rendered:
        made.append(Rendered(node, tmp_path / f"b{node}", path, image))
        return made[-1]

    yield broker
    for one in made:
        one.kill()


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """A folder with `broker.pem`, key and certificate of 127.0.0.1, and `ca.pem`, the same."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kafka-1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    folder = tmp_path / "tls"
    folder.mkdir()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "broker.pem").write_bytes(private + certificate.public_bytes(pem))
    (folder / "ca.pem").write_bytes(certificate.public_bytes(pem))
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    (folder / "sasl.properties").write_text(f"jaas={login}\n", "utf-8")
    return folder


def secured(broker: Rendered, tls: Path, cluster: str) -> dict[str, str]:
    """The metadata of the guide: clients outside come by SASL_SSL, brokers by another listener."""
    return {
        "kafka-cluster-id": cluster,
        "kafka-node-id": str(broker.node),
        "kafka-listeners": broker.listeners(controller=True),
        "kafka-advertised-listeners": broker.listeners(controller=True),
        "kafka-initial-controllers": f"1@{broker.controller}:{broker.directory}",
        "kafka-listener-security-protocol-map": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,OUTSIDE:SASL_SSL"
        ),
        "kafka-ssl-keystore-type": "PEM",
        "kafka-ssl-keystore-location": str(tls / "broker.pem"),
        "kafka-ssl-truststore-type": "PEM",
        "kafka-ssl-truststore-location": str(tls / "ca.pem"),
        "kafka-sasl-enabled-mechanisms": SCRAM,
        "kafka-config-providers": "file",
        "kafka-config-providers-file-class": (
            "org.apache.kafka.common.config.provider.FileConfigProvider"
        ),
        "kafka-properties": (
            "listener.name.outside.scram-sha-512.sasl.jaas.config="
            f"${{file:{tls / 'sasl.properties'}:jaas}}\n"
        ),
        "kafka-agent-security-protocol": "SASL_SSL",
        "kafka-agent-ssl-ca-location": str(tls / "ca.pem"),
        "kafka-agent-sasl-mechanism": SCRAM,
        "kafka-agent-sasl-username": "agent",
        "kafka-agent-sasl-password": "agent-password",
    }


def client(broker: Rendered, tls: Path, password: str) -> dict[str, Any]:
    """The options of a client outside."""
    return {
        "bootstrap_servers": [f"127.0.0.1:{broker.outside_port}"],
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(tls / "ca.pem"),
        "sasl_mechanism": SCRAM,
        "sasl_plain_username": "shop",
        "sasl_plain_password": password,
    }


def known(broker: Rendered) -> dict[str, str]:
    """The names of Kafka's config with their types, as the bake asks for them."""
    with closing(KafkaAdminClient(bootstrap_servers=[broker.address])) as admin:
        resource = ConfigResource(ConfigResourceType.BROKER, str(broker.node))
        found = admin.describe_configs([resource], config_filter="all")["broker"][str(broker.node)]
    return {name: str(one["config_type"]) for name, one in found.items()}


def others(
    broker: Rendered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """What the other brokers say of it, asked as at its first boot."""
    monkeypatch.setattr(ask_others, "AGENT", broker.agent_config)
    monkeypatch.setattr(ask_others, "METADATA", broker.metadata_file)
    capsys.readouterr()
    assert ask_others.main() == 0
    return setup.Others(**json.loads(capsys.readouterr().out))


def test_clients_outside_the_agent_and_a_broker_that_is_added_come_as_the_guide_says(
    make: Callable[[int], Rendered],
    tls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster, first = random_id(), make(1)
    first.boot(secured(first, tls, cluster))
    first.first_start(setup.Others(), "the first rollout")
    names = known(first)
    assert setup.mistakes(first.metadata, names) == []
    for user, password in (("agent", "agent-password"), ("shop", "shop-password")):
        change = ["--add-config", f"{SCRAM}=[password={password}]"]
        entity = ["--entity-type", "users", "--entity-name", user]
        first.tool(
            "ConfigCommand", "--bootstrap-server", first.address, "--alter", *change, *entity
        )

    with closing(KafkaAdminClient(bootstrap_servers=[first.address])) as admin:
        admin.create_topics({"outside": {"num_partitions": 1}}, wait_for_metadata=True)
    with closing(KafkaProducer(**client(first, tls, "shop-password"), acks="all")) as producer:
        for one in range(3):
            producer.send("outside", str(one).encode()).get(60)
    reader = KafkaConsumer(**client(first, tls, "shop-password"), auto_offset_reset="earliest")
    with closing(reader) as consumer:
        consumer.assign([TopicPartition("outside", 0)])
        consumer.seek_to_beginning()
        assert [int(next(consumer).value) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KafkaError):
        KafkaAdminClient(**client(first, tls, "wrong"), bootstrap_timeout_ms=5000)

    config = read(first.agent_config)
    assert config.bootstrap == (f"127.0.0.1:{first.outside_port}",), "of the listeners"
    gate = Agent(config, Gatherer(config), first.folder).gate()
    assert gate.status == OK, gate
    assert gate.body.startswith("open: broker 1"), gate

    added = make(4)
    metadata = {
        **secured(added, tls, cluster),
        "kafka-process-roles": "broker",
        "kafka-listeners": added.listeners(controller=False),
        "kafka-advertised-listeners": added.listeners(controller=False),
        "kafka-controller-quorum-bootstrap-servers": first.controller,
        "kafka-bootstrap-servers": f"127.0.0.1:{first.outside_port}",
    }
    del metadata["kafka-initial-controllers"]
    added.boot(metadata)
    assert setup.mistakes(added.metadata, names) == []
    said = others(added, monkeypatch, capsys)
    assert said == setup.Others(answered=True, cluster=cluster)
    added.first_start(said, "")
    with closing(KafkaAdminClient(bootstrap_servers=[first.address])) as admin:
        wait_until(
            lambda: (
                len([b for b in admin.describe_cluster()["brokers"] if not b["is_fenced"]]) == 2
            ),
            120,
            "the broker that was added",
        )
        admin.alter_partition_reassignments({TopicPartition("outside", 0): [4]})
        wait_until(lambda: not admin.list_partition_reassignments(), 120, "the end of the move")
    assert others(added, monkeypatch, capsys).registered
    with closing(KafkaConsumer(bootstrap_servers=[added.address])) as consumer:
        partition = TopicPartition("outside", 0)
        assert consumer.end_offsets([partition]) == {partition: 3}


def test_a_broker_of_an_existing_cluster_is_adopted_with_its_data(
    make: Callable[[int], Rendered],
) -> None:
    """Its quorum is a static one, as clusters have that came from ZooKeeper or from 3.x."""
    broker, cluster = make(1), random_id()
    voters = f"controller.quorum.voters=1@{broker.controller}\n"
    listeners = f"PLAINTEXT://{broker.address},CONTROLLER://{broker.controller}"
    elsewhere = broker.folder / "elsewhere"
    broker.properties.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
        f"listeners={listeners}\nadvertised.listeners={listeners}\n{voters}log.dirs={elsewhere}\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        "log.cleaner.dedupe.buffer.size=8388608\noffsets.topic.replication.factor=1\n",
        "utf-8",
    )
    storage = ["format", "--cluster-id", cluster, "--config", str(broker.properties)]
    assert broker._run("kafka.tools.StorageTool", *storage).wait(300) == 0, broker.last_words()
    broker.begin()
    broker.wait_until_it_answers()
    with closing(KafkaAdminClient(bootstrap_servers=[broker.address])) as admin:
        admin.create_topics({"old": {"num_partitions": 1}}, wait_for_metadata=True)
    with closing(KafkaProducer(bootstrap_servers=[broker.address], acks="all")) as producer:
        producer.send("old", b"0").get(60)
    server = ["--bootstrap-server", broker.address]
    broker.tool("FeatureCommand", *server, "upgrade", "--feature", "kraft.version=1")
    broker.stop()
    shutil.move(elsewhere, broker.data)

    meta = setup.read_meta(broker.data)
    broker.boot(
        {
            "kafka-cluster-id": meta["cluster.id"],
            "kafka-node-id": meta["node.id"],
            "kafka-controller-quorum-bootstrap-servers": broker.controller,
            "kafka-listeners": listeners,
            "kafka-advertised-listeners": listeners,
        }
    )
    found = setup.storage(
        setup.keys_of(broker.metadata), meta, ["meta.properties"], setup.Others, "", TODAY
    )
    assert isinstance(found, setup.Keep)
    broker.begin()
    broker.wait_until_it_answers()
    with closing(KafkaConsumer(bootstrap_servers=[broker.address])) as consumer:
        partition = TopicPartition("old", 0)
        assert consumer.end_offsets([partition]) == {partition: 1}
    agent = read(broker.agent_config)
    assert agent.bootstrap == (broker.address,)
    gate = Agent(agent, Gatherer(agent), broker.folder).gate()
    assert gate.status == OK, gate
