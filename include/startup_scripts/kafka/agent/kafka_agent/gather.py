"""Gathers the facts of a cluster with kafka-python, each call within a time limit.

One client stays; a call that fails throws it away, so that the next question begins afresh with
whichever broker answers.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import ssl
import threading
import time
import uuid
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kafka.admin import ConfigResource, KafkaAdminClient

from kafka_agent.facts import Broker, Cluster, Feature, Partition, Quorum, Replica, Timeouts, Voter
from kafka_agent.probe import silences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kafka_agent.config import Config

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Json = dict[str, Any]
Address = tuple[int, str, int]  # node id, host, port

MIN_ISR = "min.insync.replicas"
FETCH_TIMEOUT = "controller.quorum.fetch.timeout.ms"
SESSION_TIMEOUT = "broker.session.timeout.ms"
BROKER_KEYS = (MIN_ISR, FETCH_TIMEOUT, SESSION_TIMEOUT)
OF_TOPIC = "DYNAMIC_TOPIC_CONFIG"
NOT_AUTHORIZED = 31  # on the cluster
PAGE = 2000  # partitions of one answer
TOPICS_AT_ONCE = 500
UNREACHABLE = {
    "KafkaConnectionError",
    "KafkaTimeoutError",
    "NodeNotReadyError",
    "RequestTimedOutError",
}
NEEDS = "the user of the agent needs Describe and DescribeConfigs on the cluster and on all topics"
# The client's metadata are from before this broker came back: a new client soon knows it.
OUT_OF_DATE = {"UnknownBrokerIdError"}
ATTEMPTS = 8
PAUSE = 0.25  # seconds: a broker or topic that is new is known to all within some heartbeats
LEAST_PROBE, MOST_PROBE = 2.0, 15.0


class GatherError(Exception):
    """The facts could not be had; one line says why."""


class ConfigMissing(GatherError):
    """A topic is listed, and the config of it is not told."""


class Admin(Protocol):
    """What is used of kafka-python's KafkaAdminClient."""

    def describe_metadata_quorum(self) -> Json:
        """Voters and the active controller."""

    def get_broker_version_data(self, broker_id: int) -> Any:
        """Connects to a broker."""

    def describe_cluster(self) -> Json:
        """The registered brokers, fenced ones too."""

    def describe_features(self) -> Json:
        """What is finalised, and what the broker that answers supports."""

    def describe_topic_partitions(
        self, topics: list[str], response_partition_limit: int = ..., cursor: Json | None = ...
    ) -> Json:
        """A page of partitions; of all topics for an empty list."""

    def list_partition_reassignments(self) -> Mapping[Any, Json]:
        """Those under way."""

    def describe_configs(
        self, config_resources: list[Any], include_synonyms: bool = ..., config_filter: str = ...
    ) -> Json:
        """The effective values."""

    def describe_log_dirs(
        self, topic_partitions: Json | None = ..., brokers: list[int] | None = ...
    ) -> list[Json]:
        """The bytes of replicas."""

    def elect_leaders(
        self, election_type: int, topic_partitions: Json, timeout_ms: int, raise_errors: bool
    ) -> Any:
        """Elects preferred leaders."""

    def update_features(
        self, feature_updates: Mapping[str, int], timeout_ms: int = ...
    ) -> Mapping[str, str]:
        """Raises what is finalised; for each feature `OK` or what is wrong."""

    def close(self) -> None:
        """Ends its connections."""


