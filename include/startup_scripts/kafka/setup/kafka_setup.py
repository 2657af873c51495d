"""Before each start of the broker: checks its config, and formats its data disk if it is new.

Runs as root, by kafka-setup.service. What the boot has rendered from the metadata of the instance
is judged by what this Kafka knows (config-names.json, which the bake has asked of Kafka itself).
All mistakes are told at once, in one line: the report of the boot shows few lines of a unit.

The functions above `main` decide and touch nothing: Python's standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

METADATA = Path("/etc/kafka/metadata.json")
PROPERTIES = Path("/etc/kafka/server.properties")
AGENT = Path("/etc/kafka-agent/agent.properties")
CONTROLLERS = Path("/etc/kafka/controllers")  # kafka-initial-controllers with whole names of hosts
KNOWN = Path("/opt/kafka/config-names.json")
DATA = Path("/var/lib/kafka")

PREFIX = "kafka-"
# Bakehouse gives it to the instances that it creates while a fleet has neither instance nor data
# disk, and takes it away with its first order to the instance.
NEW_FLEET = "bakehouse-new-fleet"
# Keys that are no config of a broker. The template of server.properties leaves out the same.
OWN = (
    "cluster-id",
    "initial-controllers",
    "bootstrap-servers",
    "heap",
    "jvm-options",
    "jmx-port",
    "new-disk",
    "new-cluster",
    "eligible-leader-replicas",
    "properties",
)
OWN_PREFIXES = ("agent-", "secret-")  # of the agent's config, of secrets that are fetched

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
ID = re.compile(r"[A-Za-z0-9_-]{22}")  # 16 bytes in base64, as Kafka writes ids
HEAP = re.compile(r"[1-9][0-9]*[kmgKMG]")
CONTROLLER = re.compile(
    r"(?P<node>[0-9]+)@(?P<host>[^@:,\s]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]+):(?P<directory>[^:,\s]*)"
)
NUMBERS = {"INT": int, "LONG": int, "SHORT": int, "DOUBLE": float}

# Names that end in whatever a listener, a provider or a plugin is called, or that a plugin reads.
OPEN_NAMES = re.compile(
    r"listener\.name\.[a-z0-9_]+\..+|config\.providers\..+|rsm\.config\..+|rlmm\.config\..+"
    r"|super\.users|allow\.everyone\.if\.no\.acl\.found"
)

_REMOVED = "is not a name of Kafka 4"
_DISK = "would put data elsewhere than on the data disk, which is /var/lib/kafka"
_FEATURE = "is a feature of the cluster now, not of a broker: kafka-features.sh finalises it"
REFUSED = {
    "log.dirs": _DISK,
    "log.dir": _DISK,
    "metadata.log.dir": _DISK,
    "controller.quorum.voters": "makes a static quorum, whose voters cannot be replaced: give"
    " kafka-initial-controllers",
    "broker.id": "has another name: kafka-node-id",
    "inter.broker.protocol.version": _FEATURE,
    "log.message.format.version": _FEATURE,
    "advertised.host.name": f"{_REMOVED}: give kafka-advertised-listeners",
    "advertised.port": f"{_REMOVED}: give kafka-advertised-listeners",
    "host.name": f"{_REMOVED}: give kafka-listeners",
    "port": f"{_REMOVED}: give kafka-listeners",
    "zookeeper.connect": f"{_REMOVED}, which has no ZooKeeper: give kafka-initial-controllers",
    "delegation.token.master.key": f"{_REMOVED}: give kafka-delegation-token-secret-key",
}
REFUSED_VALUES = {
    ("controlled.shutdown.enable", "false"): "would drop leaders at each stop, and no rollout could"
    " drain the broker",
    ("log.cleaner.enable", "false"): "would let __consumer_offsets grow without end",
}
ELR = "min.insync.replicas"
ELR_REASON = (
    "is ignored by a broker: since eligible leader replicas (ELR) the cluster keeps it. Change it"
    " by kafka-configs.sh --alter --entity-type brokers --entity-default --add-config"
    " min.insync.replicas=N, or for a topic. In a cluster without the feature"
    " eligible.leader.replicas.version give kafka-eligible-leader-replicas=off"
)


class Refused(Exception):
    """The broker must not start; the text says why, and what to do."""


def keys_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """The keys `kafka-*` of the metadata, without `kafka-`."""
    found = metadata.items()
    return {key.removeprefix(PREFIX): one.strip() for key, one in found if key.startswith(PREFIX)}


def own_key(key: str) -> bool:
    """Whether a key of the metadata (without `kafka-`) is no config of a broker."""
    return key in OWN or key.startswith(OWN_PREFIXES)


def config_name(key: str) -> str:
    """The config that a key (without `kafka-`) means: no name of Kafka has a dash."""
    return key.replace("-", ".")


def parse_properties(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of lines `name=value`; comments and empty lines are none."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def mistakes(metadata: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the keys `kafka-*` of the metadata, with the remedy.

    Args:
        metadata: Keys and values.
        known: Names of this Kafka's config, with their types.
    """
    keys = keys_of(metadata)
    found = [*_required(keys), *_own(keys), *_config(keys, known), *_properties(keys, known)]
    return [*found, *_agent(keys)]


