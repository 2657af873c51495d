"""A producer with acks=all, a consumer, and a watch of the ISR: what a rollout costs the clients.

They know addresses and a topic only, so that brokers in processes of this computer and on machines
are judged by the same words.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

MIN_ISR = "min.insync.replicas"
ASSIGNED_WITHIN = 20.0  # seconds; an election of coordinators takes a few
ANSWERS_WITHIN = 90.0  # seconds for a call of kafka-python that takes a fraction of one
ENDS_WITHIN = 120.0  # seconds for a worker that is told to end


@dataclass(frozen=True)
class Record:
    """Where a record is; its value is its number in the order of sending."""

    partition: int
    offset: int
    number: int


@dataclass(frozen=True)
class BelowMinIsr:
    """A partition that was seen with fewer replicas in sync than its topic asks for."""

    at: float  # of time.monotonic, as all moments here
    topic: str
    partition: int
    isr: tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """What became of the records, and of the partitions meanwhile."""

    acknowledged: int
    lost: tuple[Record, ...]  # acknowledged, and not read back from the beginning of the topic
    out_of_order: tuple[Record, ...]  # later in the partition than one that was sent after it
    missed: tuple[Record, ...]  # acknowledged, and never seen by the consumer that ran meanwhile
    skipped: tuple[Record, ...]  # read by that consumer before one with a lower offset
    failed: tuple[str, ...]  # sends that the producer gave up; they were not acknowledged
    below_min_isr: tuple[BelowMinIsr, ...]
    looks: tuple[float, ...]  # when the watch of the ISR had an answer
    longest_pause: float  # seconds between two acknowledgements

    @property
    def holds(self) -> bool:
        """Whether no acknowledged record was lost, and none was at risk."""
        wrong = (self.lost, self.out_of_order, self.missed, self.skipped, self.below_min_isr)
        return self.acknowledged > 0 and bool(self.looks) and not any(wrong)

    @property
    def records_lost(self) -> int:
        """Acknowledged records that a reader from the beginning, or the consumer, never saw."""
        return len({*self.lost, *self.missed})

    @property
    def partitions_below_min_isr(self) -> int:
        """Partitions that were seen so at least once."""
        return len({(one.topic, one.partition) for one in self.below_min_isr})

    def summary(self) -> str:
        """For people."""
        return (
            f"{self.acknowledged} records acknowledged, {len(self.lost)} lost, "
            f"{len(self.out_of_order)} out of order, {len(self.missed)} not seen by the consumer, "
            f"{len(self.below_min_isr)} times below min ISR of {len(self.looks)} looks, "
            f"longest pause {self.longest_pause:.2f} s"
        )


class Worker(ABC):
    """A thread that works until it is stopped; what it dies of is raised at the stop.

    A call of kafka-python may hang for ever: such a thread keeps neither its owner nor the process.
    """

    def __init__(self, ends_within: float = ENDS_WITHIN) -> None:
        self._end = threading.Event()
        self._error: BaseException | None = None
        self._ends_within = ends_within
        self._thread = threading.Thread(
            target=self._guarded, args=(self.work,), name=type(self).__name__, daemon=True
        )

    def start(self) -> None:
        """Once."""
        self._thread.start()

    def stop(self) -> None:
        """Wait until it has ended; raises RuntimeError if it does not."""
        self._end.set()
        self._thread.join(self._ends_within)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            name = self._thread.name
            raise RuntimeError(f"the {name} hangs: it has not ended within {self._ends_within:g} s")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error

    @abstractmethod
    def work(self) -> None:
        """Until `_end` is set."""


class Producer(Worker):
    """Sends numbers to all partitions in turn, each once the one before has been acknowledged."""

    def __init__(
        self, servers: Sequence[str], topic: str, partitions: int, every: float, give_up: float
    ) -> None:
        super().__init__(give_up + ENDS_WITHIN)
        self.acknowledged: list[Record] = []
        self.moments: list[float] = []  # of the acknowledgements
        self.failed: list[str] = []
        self._servers, self._topic, self._partitions = list(servers), topic, partitions
        self._every, self._give_up = every, give_up

    def work(self) -> None:
        """Each record is sent again and again for `give_up` seconds."""
        limit = int(self._give_up * 1000)
        options: dict[str, Any] = {"acks": "all", "linger_ms": 0, "delivery_timeout_ms": limit}
        options |= {"reconnect_backoff_max_ms": 1000, "max_block_ms": limit}
        producer = KafkaProducer(bootstrap_servers=self._servers, **options)
        with closing(producer):
            number = 0
            while not self._end.is_set():
                self._send(producer, number)
                number += 1
                self._end.wait(self._every)

    def _send(self, producer: Any, number: int) -> None:
        partition = number % self._partitions
        try:
            future = producer.send(self._topic, str(number).encode(), partition=partition)
            sent = future.get(self._give_up + 10)
        except KafkaError as error:
            self.failed.append(f"record {number}: {error!r}")
            return
        self.moments.append(time.monotonic())
        self.acknowledged.append(Record(sent.partition, sent.offset, number))

    def longest_pause(self, begin: float = 0.0, end: float = float("inf")) -> float:
        """Between two acknowledgements, of which one at least was between these moments."""
        return max((b - a for a, b in self._pauses() if b >= begin and a <= end), default=0.0)

    def longest_pause_outside(self, begin: float, end: float) -> float:
        """Between two acknowledgements, both before or both after these moments."""
        return max((b - a for a, b in self._pauses() if b < begin or a > end), default=0.0)

    def _pauses(self) -> Iterable[tuple[float, float]]:
        return zip(self.moments, self.moments[1:], strict=False)


class Consumer(Worker):
    """A member of a group that reads the topic from its beginning."""

    def __init__(self, servers: Sequence[str], topic: str, fetch_wait: float = 0.5) -> None:
        super().__init__()
        self.read: set[Record] = set()
        self.skipped: list[Record] = []
        self._servers, self._topic, self._fetch_wait = list(servers), topic, fetch_wait
        self._next: dict[int, int] = {}
        self._reader: threading.Thread | None = None
        self._answered = 0.0  # when kafka-python last did

    def work(self) -> None:
        """A record may come twice, after a change of the coordinator; none may be left out.

        Where kafka-python gives up, as on a connection that a dying broker resets, or never comes
        back from a call, another member of the group goes on.
        """
        while not self._end.is_set() and self._error is None:
            self._answered = time.monotonic()
            self._reader = threading.Thread(
                target=self._guarded, args=(self._join_and_read,), daemon=True
            )
            self._reader.start()
            while self._reader.is_alive() and time.monotonic() - self._answered < ANSWERS_WITHIN:
                self._reader.join(0.1)

    def _join_and_read(self) -> None:
        with suppress(KafkaError), closing(self._member()) as consumer:
            self._read(consumer)

    def _member(self) -> Any:
        """Subscribed once the topic is known, which a broker may learn a moment later."""
        options: dict[str, Any] = {
            "group_id": f"{self._topic}-readers",
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": int(self._fetch_wait * 1000),
        }
        options |= {"reconnect_backoff_max_ms": 1000}
        consumer = KafkaConsumer(bootstrap_servers=self._servers, **options)
        while not consumer.partitions_for_topic(self._topic) and not self._end.wait(0.2):
            self._answered = time.monotonic()
        consumer.subscribe([self._topic])
        return consumer

    def _read(self, consumer: Any) -> None:
        """Until the end, or until the member has had no partition for too long.

        A group whose leader did not know the topic gives out no partition of it, and is not asked
        again before the metadata have got old, after five minutes.
        """
        last = time.monotonic()
        while not self._end.is_set() and time.monotonic() - last < ASSIGNED_WITHIN:
            found = consumer.poll(timeout_ms=200)
            if self._reader is not threading.current_thread():
                return  # another one has begun where this one hung
            self._answered = time.monotonic()
            for records in found.values():
                self.take(records)
            if consumer.assignment():
                last = time.monotonic()

    def take(self, records: Iterable[Any]) -> None:
        """Some that were read, in their order."""
        for one in records:
            record = Record(one.partition, one.offset, int(one.value))
            expected = self._next.get(record.partition, 0)
            if record.offset > expected:
                self.skipped.append(record)
            self._next[record.partition] = max(expected, record.offset + 1)
            self.read.add(record)


class IsrWatch(Worker):
    """Asks for the partitions of some topics again and again."""

    def __init__(
        self, servers: Sequence[str], topics: Sequence[str], every: float, within: float = 3.0
    ) -> None:
        super().__init__()
        self._within_ms = int(within * 1000)
        self.below: list[BelowMinIsr] = []
        self.looks: list[float] = []
        self._servers, self._topics, self._every = list(servers), list(topics), every

    def work(self) -> None:
        """A broker that does not answer is left for another."""
        minimum: dict[str, int] = {}
        while not self._end.is_set():
            with suppress(KafkaError, OSError), closing(self._admin()) as admin:
                minimum = minimum or effective_min_isr(admin, self._topics)
                while not self._end.wait(self._every):
                    self._look(admin, minimum)

    def _admin(self) -> Any:
        limit = max(self._within_ms, 5000)
        options = {"request_timeout_ms": self._within_ms, "bootstrap_timeout_ms": limit}
        options |= {"reconnect_backoff_max_ms": 1000}
        return KafkaAdminClient(bootstrap_servers=self._servers, **options)

    def _look(self, admin: Any, minimum: Mapping[str, int]) -> None:
        topics = admin.describe_topic_partitions(self._topics)["topics"]
        now = time.monotonic()
        self.looks.append(now)
        for topic in topics:
            self.below += [
                BelowMinIsr(now, topic["name"], one["partition_index"], tuple(one["isr_nodes"]))
                for one in topic["partitions"]
                if len(one["isr_nodes"]) < minimum[topic["name"]]
            ]


@dataclass
class Traffic:
    """All three at work on one topic while the block runs, which exists already."""

    servers: Sequence[str]
    topic: str
    partitions: int = 3
    every: float = 0.02  # seconds between two records
    give_up: float = 120.0  # seconds until a record counts as failed
    look_every: float = 0.1
    fetch_wait: float = 0.5  # seconds until a broker that has no new record says so to the consumer
    answer_within: float = 3.0  # seconds until the watch of the ISR asks another broker
    producer: Producer = field(init=False)
    consumer: Consumer = field(init=False)
    watch: IsrWatch = field(init=False)

    def __post_init__(self) -> None:
        """Make them; they begin with the block."""
        servers = self.servers
        self.producer = Producer(servers, self.topic, self.partitions, self.every, self.give_up)
        self.consumer = Consumer(servers, self.topic, self.fetch_wait)
        self.watch = IsrWatch(servers, [self.topic], self.look_every, self.answer_within)

    def __enter__(self) -> Traffic:
        """Start."""
        for worker in (self.watch, self.consumer, self.producer):
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The producer first; the consumer once it has read all, or has had time for it.

        All are stopped, also when one raises what it has died of: a thread that is left would keep
        the process. An error of the block goes before that.
        """
        with ExitStack() as ending:
            if error is not None:
                ending.enter_context(suppress(KafkaError, RuntimeError))
            ending.callback(self.watch.stop)
            ending.callback(self.consumer.stop)
            self.producer.stop()
            if error is None:
                self._until_read(self.give_up)

    def _until_read(self, seconds: float) -> None:
        last = time.monotonic() + seconds
        wanted = set(self.producer.acknowledged)
        while not wanted <= self.consumer.read and time.monotonic() < last:
            time.sleep(0.1)

    def proof(self) -> Proof:
        """After the block: the topic is read from its beginning once more."""
        acknowledged = self.producer.acknowledged
        stored = read_back(self.servers, self.topic)
        return Proof(
            acknowledged=len(acknowledged),
            lost=tuple(sorted_by_number(set(acknowledged) - set(stored))),
            out_of_order=tuple(out_of_order(acknowledged)),
            missed=tuple(sorted_by_number(set(acknowledged) - self.consumer.read)),
            skipped=tuple(self.consumer.skipped),
            failed=tuple(self.producer.failed),
            below_min_isr=tuple(self.watch.below),
            looks=tuple(self.watch.looks),
            longest_pause=self.producer.longest_pause(),
        )