class Gatherer:
    """Asks the cluster. Any number of threads may ask; each question is answered by new facts."""

    def __init__(
        self,
        config: Config,
        connect: Callable[[Config, ssl.SSLContext | None], Admin] | None = None,
        probe: Callable[..., dict[int, str]] = silences,
    ) -> None:
        self.config = config
        self.context = tls_context(config)
        self._connect = connect or connect_admin
        self._probe = probe
        self._admin: Admin | None = None
        self._lock = threading.Lock()
        self._timeouts: dict[int, dict[str, str]] = {}
        self._addresses: list[Address] = []  # of all registered brokers, when they were last asked
        self._silent: dict[int, str] = {}  # of these, when the question began
        self._avoided: frozenset[int] = frozenset()  # by the client that stays

    def cluster(self) -> Cluster:
        """The cluster as it is now."""
        return self._within(self.config.gather_ms / 1000, self._cluster)

    def replicas(self, partitions: Iterable[Partition], brokers: Iterable[int]) -> list[Replica]:
        """The bytes of replicas; brokers that do not say are left out."""
        asked: dict[str, list[int]] = {}
        for one in partitions:
            asked.setdefault(one.topic, []).append(one.index)
        nodes = sorted(set(brokers))
        return self._within(
            self.config.gather_ms / 1000, lambda admin: _replicas(admin, asked, nodes)
        )

    def elect(self, partitions: Iterable[Partition]) -> None:
        """Elects the preferred leaders. Whether they lead is seen in the next facts, not here."""
        asked: dict[str, list[int]] = {}
        for one in partitions:
            asked.setdefault(one.topic, []).append(one.index)
        limit = self.config.request_ms
        self._within(
            self.config.gather_ms / 1000,
            lambda admin: _elected(admin.elect_leaders(0, asked, limit, raise_errors=False)),
        )

    def finalise(self, levels: Mapping[str, int]) -> None:
        """Finalises features at these levels, which cannot be taken back."""
        limit = self.config.request_ms
        self._within(
            self.config.gather_ms / 1000,
            lambda admin: _finalised(admin.update_features(levels, timeout_ms=limit)),
        )

    def close(self) -> None:
        """Throws the client away."""
        admin, self._admin = self._admin, None
        if admin is not None:
            _close(admin)

    def _within(self, limit: float, ask: Callable[[Admin], Result]) -> Result:
        """Runs in a thread that is left behind when the time is over: a client may hang."""
        end = time.monotonic() + limit
        if not self._lock.acquire(timeout=limit):
            raise GatherError(f"another question was not answered within {limit:g} s")
        answer: Future[Result] = Future()

        def work() -> None:
            try:
                answer.set_result(self._ask(ask, end))
            except BaseException as error:
                answer.set_exception(error)

        try:
            threading.Thread(target=work, name="ask", daemon=True).start()
            return answer.result(max(end - time.monotonic(), 0.001))
        except TimeoutError as error:
            self._drop()
            raise GatherError(f"the cluster did not answer within {limit:g} s") from error
        except GatherError:
            self._drop()
            raise
        except Exception as error:
            self._drop()
            raise GatherError(sentence(error, self.config.bootstrap)) from error
        finally:
            self._lock.release()

    def _ask(self, ask: Callable[[Admin], Result], end: float) -> Result:
        """Asks again, by a new client, while there are brokers that answer.

        What only a controller answers goes to a random broker, which may be the one that is dead.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return ask(self._client())
            except Exception as error:
                others = any(not why for why in self._silent.values())
                again = type(error).__name__ in UNREACHABLE | OUT_OF_DATE
                if not again or not others or time.monotonic() > end:
                    raise
                log.info("asking again: %s", error)
                self._drop()
                if type(error).__name__ in OUT_OF_DATE:
                    time.sleep(PAUSE)
        return ask(self._client())

    def _client(self) -> Admin:
        """The client that stays, as long as the same brokers answer.

        It sends a question to any broker that it has a connection to, also to one that hangs: then
        another client takes its place, with connections to those that answer.
        """
        self._silent = self._silences(self._addresses)
        silent = frozenset(node for node, why in self._silent.items() if why)
        if self._admin is not None and silent != self._avoided:
            self._drop()
        if self._admin is None:
            answering = [one for one in self._addresses if one[0] not in silent]
            servers = tuple(f"{host}:{port}" for _, host, port in answering)
            config = replace(self.config, bootstrap=servers) if silent and servers else self.config
            self._admin = self._connected(config)
            self._avoided = silent
            for node, _, _ in answering if silent else ():
                _connect_to(self._admin, node)
        return self._admin

    def _connected(self, config: Config) -> Admin:
        """A new client; one that cannot be made says what the brokers do instead."""
        try:
            return self._connect(config, self.context)
        except Exception as error:
            if type(error).__name__ not in UNREACHABLE:
                raise
            parts = (one.rpartition(":") for one in config.bootstrap)
            asked = [(-place, host, int(port)) for place, (host, _, port) in enumerate(parts, 1)]
            silent = self._silences(asked)
            names = [f"{host}:{port}" for node, host, port in asked if not silent.get(node)]
            if names:
                raise GatherError(
                    f"{', '.join(names)} answers, and does not let the agent in: "
                    "see security.protocol, sasl.* and ssl.* of its configuration"
                ) from error
            why = "; ".join(dict.fromkeys(silent[node] for node, _, _ in asked))
            raise GatherError(f"no broker answers: {why}") from error

    def _silences(self, addresses: list[Address]) -> dict[int, str]:
        return self._probe(addresses, self._probe_limit(), self.context) if addresses else {}

    def _drop(self) -> None:
        """The client goes, beside: to close one that hangs may hang as well."""
        admin, self._admin = self._admin, None
        if admin is not None:
            threading.Thread(target=_close, args=(admin,), name="close", daemon=True).start()

    def _cluster(self, admin: Admin) -> Cluster:
        described = admin.describe_cluster()
        raw = described["brokers"]
        addresses = [(one["broker_id"], one["host"], one["port"]) for one in raw]
        known = set(addresses) == set(self._addresses)  # these were probed for this question
        silent = dict(self._silent) if known else self._silences(addresses)
        self._addresses = addresses
        answering = [one["broker_id"] for one in raw if not silent.get(one["broker_id"])]
        settings, mute = _settings(admin, answering)
        silent.update(mute)
        self._timeouts = settings
        timeouts = _timeouts(settings)
        topics, least = _topics_and_min_isrs(admin, settings)
        moves = {(key.topic, key.partition): one for key, one in _reassignments(admin).items()}
        return Cluster(
            cluster_id=str(described.get("cluster_id") or ""),
            quorum=_quorum(admin.describe_metadata_quorum(), timeouts.quorum_fetch_ms),
            brokers=tuple(
                Broker(
                    node_id=one["broker_id"],
                    host=one["host"],
                    port=one["port"],
                    rack=one.get("rack") or None,
                    fenced=bool(one.get("is_fenced", False)),
                    silent=silent.get(one["broker_id"], ""),
                    name=name_of(one["broker_id"], one["host"], self.config.names),
                )
                for one in sorted(raw, key=lambda one: int(one["broker_id"]))
            ),
            partitions=tuple(
                _partition(topic["name"], one, moves, least[topic["name"]])
                for topic in topics
                for one in topic["partitions"]
            ),
            features=_features(admin.describe_features()),
            timeouts=timeouts,
        )

    def _probe_limit(self) -> float:
        """The time that the cluster itself gives a controller that does not answer."""
        if self.config.probe_ms is not None:
            return self.config.probe_ms / 1000
        known = _timeouts(self._timeouts).quorum_fetch_ms / 1000
        return min(max(known, LEAST_PROBE), MOST_PROBE)


def tls_context(config: Config) -> ssl.SSLContext | None:
    """For the client and for the fresh connections."""
    if not config.tls:
        return None
    context = ssl.create_default_context(cafile=config.ca)
    context.check_hostname = config.check_hostname
    if config.certificate:
        context.load_cert_chain(config.certificate, config.key, config.key_password)
    return context


def connect_admin(config: Config, context: ssl.SSLContext | None) -> Admin:
    """A client of the first broker that answers."""
    limit = config.request_ms
    admin: Admin = KafkaAdminClient(
        bootstrap_servers=list(config.bootstrap),
        client_id="kafka-agent",
        security_protocol=config.protocol,
        ssl_context=context,
        sasl_mechanism=config.mechanism,
        sasl_plain_username=config.username,
        sasl_plain_password=config.password,
        request_timeout_ms=limit,
        bootstrap_timeout_ms=limit,
        reconnect_backoff_max_ms=1000,
        metadata_max_age_ms=30_000,
    )
    return admin


def name_of(node_id: int, host: str, names: Mapping[int, str]) -> str:
    """The name of a broker's instance."""
    if node_id in names:
        return names[node_id]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.partition(".")[0]
    return f"broker-{node_id}"


