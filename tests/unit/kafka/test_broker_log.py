"""How far a start is, by lines that Kafka 4.4.0 has written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_agent import broker_log
from kafka_agent.broker_log import Start, parse
from kafka_agent.facts import Recovery

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "[2026-11-28 02:27:24,978] INFO "
BEGIN = (
    HEAD + "Registered `kafka:type=kafka.Log4jController` MBean (org.apache.kafka.server.logger)"
)
CONTROLLER = HEAD + "[ControllerServer id=1] Starting controller (kafka.server.ControllerServer)"
LOADING = HEAD + "Loading logs from log dirs [/d1, /d2] (org.apache.kafka.storage)"
RECOVERING = HEAD + "Recovering 8 logs from /d1 since no clean shutdown file was found (org.apache)"
SKIPPING = (
    HEAD + "Skipping recovery of 4 logs from /d2 since clean shutdown file was found (org.apache)"
)
DONE = HEAD + "Loaded 12 logs in 386ms (unclean log dirs = [/d1]) (org.apache.kafka.storage)"
REFUSED = HEAD + (
    "[BrokerLifecycleManager id=1] Unable to register broker 1 because the controller returned "
    "error DUPLICATE_BROKER_REGISTRATION (org.apache.kafka.server.BrokerLifecycleManager)"
)
OF_ANOTHER = HEAD + (
    "[QuorumController id=1] registerBroker: event failed with "
    "DuplicateBrokerRegistrationException in 197 microseconds."
)
REGISTERED = (
    HEAD + "[BrokerLifecycleManager id=1] Successfully registered broker 1 with broker epoch 92"
)


def loaded(count: int, total: int, folder: str) -> str:
    return HEAD + (
        "Completed load of Log(dir=/d1/orders-4, topic=orders, partition=4) with 1 segments, "
        "local-log-start-offset 0 and log-end-offset 73 in 102ms "
        f"({count}/{total} completed in {folder}) (org.apache.kafka.storage)"
    )


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], Start()),
        ([BEGIN, CONTROLLER], Start()),
        ([BEGIN, LOADING], Start(Recovery(0, 1, unclean=False))),
        ([BEGIN, LOADING, RECOVERING], Start(Recovery(0, 8, unclean=True))),
        ([BEGIN, LOADING, RECOVERING, SKIPPING], Start(Recovery(0, 12, unclean=True))),
        ([BEGIN, LOADING, SKIPPING, loaded(3, 4, "/d2")], Start(Recovery(3, 4, unclean=False))),
        (
            [BEGIN, LOADING, RECOVERING, loaded(2, 8, "/d1"), loaded(1, 8, "/d1")],
            Start(Recovery(2, 8, unclean=True)),
        ),
        (
            [BEGIN, LOADING, RECOVERING, SKIPPING, loaded(8, 8, "/d1"), loaded(4, 4, "/d2"), DONE],
            Start(Recovery(12, 12, unclean=True)),
        ),
        (
            [BEGIN, REFUSED, LOADING, RECOVERING, loaded(8, 8, "/d1"), DONE, REFUSED],
            Start(Recovery(8, 8, unclean=True), duplicate_registration=True),
        ),
        ([BEGIN, REFUSED, REGISTERED], Start()),
        ([BEGIN, OF_ANOTHER], Start()),
        # the start before this one
        ([BEGIN, REFUSED, LOADING, RECOVERING, BEGIN], Start()),
        ([loaded(2, 8, "/d1")], Start()),
    ],
)
def test_the_present_start_is_read(lines: list[str], found: Start) -> None:
    assert parse(lines) == found


def test_no_file_says_nothing_and_of_a_long_one_its_end_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.log"
    assert broker_log.read(file) == Start()
    file.write_bytes(b"\xff" * 500 + ("\n".join(["", BEGIN, LOADING, RECOVERING]) + "\n").encode())
    monkeypatch.setattr(broker_log, "TAIL", 400)
    assert broker_log.read(file) == Start(Recovery(0, 8, unclean=True))
