"""Three Kafka brokers, which are the controllers too, in processes of this computer.

They serve tests and the benchmark: small heaps, no data that outlives the folder, loopback only.
They end with the process that started them, however that ends.
"""

from __future__ import annotations

import base64
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from devstack.ports import port_is_free
from devstack.programs import PARENT_DEATH
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

NODES = (1, 2, 3)
DEADLINE = 300.0  # seconds for what takes ten
HEAP = "-Xmx128m"
# C1 only and a serial collector: half of the processor time of a start
JVM = (HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
# Below the ports that the kernel gives to outgoing connections: a client that tries to reach a
# stopped broker must not be given the broker's own port.
PORTS = range(15000, 30000)
SESSION_MS = 9000  # Kafka's default: so long is a killed broker held for alive

SETTINGS = """
process.roles=broker,controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
num.partitions=3
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
controller.quorum.election.timeout.ms=2000
controller.quorum.fetch.timeout.ms=4000
"""
LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = [%d] %p %m (%c)%n
"""


@dataclass(frozen=True)
class Image:
    """What an image would bring: the jars, and settings of its own."""

    jars: Path
    settings: Mapping[str, str] = field(default_factory=dict)


class Broker:
    """One broker, which is a controller too. Only the main thread may start it.

    The kernel ends a process when the *thread* that started it has ended.
    """

    def __init__(self, node: int, folder: Path, java: str, image: Image) -> None:
        self.node, self.folder, self.image = node, folder, image
        self.client_port, self.controller_port = free_ports(2)
        self.directory = random_id()
        self.process: subprocess.Popen[bytes] | None = None
        self._java = java
        folder.mkdir(parents=True)
        (folder / "log4j2.properties").write_text(LOGGING, encoding="ascii")

    @property
    def address(self) -> str:
        """Where it listens for clients."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def controller(self) -> str:
        """Where it listens for the other controllers."""
        return f"127.0.0.1:{self.controller_port}"

    @property
    def data(self) -> Path:
        """Its log directory: what would lie on its data disk."""
        return self.folder / "data"

    @property
    def properties(self) -> Path:
        """Its configuration, written before each start."""
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        """What all of its processes have said."""
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        """Where the pid of its newest process stands, for programs beside it."""
        return self.folder / "pid"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process is not None, f"broker {self.node} was never started"
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process has not ended; a frozen one has not."""
        return self.process is not None and self.process.poll() is None

    @property
    def stopped_cleanly(self) -> bool:
        """Whether the last stop left the mark that spares the next start the log recovery."""
        return (self.data / ".kafka_cleanshutdown").exists()

    def configure(self, controllers: Sequence[str]) -> None:
        """Write the configuration: the image's, over what is its own, over that of all."""
        own = {
            "node.id": str(self.node),
            "controller.quorum.bootstrap.servers": ",".join(controllers),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{self.controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address},CONTROLLER://{self.controller}",
            "log.dirs": str(self.data),
            "broker.rack": f"zone-{self.node}",
        }
        merged = {**_parsed(SETTINGS), **own, **self.image.settings}
        lines = [f"{key}={value}\n" for key, value in merged.items()]
        self.properties.write_text("".join(lines), encoding="utf-8")

    def begin_format(self, cluster: str, voters: str | None) -> subprocess.Popen[bytes]:
        """Start `kafka-storage format`: every voter of a new cluster is told all voters.

        None: it joins a cluster that there is, and its directory has a new id.
        """
        arguments = ["format", "--cluster-id", cluster, "--config", str(self.properties)]
        first = ["--initial-controllers", voters] if voters else ["--no-initial-controllers"]
        return self._run("kafka.tools.StorageTool", *arguments, *first)

    def tool(self, main: str, *arguments: str) -> str:
        """Run one of Kafka's tools to its end, by the name of its class; returns its words."""
        log = self.folder / "tool.log"
        log.unlink(missing_ok=True)
        code = self._run(f"org.apache.kafka.tools.{main}", *arguments, log=log).wait(DEADLINE)
        said = log.read_text("utf-8", "replace")
        if code != 0:
            raise RuntimeError(f"{main} {' '.join(arguments)} ended with {code}:\n{said}")
        return said

    def begin(self) -> None:
        """Start its process, and do not wait for it."""
        assert not self.running, f"broker {self.node} runs already"
        self.process = self._run("kafka.Kafka", str(self.properties))
        self.pid_file.write_text(str(self.process.pid), encoding="ascii")

    def stop(self) -> float:
        """Stop it by its own controlled shutdown; returns the seconds."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        self.wait_for_end()
        return time.monotonic() - began

    def wait_for_end(self) -> None:
        """Until its process has ended."""
        assert self.process is not None
        self.process.wait(DEADLINE)

    def kill(self) -> None:
        """As when its machine loses power; a frozen one too. Nothing if it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """It accepts connections and answers none, as a machine that hangs."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if self.running:
                os.kill(self.pid, signal.SIGCONT)

    def segments(self) -> dict[str, tuple[int, int]]:
        """Inode and bytes of each file of records, by its path below the log directory."""
        found = {}
        for file in self.data.glob("*/*.log"):
            with suppress(FileNotFoundError):  # a deleted topic's
                status = file.stat()
                found[str(file.relative_to(self.data))] = (status.st_ino, status.st_size)
        return found

    def last_words(self, lines: int = 15) -> str:
        """Of its log."""
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _run(self, main: str, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        bound = ["--parent", str(os.getpid()), "--signal", "SIGKILL", "--"]
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        program = [self._java, *JVM, "-cp", f"{self.image.jars}/*", logging, main, *arguments]
        with (log or self.log).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-I", str(PARENT_DEATH), *bound, *program],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )


class Cluster:
    """The brokers, by their node ids."""

    def __init__(self, folder: Path, java: str, image: Image) -> None:
        self.cluster_id = random_id()
        self.brokers = {node: Broker(node, folder / f"b{node}", java, image) for node in NODES}

    @property
    def voters(self) -> str:
        """As `kafka-storage format --initial-controllers` takes them."""
        return ",".join(f"{b.node}@{b.controller}:{b.directory}" for b in self.brokers.values())

    @property
    def _controllers(self) -> list[str]:
        return [broker.controller for broker in self.brokers.values()]

    def bootstrap(self, *without: int) -> list[str]:
        """Addresses for clients, but for those of some brokers."""
        return [b.address for b in self.brokers.values() if b.node not in without]

    def create(self) -> None:
        """Format all log directories, start all brokers, and wait until the cluster is safe."""
        for broker in self.brokers.values():
            broker.configure(self._controllers)
        formats = [b.begin_format(self.cluster_id, self.voters) for b in self.brokers.values()]
        for broker, process in zip(self.brokers.values(), formats, strict=True):
            assert process.wait(DEADLINE) == 0, broker.last_words()
        for broker in self.brokers.values():
            broker.begin()
        self.wait_until_safe()

    def begin(self, node: int, image: Image | None = None) -> None:
        """Start a broker, on another image if one is given, and do not wait for it."""
        broker = self.brokers[node]
        broker.image = image or broker.image
        broker.configure(self._controllers)
        broker.begin()

    @contextmanager
    def admin(self, *without: int) -> Generator[Any]:
        """A client of the brokers, but for some."""
        servers = self.bootstrap(*without)
        with closing(KafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)) as admin:
            yield admin

    def active_controller(self) -> int:
        """Who leads the quorum. `describe_cluster` would name any broker."""
        with self.admin() as admin:
            return int(_quorum(admin)["leader_id"])

    def unsafe(self) -> list[str]:
        """Why the cluster is not whole: of brokers, voters and partitions, by name."""
        silent = [node for node, broker in self.brokers.items() if not answers(broker.address)]
        if silent:
            return [f"broker {node} does not answer" for node in silent]
        try:
            with self.admin() as admin:
                return [*_missing_brokers(admin), *_behind(admin), *_out_of_sync(admin)]
        except (KafkaError, OSError) as error:
            return [f"no answer to a question about the cluster: {error!r}"]

    def wait_until_safe(self) -> None:
        """Until every broker answers, none is fenced, and every replica is in sync."""
        reasons: list[str] = []

        def safe() -> bool:
            dead = [b for b in self.brokers.values() if not b.running]
            if dead:
                told = "\n".join(f"broker {b.node} has ended:\n{b.last_words()}" for b in dead)
                raise RuntimeError(told)
            reasons[:] = self.unsafe()
            return not reasons

        try:
            wait_until(safe, DEADLINE, "a safe cluster", every=0.3)
        except RuntimeError as error:
            raise RuntimeError(f"{error}; {'; '.join(reasons)}") from error

    def replace_disk(self, node: int) -> None:
        """Give a stopped broker a new, empty disk, which is formatted as at a first boot."""
        broker = self.brokers[node]
        assert not broker.running, f"broker {node} runs"
        shutil.rmtree(broker.data)
        broker.configure(self._controllers)
        assert broker.begin_format(self.cluster_id, None).wait(DEADLINE) == 0, broker.last_words()

    def recover(self, image: Image) -> None:
        """Start what does not run, on this image, and wait until the cluster is safe."""
        for node, broker in self.brokers.items():
            if not broker.running:
                self.begin(node, image)
        self.wait_until_safe()

    def destroy(self) -> None:
        """Kill all: nothing of their data is wanted."""
        for broker in self.brokers.values():
            broker.kill()


@contextmanager
def cluster(folder: Path, java: str, image: Image) -> Generator[Cluster]:
    """A cluster that is whole, with no topics; it ends with the block."""
    made = Cluster(folder, java, image)
    try:
        made.create()
        yield made
    finally:
        made.destroy()


def answers(address: str, seconds: float = 2.0) -> bool:
    """Whether a broker answers a fresh connection: what it has said before proves nothing."""
    with suppress(KafkaError, OSError):
        limit = int(seconds * 1000)
        KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=limit).close()
        return True
    return False


def size(segments: Mapping[str, tuple[int, int]]) -> int:
    """Bytes of records."""
    return sum(length for _, length in segments.values())


def written(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> int:
    """Bytes of records that were written in between: a file that was made again counts whole."""
    total = 0
    for name, (inode, length) in after.items():
        old_inode, old_length = before.get(name, (inode, 0))
        total += length - old_length if old_inode == inode and length >= old_length else length
    return total


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free, and that the kernel gives to nobody."""
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.choice(PORTS)
        if port not in chosen and port_is_free(port):
            chosen.append(port)
    return chosen


def random_id() -> str:
    """A UUID as Kafka writes it; it would take one that begins with `-` for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if re.match(r"[A-Za-z0-9]", text):
            return text


def _quorum(admin: Any) -> dict[str, Any]:
    found: dict[str, Any] = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
    return found


def _missing_brokers(admin: Any) -> list[str]:
    fenced = {one["broker_id"]: one["is_fenced"] for one in admin.describe_cluster()["brokers"]}
    return [
        f"broker {node} is {'fenced' if node in fenced else 'not registered'}"
        for node in NODES
        if fenced.get(node, True)
    ]


def _behind(admin: Any) -> list[str]:
    """Voters that are not at the end of the metadata log; the leader knows how far they are."""
    quorum = _quorum(admin)
    voters = {voter["replica_id"]: voter for voter in quorum["current_voters"]}
    leader = voters.get(quorum["leader_id"])
    if leader is None:
        return ["the quorum has no leader"]
    now = leader["last_caught_up_timestamp"]
    late = {node: now - voter["last_caught_up_timestamp"] for node, voter in voters.items()}
    return [f"voter {node} is {ms} ms behind" for node, ms in late.items() if ms > 4000] + [
        f"node {node} is no voter" for node in NODES if node not in voters
    ]


def _out_of_sync(admin: Any) -> list[str]:
    return [
        f"{topic['name']}-{partition['partition_index']} has the ISR {partition['isr_nodes']}"
        for topic in partitions(admin)
        for partition in topic["partitions"]
        if len(partition["isr_nodes"]) < len(partition["replica_nodes"])
        or partition["leader_id"] < 0
    ]


def partitions(admin: Any) -> list[dict[str, Any]]:
    """All topics, with leader, ISR and eligible leaders of each partition."""
    names = [topic["name"] for topic in admin.describe_topics()]
    found: list[dict[str, Any]] = []
    if names:
        found = admin.describe_topic_partitions(sorted(names))["topics"]
    return found


def _parsed(properties: str) -> dict[str, str]:
    lines = (line.partition("=") for line in properties.splitlines() if line)
    return {key: value for key, _, value in lines}