def sentence(error: Exception, asked: Sequence[str]) -> str:
    """One line of an exception of the client."""
    name = type(error).__name__
    if name in UNREACHABLE:
        return f"no broker of {', '.join(asked)} answers ({name}: {error})"
    if "Authoriz" in name:
        return f"the user of the agent may not read this ({name}); its README names what it needs"
    if "Authentication" in name:
        return (
            f"the brokers refuse the user of the agent ({name}); see sasl.username, sasl.password"
        )
    return f"{name}: {error}"


def _connect_to(admin: Admin, node: int) -> None:
    """A broker that the metadata do not have yet, such as a fenced one, is passed over."""
    try:
        admin.get_broker_version_data(node)
    except Exception as error:
        if type(error).__name__ not in OUT_OF_DATE:
            raise
        log.info("no connection to broker %s: %s", node, error)


def _close(admin: Admin) -> None:
    try:
        admin.close()
    except Exception as error:
        log.info("closing the client: %s", error)


def _quorum(found: Json, fetch_timeout_ms: int) -> Quorum:
    partition = found["topics"][0]["partitions"][0]
    if partition.get("error"):
        raise GatherError(f"the quorum cannot be described: {partition['error']}")
    return Quorum(
        leader_id=partition["leader_id"],
        voters=tuple(_voter(one) for one in partition["current_voters"]),
        observers=tuple(_voter(one) for one in partition["observers"]),
        fetch_timeout_ms=fetch_timeout_ms,
    )