def read_back(servers: Sequence[str], topic: str, seconds: float = 120.0) -> list[Record]:
    """All records of the topic, as a client reads them that has never read before."""
    deadline = time.monotonic() + seconds
    found: list[Record] = []
    with closing(
        KafkaConsumer(bootstrap_servers=list(servers), enable_auto_commit=False)
    ) as reader:
        partitions = [TopicPartition(topic, one) for one in reader.partitions_for_topic(topic)]
        ends = reader.end_offsets(partitions)
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        while any(reader.position(one) < end for one, end in ends.items()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} could not be read to its end within {seconds:.0f} s")
            for records in reader.poll(timeout_ms=500).values():
                found += [Record(one.partition, one.offset, int(one.value)) for one in records]
    return found


def out_of_order(records: Iterable[Record]) -> list[Record]:
    """Those that lie behind one of their partition which was sent after them."""
    found, highest = [], dict[int, int]()
    for record in sorted(records, key=lambda one: (one.partition, one.offset)):
        if record.number < highest.get(record.partition, -1):
            found.append(record)
        highest[record.partition] = max(record.number, highest.get(record.partition, -1))
    return found


def sorted_by_number(records: Iterable[Record]) -> list[Record]:
    """In the order of sending."""
    return sorted(records, key=lambda record: record.number)


def effective_min_isr(admin: Any, topics: Sequence[str]) -> dict[str, int]:
    """What holds for each topic: the topic's own value, the cluster's, or the broker's."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    described = admin.describe_configs(resources, config_filter="all")
    return {topic: int(described["topic"][topic][MIN_ISR]["value"]) for topic in topics}