def _required(keys: Mapping[str, str]) -> Iterator[str]:
    if not re.fullmatch(r"[0-9]{1,9}", node := keys.get("node-id", "")):
        what = f"is {node!r}, not a whole number" if node else "is missing"
        yield f"kafka-node-id {what}: give each broker a number of its own, which it keeps"
    if not ID.fullmatch(cluster := keys.get("cluster-id", "")):
        what = f"is {cluster!r}, not an id of 22 characters" if cluster else "is missing"
        remedy = "give all brokers what `kafka-storage.sh random-uuid` prints"
        yield f"kafka-cluster-id {what}: {remedy}"
    if "initial-controllers" not in keys and "controller-quorum-bootstrap-servers" not in keys:
        yield (
            "kafka-initial-controllers is missing: give all brokers the same list of"
            " ID@HOST:PORT:DIRECTORY-ID, or kafka-controller-quorum-bootstrap-servers to a broker"
            " that joins a cluster"
        )


def _own(keys: Mapping[str, str]) -> Iterator[str]:
    try:
        controllers(keys.get("initial-controllers", ""))
    except ValueError as wrong:
        yield f"kafka-initial-controllers {wrong}"
    if (heap := keys.get("heap")) is not None and not HEAP.fullmatch(heap):
        yield f"kafka-heap is {heap!r}: give a number with m or g, such as 512m"
    if (port := keys.get("jmx-port")) is not None and not _is_port(port):
        yield f"kafka-jmx-port is {port!r}: give a port, such as 9999"
    for option in keys.get("jvm-options", "").split():
        if not option.startswith("-"):
            yield f"kafka-jvm-options has {option!r}: options of java begin with -"
    if keys.get("eligible-leader-replicas", "on") not in {"on", "off"}:
        yield "kafka-eligible-leader-replicas is neither on nor off"
    if (day := keys.get("new-cluster")) is not None and _day(day) is None:
        yield f"kafka-new-cluster is {day!r}: give the day on which the cluster is made, YYYY-MM-DD"


def _agent(keys: Mapping[str, str]) -> Iterator[str]:
    """The agent asks brokers on a listener that speaks its protocol (controllers.j2)."""
    listeners, roles = keys.get("listeners", ""), keys.get("process-roles", "broker")
    if not listeners or "bootstrap-servers" in keys or "broker" not in roles:
        return
    wanted = keys.get("agent-security-protocol", "PLAINTEXT")
    pairs = keys.get("listener-security-protocol-map", "").replace(" ", "").split(",")
    protocols = dict(pair.partition(":")[::2] for pair in pairs if pair)
    of_controllers = keys.get("controller-listener-names", "CONTROLLER").replace(" ", "").split(",")
    names = [one.partition("://")[0].strip() for one in listeners.split(",")]
    speak = {name: protocols.get(name, name) for name in names if name not in of_controllers}
    if wanted not in speak.values():
        yield (
            f"kafka-agent-security-protocol is {wanted}, and no listener of kafka-listeners speaks"
            f" it ({', '.join(f'{name} speaks {one}' for name, one in speak.items())}): give the"
            " agent the protocol of one of them"
        )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65_536