def _voter(found: Json) -> Voter:
    return Voter(
        node_id=found["replica_id"],
        directory_id=directory_text(found.get("replica_directory_id")),
        caught_up_ms=found.get("last_caught_up_timestamp", -1),
        log_end_offset=found.get("log_end_offset", -1),
    )


def directory_text(found: Any) -> str:
    """A UUID in the form of Kafka's files: base64 without padding; that of zero is none."""
    if not found:
        return ""
    if not isinstance(found, uuid.UUID):
        try:
            found = uuid.UUID(str(found))
        except ValueError:
            return str(found)
    if found.int == 0:
        return ""
    return base64.urlsafe_b64encode(found.bytes).decode("ascii").rstrip("=")


def _settings(admin: Admin, brokers: list[int]) -> tuple[dict[int, dict[str, str]], dict[int, str]]:
    """What each broker says of itself; and those that have not, with the reason."""
    found: dict[int, dict[str, str]] = {}
    mute: dict[int, str] = {}
    for node in brokers:
        try:
            answer = admin.describe_configs(
                [_resource("BROKER", str(node), BROKER_KEYS)], config_filter="all"
            )
        except Exception as error:
            if "Authoriz" in type(error).__name__ or "Authentication" in type(error).__name__:
                raise
            mute[node] = f"it did not describe itself ({type(error).__name__})"
            continue
        of = answer.get("broker", {}).get(str(node), {})
        if MIN_ISR not in of:  # the client hides the error
            raise GatherError(f"the config of broker {node} cannot be read: {NEEDS}")
        found[node] = {key: of[key]["value"] for key in BROKER_KEYS if of.get(key, {}).get("value")}
    return found, mute


def _resource(kind: str, name: str, keys: Iterable[str]) -> Any:
    return ConfigResource(kind, name, dict.fromkeys(keys))


def _timeouts(settings: Mapping[int, Mapping[str, str]]) -> Timeouts:
    """The longest that a broker has, where they differ."""

    def longest(key: str, default: int) -> int:
        return max((int(one[key]) for one in settings.values() if key in one), default=default)

    default = Timeouts()
    return Timeouts(
        quorum_fetch_ms=longest(FETCH_TIMEOUT, default.quorum_fetch_ms),
        broker_session_ms=longest(SESSION_TIMEOUT, default.broker_session_ms),
    )


def _topics(admin: Admin) -> list[Json]:
    """All topics, page by page; a topic may come in several pieces."""
    found: dict[str, Json] = {}
    cursor: Json | None = None
    while True:
        page = admin.describe_topic_partitions([], response_partition_limit=PAGE, cursor=cursor)
        for topic in page["topics"]:
            if topic["error_code"] == 3:  # deleted meanwhile
                continue
            if topic["error_code"]:
                raise GatherError(
                    f"topic {topic['name']} cannot be read: error {topic['error_code']}"
                )
            known = found.setdefault(topic["name"], {"name": topic["name"], "partitions": []})
            known["partitions"].extend(topic["partitions"])
        following = page["next_cursor"]
        if following is None:
            return list(found.values())
        if following == cursor:
            raise GatherError("the list of partitions does not end")
        cursor = following


