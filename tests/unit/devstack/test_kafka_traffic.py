"""What the clients of a roll prove, and what they would not let pass."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConnectionError, KafkaError

from devstack.kafka import traffic
from devstack.kafka.brokers import free_ports, random_id, size, written
from devstack.kafka.traffic import (
    BelowMinIsr,
    Consumer,
    Producer,
    Proof,
    Record,
    Traffic,
    Worker,
    out_of_order,
)
from devstack.waiting import wait_until


def proof(**values: object) -> Proof:
    good: dict[str, object] = {
        "acknowledged": 5,
        "lost": (),
        "out_of_order": (),
        "missed": (),
        "skipped": (),
        "failed": (),
        "below_min_isr": (),
        "looks": (1.0,),
        "longest_pause": 0.5,
    }
    return Proof(**{**good, **values})  # type: ignore[arg-type]


RECORD = Record(0, 7, 21)


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ({}, True),
        ({"failed": ("record 3: NotEnoughReplicas",)}, True),  # it was not acknowledged
        ({"acknowledged": 0}, False),
        ({"looks": ()}, False),
        ({"lost": (RECORD,)}, False),
        ({"out_of_order": (RECORD,)}, False),
        ({"missed": (RECORD,)}, False),
        ({"skipped": (RECORD,)}, False),
        ({"below_min_isr": (BelowMinIsr(1.0, "orders", 0, (1,)),)}, False),
    ],
)
def test_a_proof_holds_if_nothing_was_lost_or_at_risk_and_somebody_looked(
    values: dict[str, object], holds: bool
) -> None:
    assert proof(**values).holds is holds


def test_a_record_is_out_of_order_behind_one_that_was_sent_after_it() -> None:
    good = [Record(0, 0, 0), Record(1, 0, 1), Record(0, 1, 2), Record(0, 5, 3)]
    late = Record(0, 6, 1)
    assert out_of_order(good) == []
    assert out_of_order([*good, late]) == [late]


def test_the_longest_pause_is_between_two_acknowledgements_around_the_moments() -> None:
    producer = Producer([], "orders", 3, every=0.0, give_up=1.0)
    producer.moments = [10.0, 10.1, 12.1, 12.2, 20.2]
    assert producer.longest_pause() == pytest.approx(8.0)
    assert producer.longest_pause(end=13.0) == pytest.approx(8.0)
    assert producer.longest_pause(11.0, 12.15) == pytest.approx(2.0)
    assert producer.longest_pause(21.0) == pytest.approx(0.0)
    assert producer.longest_pause_outside(10.0, 12.15) == pytest.approx(8.0)
    assert producer.longest_pause_outside(12.5, 21.0) == pytest.approx(2.0)


def message(offset: int, value: int, partition: int = 0) -> SimpleNamespace:
    return SimpleNamespace(partition=partition, offset=offset, value=str(value).encode())


def test_a_consumer_may_read_a_record_twice_and_leaves_none_out() -> None:
    consumer = Consumer([], "orders")
    consumer.take([message(0, 0), message(1, 3), message(0, 0), message(1, 3), message(2, 6)])
    assert consumer.skipped == []
    consumer.take([message(4, 12), message(0, 1, partition=1)])
    assert consumer.skipped == [Record(0, 4, 12)]
    assert len(consumer.read) == 5


class ResetOnce:
    """What kafka-python is when a dying broker resets a connection: the poll raises."""

    def __init__(self, polls: list[list[SimpleNamespace] | KafkaError]) -> None:
        self.polls = polls
        self.closed = False

    def poll(self, timeout_ms: int) -> dict[str, list[SimpleNamespace]]:
        assert timeout_ms
        one = self.polls.pop(0) if self.polls else []
        if isinstance(one, KafkaError):
            raise one
        return {"orders-0": one}

    def assignment(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def test_another_member_of_the_group_reads_on_when_a_connection_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer([], "orders")
    first = ResetOnce([[message(0, 0)], KafkaConnectionError("reset by peer")])
    members = [first, ResetOnce([[message(0, 0), message(1, 1)]])]
    monkeypatch.setattr(consumer, "_member", lambda: members.pop(0))
    consumer.start()
    wait_until(lambda: len(consumer.read) == 2, 10, "both records to be read", every=0.01)
    consumer.stop()
    assert first.closed
    assert consumer.skipped == []


def test_all_clients_are_stopped_and_an_error_of_the_block_goes_before_theirs() -> None:
    clients = Traffic([], "orders")
    workers = (clients.producer, clients.consumer, clients.watch)
    for worker in workers:
        worker._error = KafkaConnectionError("reset by peer")
        worker._thread = SimpleNamespace(start=nothing, join=joined)  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="the roll has failed"), clients:
        raise RuntimeError("the roll has failed")
    assert all(worker._end.is_set() for worker in workers)
    for worker in workers:
        worker._end.clear()
    with pytest.raises(KafkaConnectionError), clients:
        pass
    assert all(worker._end.is_set() for worker in workers)


def nothing() -> None: ...


def joined(within: float) -> None:
    assert within > 0


class Hangs(ResetOnce):
    """What kafka-python may be too: a poll that never comes back, unless it is let go."""

    def __init__(self, late: list[SimpleNamespace]) -> None:
        super().__init__([late])
        self.let_go = threading.Event()

    def poll(self, timeout_ms: int) -> dict[str, list[SimpleNamespace]]:
        self.let_go.wait()
        return super().poll(timeout_ms)


def test_another_member_of_the_group_reads_on_when_a_poll_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "ANSWERS_WITHIN", 0.5)
    consumer = Consumer([], "orders")
    first = Hangs([message(7, 7)])
    members = [first, ResetOnce([[message(0, 0), message(1, 1)]])]
    monkeypatch.setattr(consumer, "_member", lambda: members.pop(0))
    consumer.start()
    wait_until(lambda: len(consumer.read) == 2, 10, "both records to be read", every=0.01)
    first.let_go.set()
    wait_until(lambda: first.closed, 10, "the first member to end", every=0.01)
    consumer.stop()
    assert consumer.skipped == [], "what it still reads is not counted"
    assert len(consumer.read) == 2


def test_a_worker_that_hangs_is_told_of_when_it_is_stopped() -> None:
    let_go = threading.Event()

    class Watch(Worker):
        def work(self) -> None:
            let_go.wait()

    watch = Watch(ends_within=0.1)
    watch.start()
    with pytest.raises(RuntimeError, match=r"the Watch hangs: it has not ended within 0\.1 s"):
        watch.stop()
    let_go.set()


def test_what_a_consumer_dies_of_is_raised_when_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer([], "orders")
    monkeypatch.setattr(consumer, "_member", lambda: ResetOnce([[message(0, "no number")]]))  # type: ignore[arg-type]
    consumer.start()
    wait_until(lambda: consumer._error is not None, 10, "it to die", every=0.01)
    with pytest.raises(ValueError, match="no number"):
        consumer.stop()


def test_what_is_written_anew_counts_whole_and_what_has_grown_by_its_growth() -> None:
    before = {"a-0/0.log": (1, 1000), "a-1/0.log": (2, 500), "gone-0/0.log": (3, 70)}
    after = {"a-0/0.log": (1, 1020), "a-1/0.log": (9, 500), "b-0/0.log": (4, 7)}
    assert size(before) == 1570
    assert written(before, before) == 0
    assert written(before, after) == 20 + 500 + 7
    assert written(before, {"a-0/0.log": (1, 300)}) == 300  # truncated, then copied


def test_ports_are_of_none_that_the_kernel_gives_to_clients() -> None:
    kernel = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii")
    lowest, highest = map(int, kernel.split())
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not [port for port in ports if lowest <= port <= highest]


def test_an_id_is_no_option_of_a_command() -> None:
    ids = {random_id() for _ in range(300)}
    assert len(ids) == 300
    assert {len(one) for one in ids} == {22}
    assert not [one for one in ids if one.startswith(("-", "_"))]
