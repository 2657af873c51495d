"""What is known of a cluster and of this broker at one moment; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Voter:
    """A controller that votes, as the leader of the metadata quorum sees it."""

    node_id: int
    directory_id: str = ""  # of its metadata log; empty where the cluster does not say
    caught_up_ms: int = -1  # when it had all, by the leader's clock; -1: unknown
    log_end_offset: int = -1


@dataclass(frozen=True)
class Quorum:
    """The metadata quorum. Its leader is the active controller; no other call names it in KRaft."""

    leader_id: int  # -1: there is none
    voters: tuple[Voter, ...]
    observers: tuple[Voter, ...] = ()
    fetch_timeout_ms: int = 2000  # controller.quorum.fetch.timeout.ms

    @property
    def caught_up(self) -> frozenset[int]:
        """The voters that have what the leader has, within the fetch timeout."""
        known = {one.node_id: one.caught_up_ms for one in self.voters}
        # The timestamp of the leader is its present time; one without a timestamp is behind.
        present = known.get(self.leader_id, -1)
        if present < 0:
            present = max(known.values(), default=-1)
        found = {
            node
            for node, moment in known.items()
            if moment >= 0 and present - moment < self.fetch_timeout_ms
        }
        return frozenset(found | ({self.leader_id} & set(known)))

    @property
    def majority(self) -> int:
        """How many voters an election needs: ceil((N + 1) / 2)."""
        return len(self.voters) // 2 + 1

    def voter(self, node_id: int) -> Voter | None:
        """The voter with this id."""
        return next((one for one in self.voters if one.node_id == node_id), None)


@dataclass(frozen=True)
class Broker:
    """A registered broker. That it is in an ISR says nothing of the last nine seconds."""

    node_id: int
    host: str
    port: int = 9092
    rack: str | None = None
    fenced: bool = False
    silent: str = ""  # why it did not answer a fresh connection; empty: it did
    name: str = ""  # of its instance

    @property
    def safe(self) -> bool:
        """Whether its in-sync replicas count."""
        return not self.silent and not self.fenced

    def __str__(self) -> str:
        """As a person is told of it."""
        own = f"broker {self.node_id}"
        return (
            f"{own} ({self.name})" if self.name and self.name != f"broker-{self.node_id}" else own
        )


@dataclass(frozen=True)
class Partition:
    """A partition, with what the topic's min.insync.replicas really is."""

    topic: str
    index: int
    leader_id: int  # -1: none
    replicas: tuple[int, ...]  # in the order of preference; while it is moved, old and new ones
    isr: tuple[int, ...]
    min_isr: int
    elr: tuple[int, ...] = ()  # eligible leaders beside the ISR
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @property
    def moving(self) -> bool:
        """Whether a reassignment is under way."""
        return bool(self.adding or self.removing)

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas that it has when its reassignment has ended."""
        return tuple(one for one in self.replicas if one not in self.removing)

    @property
    def preferred_leader(self) -> int:
        """The first replica; -1 where there is none."""
        return self.target[0] if self.target else -1

    def __str__(self) -> str:
        """As Kafka's tools write it."""
        return f"{self.topic}-{self.index}"


@dataclass(frozen=True)
class Feature:
    """A feature such as metadata.version."""

    name: str
    finalised: int | None  # in the data
    supported: tuple[int, int]  # by the broker that answered


def to_finalise(features: Iterable[Feature]) -> dict[str, int]:
    """The features of the data that the broker which answered has a higher level of, and that."""
    return {
        one.name: one.supported[1]
        for one in features
        if one.finalised and one.supported[1] > one.finalised
    }


@dataclass(frozen=True)
class Timeouts:
    """The cluster's own, of which each wait of the agent is derived."""

    quorum_fetch_ms: int = 2000
    broker_session_ms: int = 9000


@dataclass(frozen=True)
class Cluster:
    """The cluster at one moment."""

    cluster_id: str
    quorum: Quorum
    brokers: tuple[Broker, ...]
    partitions: tuple[Partition, ...] = ()
    features: tuple[Feature, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)

    def broker(self, node_id: int) -> Broker | None:
        """The registered broker with this id."""
        return next((one for one in self.brokers if one.node_id == node_id), None)

    def name_of(self, node_id: int) -> str:
        """A broker, as a person is told of it."""
        return str(self.broker(node_id) or f"broker {node_id}")

    def holding(self, node_id: int) -> list[Partition]:
        """The partitions with a replica on this broker, also those on their way to it."""
        return [one for one in self.partitions if node_id in one.replicas]


@dataclass(frozen=True)
class Recovery:
    """How far a broker that starts has loaded its logs."""

    loaded: int
    total: int
    unclean: bool  # no clean shutdown mark was found: segments are read again

    @property
    def under_way(self) -> bool:
        """Whether there are logs left."""
        return self.loaded < self.total


@dataclass(frozen=True)
class Local:
    """This broker's process and disks, without asking it."""

    node_id: int
    running: bool  # a process holds the lock of its log directories
    drained: bool = False  # by this agent, since the boot
    votes: bool = True  # process.roles has controller
    auto_join: bool = False  # controller.quorum.auto.join.enable
    directory_id: str = ""  # of the metadata log's disk
    cluster_id: str = ""  # that this disk was formatted for
    unclean_dirs: tuple[str, ...] = ()  # log directories without a clean shutdown mark
    on_disk: frozenset[str] = frozenset()  # partitions with a folder in the log directories
    recovery: Recovery | None = None  # None: the log does not say
    duplicate_registration: bool = False  # refused while its former session lives
    running_seconds: float = 0.0  # since the agent has first seen it run


@dataclass(frozen=True)
class Replica:
    """The bytes of one replica."""

    topic: str
    index: int
    broker_id: int
    size: int