def _reassignments(admin: Admin) -> Mapping[Any, Json]:
    return admin.list_partition_reassignments()


def _topics_and_min_isrs(
    admin: Admin, settings: Mapping[int, Mapping[str, str]]
) -> tuple[list[Json], dict[str, int]]:
    """One broker lists the topics, another tells their configs, and learns later what came or went.

    So both are asked again before a config that is missing counts as one that may not be read.
    """
    attempts = ATTEMPTS
    while True:
        attempts -= 1
        topics = _topics(admin)
        try:
            return topics, _min_isrs(admin, [one["name"] for one in topics], settings)
        except ConfigMissing as missing:
            if not attempts:
                raise
            log.info("asking again: %s", missing)
        time.sleep(PAUSE)


def _min_isrs(
    admin: Admin, topics: list[str], settings: Mapping[int, Mapping[str, str]]
) -> dict[str, int]:
    """The effective min.insync.replicas. Where a topic has none of its own, brokers may differ."""
    of_brokers = max((int(one[MIN_ISR]) for one in settings.values() if MIN_ISR in one), default=1)
    found = {}
    for start in range(0, len(topics), TOPICS_AT_ONCE):
        some = topics[start : start + TOPICS_AT_ONCE]
        answer = admin.describe_configs(
            [_resource("TOPIC", one, (MIN_ISR,)) for one in some], config_filter="all"
        )
        for one in some:
            told = answer.get("topic", {}).get(one, {}).get(MIN_ISR)
            if not told or not told["value"]:  # the client hides the error
                raise ConfigMissing(f"the config of topic {one} cannot be read: {NEEDS}")
            value = int(told["value"])
            own = told["config_source"] == OF_TOPIC
            found[one] = value if own else max(value, of_brokers)
    return found


def _partition(
    topic: str, found: Json, moves: Mapping[tuple[str, int], Json], min_isr: int
) -> Partition:
    move = moves.get((topic, found["partition_index"]), {})
    return Partition(
        topic=topic,
        index=found["partition_index"],
        leader_id=found["leader_id"],
        replicas=tuple(found["replica_nodes"]),
        isr=tuple(found["isr_nodes"]),
        min_isr=min_isr,
        elr=tuple(found["eligible_leader_replicas"] or ()),
        adding=tuple(move.get("adding_replicas", ())),
        removing=tuple(move.get("removing_replicas", ())),
    )


def _elected(answer: Any) -> None:
    """That of a whole election; what becomes of a partition is seen in the next facts."""
    code = getattr(answer, "error_code", 0)
    if code:
        raise GatherError(
            "leaders cannot be elected: the user of the agent needs Alter on the cluster"
            if code == NOT_AUTHORIZED
            else f"leaders cannot be elected: error {code}"
        )


def _finalised(answer: Mapping[str, str]) -> None:
    wrong = [f"{name}: {said}" for name, said in sorted(answer.items()) if said != "OK"]
    if wrong:
        raise GatherError(f"not finalised: {'; '.join(wrong)}")


def _features(found: Json) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            name=name,
            finalised=one["finalized"][1] if "finalized" in one else None,
            supported=tuple(one.get("supported", (0, 0))),
        )
        for name, one in sorted(found.items())
    )


def _replicas(admin: Admin, asked: Json, nodes: list[int]) -> list[Replica]:
    found = []
    for node in nodes:
        try:
            answer = admin.describe_log_dirs(asked, [node])
        except Exception as error:
            log.info("broker %s does not tell its bytes: %s", node, error)
            continue
        for directory in answer[0]["log_dirs"]:
            for topic in directory["topics"]:
                name = topic.get("name") or topic.get("topic_name")
                found += [
                    Replica(str(name), one["partition_index"], node, one["partition_size"])
                    for one in topic["partitions"]
                    if not one.get("is_future_key")
                ]
    return found