def _config(keys: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    for key, value in sorted(keys.items()):
        if key != "node-id" and not own_key(key) and (wrong := _of_config(key, value, keys, known)):
            yield f"{PREFIX}{key} {wrong}"


def _of_config(
    key: str, value: str, keys: Mapping[str, str], known: Mapping[str, str]
) -> str | None:
    name = config_name(key)
    if reason := _refused(name, value, keys):
        return reason
    if name not in known and not OPEN_NAMES.fullmatch(name):
        return _unknown(key, known)
    return _value(value, known.get(name, "STRING"))


def _refused(name: str, value: str, keys: Mapping[str, str]) -> str | None:
    if name == ELR:
        return None if keys.get("eligible-leader-replicas") == "off" else ELR_REASON
    if name.startswith("zookeeper."):
        return REFUSED["zookeeper.connect"]
    return REFUSED.get(name) or REFUSED_VALUES.get((name, value.lower()))


def _unknown(key: str, known: Mapping[str, str]) -> str:
    names = [*OWN, *(name.replace(".", "-") for name in known)]
    near = get_close_matches(key.lower().replace("_", "-"), names, n=1, cutoff=0.7)
    meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
    return (
        f"means {config_name(key)}, which this Kafka does not know{meant} (what a plugin reads goes"
        " into kafka-properties)"
    )


def _value(value: str, kind: str) -> str | None:
    if not value.isascii():
        return "has a character that is not ASCII: write it as \\uXXXX into kafka-properties"
    if kind == "BOOLEAN" and value.lower() not in {"true", "false"}:
        return f"is {value!r}: give true or false"
    if kind in NUMBERS:
        try:
            NUMBERS[kind](value)
        except ValueError:
            what = "a number" if kind == "DOUBLE" else "a whole number"
            return f"is {value!r}: give {what}"
    return None


def _properties(keys: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """Names of kafka-properties may be anybody's, but none that is refused or given twice."""
    given = {config_name(key) for key in keys if not own_key(key)}
    for name, value in parse_properties(keys.get("properties", "")):
        if reason := _refused(name, value, keys):
            yield f"kafka-properties: {name} {reason}"
        elif name in given:
            yield f"kafka-properties: {name} is given by kafka-{name.replace('.', '-')} too"
        elif wrong := _value(value, known.get(name, "STRING")):
            yield f"kafka-properties: {name} {wrong}"
        given.add(name)


def mistakes_of_image(text: str, known: Mapping[str, str]) -> list[str]:
    """Values of the rendered config that cannot be: the metadata is right, the image's default not.

    The broker would end, and be started again and again, until the boot's time is over.
    """
    return [
        f"server.properties: {name} {wrong}"
        for name, value in parse_properties(text)
        if "${" not in value and (wrong := _value(value, known.get(name, "STRING")))
    ]


@dataclass(frozen=True)
class Controller:
    """One of the controllers that a new cluster begins with."""

    node: int
    host: str
    port: int
    directory: str


def controllers(text: str) -> list[Controller]:
    """The controllers of ID@HOST:PORT:DIRECTORY-ID,…; a ValueError says what is wrong."""
    found: list[Controller] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = CONTROLLER.fullmatch(entry)
        if not match:
            raise ValueError(f"has {entry!r}: give ID@HOST:PORT:DIRECTORY-ID")
        if not _is_port(match["port"]):
            raise ValueError(f"has {entry!r}, whose port is none")
        if not ID.fullmatch(match["directory"]):
            raise ValueError(
                f"has {entry!r}, whose directory id has not 22 characters: give what"
                " `kafka-storage.sh random-uuid` prints"
            )
        one = Controller(int(match["node"]), match["host"], int(match["port"]), match["directory"])
        for other in found:
            if one.node == other.node:
                raise ValueError(f"has the node {one.node} twice")
            if one.directory == other.directory:
                raise ValueError(f"gives the nodes {other.node} and {one.node} one directory id")
        found.append(one)
    return found


@dataclass(frozen=True)
class Others:
    """What the other brokers say of this one."""

    answered: bool = False
    cluster: str = ""  # the id of the cluster that answers
    registered: bool = False  # a broker with its node id, alive or not
    directory: str | None = None  # of the voter with its node id


@dataclass(frozen=True)
class Keep:
    """The disk is this broker's."""

    directory: str


@dataclass(frozen=True)
class Format:
    """The disk is new: format it."""

    arguments: tuple[str, ...]
    reason: str


def permission(keys: Mapping[str, str], *, new_fleet: bool, today: date) -> str:
    """Why a cluster may be made when nobody answers; empty: it may not.

    That nobody answers does not say that there is no cluster: all others may be down, or out of
    reach. What says so must not hold later, when this broker's disk may be lost: the metadata of
    Bakehouse are taken away, and a day is over.

    Args:
        keys: The metadata, without `kafka-`.
        new_fleet: There was no instance and no data disk of the fleet when this one was created.
        today: In UTC.
    """
    if new_fleet:
        return "the first rollout of its fleet has created it"
    day = _day(keys.get("new-cluster", ""))
    if day is not None and abs(day - today) <= timedelta(days=1):  # wherever it was written
        return f"kafka-new-cluster is {day}"
    own = _own_controller(keys)
    if own is not None and own.host in LOOPBACK:
        return "its controller is on the loopback, where no other machine reaches it"
    return ""


def others_of(agent: str) -> list[str]:
    """The addresses that other brokers may have, of the agent's config: none is on the loopback."""
    servers = dict(parse_properties(agent)).get("bootstrap.servers", "").split(",")
    found = [server.strip() for server in servers if server.strip()]
    return [server for server in found if server.rpartition(":")[0] not in LOOPBACK]


def _own_controller(keys: Mapping[str, str]) -> Controller | None:
    """The initial controller that this broker is."""
    found = controllers(keys.get("initial-controllers", ""))
    return next((one for one in found if one.node == int(keys["node-id"])), None)


def storage(
    keys: Mapping[str, str],
    meta: Mapping[str, str] | None,
    content: Iterable[str],
    ask: Callable[[], Others],
    allowed: str,
    today: date,
) -> Keep | Format:
    """What to do with the data disk; raises Refused, with the remedy.

    Args:
        keys: The metadata, without `kafka-`.
        meta: The content of meta.properties; None if there is none.
        content: What the folder of the data has.
        ask: Asks the other brokers; they are asked about an empty disk only.
        allowed: The `permission` to make a cluster.
        today: In UTC, for the remedy.
    """
    if meta is not None:
        return _of_this_broker(keys, meta)
    if found := sorted(content):
        raise Refused(
            f"/var/lib/kafka/data has no meta.properties, but {', '.join(found[:5])}: this is not"
            " the data of a broker. Attach the data disk of this broker, or a blank one"
        )
    own, others = _own_controller(keys), ask()
    if others.answered and others.cluster not in {"", keys["cluster-id"]}:
        raise Refused(
            f"the brokers that answer are of the cluster {others.cluster}, and this one is of"
            f" {keys['cluster-id']}. Mend the metadata kafka-cluster-id, or the addresses in"
            " kafka-bootstrap-servers, kafka-controller-quorum-bootstrap-servers and"
            " kafka-initial-controllers"
        )
    # A voter that the first controllers have been told of, and that has not come yet.
    awaited = bool(allowed and own and others.directory == own.directory and not others.registered)
    if not awaited and (others.registered or others.directory):
        return _of_a_known_broker(keys, others)
    if others.answered and not awaited:
        return Format(("--no-initial-controllers",), "it joins the cluster")
    if not allowed:
        raise Refused(
            "the data disk is empty and no other broker answers, so nobody knows whether the"
            f" cluster {keys['cluster-id']} exists and has data of node {keys['node-id']}. Bring"
            " the other brokers up, and start this one again. If there is no such cluster yet,"
            f" give this broker the metadata kafka-new-cluster={today}: it holds for that day"
        )
    if own is not None:
        text = keys["initial-controllers"]
        return Format(("--initial-controllers", text), f"the cluster is new: {allowed}")
    return Format(("--no-initial-controllers",), f"it joins the new cluster: {allowed}")


def _of_a_known_broker(keys: Mapping[str, str], others: Others) -> Format:
    lost = others.directory or "broker"
    if keys.get("new-disk", "") != lost:
        raise Refused(
            f"the data disk is empty, but the cluster knows node {keys['node-id']}"
            + (f" with the directory id {others.directory}" if others.directory else "")
            + ". If its disk still exists, attach it. If its data is lost, let this disk take"
            f" its place: give the metadata kafka-new-disk={lost}"
        )
    return Format(("--no-initial-controllers",), f"it replaces the lost disk ({lost})")


def _of_this_broker(keys: Mapping[str, str], meta: Mapping[str, str]) -> Keep:
    found = meta.get("cluster.id", "?"), meta.get("node.id", "?")
    wanted = keys["cluster-id"], str(int(keys["node-id"]))
    if found != wanted:
        raise Refused(
            f"the data disk is that of node {found[1]} of the cluster {found[0]}, and this is node"
            f" {wanted[1]} of {wanted[0]}. Attach the data disk of this broker, or mend"
            " the metadata kafka-node-id and kafka-cluster-id; the disk is left as it is"
        )
    return Keep(meta.get("directory.id", "?"))


def main() -> int:
    """Check, and format if needed; returns the exit code."""
    metadata: dict[str, str] = json.loads(METADATA.read_text("utf-8"))
    known = {name: str(kind) for name, kind in json.loads(KNOWN.read_text("utf-8")).items()}
    rendered = PROPERTIES.read_text("utf-8")
    if wrong := mistakes(metadata, known) or mistakes_of_image(rendered, known):
        print("kafka-setup: " + "; ".join(wrong), file=sys.stderr)
        return 1
    keys, today = keys_of(metadata), datetime.now(UTC).date()
    keys["initial-controllers"] = CONTROLLERS.read_text("utf-8").strip()
    data = DATA / "data"
    allowed = permission(keys, new_fleet=NEW_FLEET in metadata, today=today)
    try:
        action = storage(keys, read_meta(data), content_of(data), ask_others, allowed, today)
    except Refused as why:
        print(f"kafka-setup: {why}", file=sys.stderr)
        return 1
    if isinstance(action, Format):
        return format_disk(keys["cluster-id"], action)
    print(f"kafka-setup: the data disk is this broker's, directory id {action.directory}")
    return 0


def read_meta(data: Path) -> dict[str, str] | None:
    """The content of meta.properties, if there is one."""
    file = data / "meta.properties"
    return dict(parse_properties(file.read_text("utf-8"))) if file.is_file() else None


def content_of(data: Path) -> list[str]:
    """What the folder has; nothing if there is none."""
    return sorted(path.name for path in data.iterdir()) if data.is_dir() else []


def ask_others() -> Others:
    """Ask the brokers that the agent knows, by its client and its configuration."""
    if not others_of(AGENT.read_text("utf-8")):
        print("kafka-setup: there is no other broker to ask")  # 15 s without an answer are saved
        return Others()
    command = ["/opt/kafka-agent/venv/bin/python", str(Path(__file__).with_name("ask_others.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr.strip() or "kafka-setup: nobody was asked", file=sys.stderr)
    return Others(**json.loads(done.stdout)) if done.returncode == 0 else Others()


def format_disk(cluster_id: str, action: Format) -> int:
    """Format beside the folder, and rename it when it is complete: a power cut leaves no half."""
    half = DATA / "data.new"
    config = Path("/run/kafka-setup/server.properties")
    config.parent.mkdir(parents=True, exist_ok=True)
    text = PROPERTIES.read_text("utf-8")
    config.write_text(f"{text}\nlog.dirs={half}\n", "utf-8")  # the last line of a name counts
    subprocess.run(["rm", "-rf", str(half)], check=True)
    subprocess.run(["install", "-d", "-o", "kafka", "-g", "kafka", "-m", "750", half], check=True)
    subprocess.run(["chown", "-R", "root:kafka", config.parent], check=True)
    config.chmod(0o640)
    print(f"kafka-setup: the data disk is empty and is formatted: {action.reason}")
    command = ["kafka-storage.sh", "format", "--cluster-id", cluster_id, "--config", str(config)]
    done = subprocess.run(
        ["runuser", "-u", "kafka", "--", *command, *action.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stdout.split())[-1000:]
        print(f"kafka-setup: kafka-storage.sh format failed: {said}", file=sys.stderr)
        return 1
    if (DATA / "data").is_dir():
        (DATA / "data").rmdir()  # it is empty
    os.sync()
    half.rename(DATA / "data")
    os.sync()
    meta = read_meta(DATA / "data") or {}
    print(f"kafka-setup: formatted, directory id {meta.get('directory.id')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
