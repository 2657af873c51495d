"""Issue's items 6 and 7 of the nightly bake: SLAs noticed while it is late, and told by mail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from bakehouse.local.airflow_api import wait_until
from bakehouse.local.stack import free_port
from bakehouse.local.testbed import Testbed

from .fleet import kill_triggerer

DAG = "bake__late"
INSTALL_SECONDS = 45
NOTICED_WITHIN = 30

RECIPE = """
base: debian-cloud/debian-12
vars: {page: late, instant_install_seconds: '%d', instant_fail_install: ''}
smoke: {metadata: {greeting: hello}}
sla: {resolve_commit: 10m, wait_for_shutdown: 10s, smoke_test: 12s}
notify:
  - notifier: smtp
    arguments: {to: ops@example.com, from_email: bakehouse@example.com}
    occasions: [sla_miss, promotion, failure]
"""


class Mailbox:
    """A mail server on loopback that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 kept"

    @property
    def subjects(self) -> list[str]:
        return sorted(str(mail["Subject"]) for mail in self.mails)


@pytest.fixture(scope="module")
def mailbox(stack_of_session: Testbed) -> Iterator[Mailbox]:
    kept = Mailbox()
    port = free_port()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    airflow = stack_of_session.airflow
    connection = {
        "connection_id": "smtp_default",
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": port,
        "extra": json.dumps({"disable_ssl": True, "disable_tls": True}),
    }
    airflow.call("POST", "/connections", json=connection)
    airflow.call("POST", "/variables", json={"key": "bakehouse_notifications", "value": "on"})
    yield kept
    airflow.call("DELETE", "/variables/bakehouse_notifications")
    airflow.call("DELETE", "/connections/smtp_default")
    server.stop()


@pytest.fixture(scope="module")
def late(stack_of_session: Testbed) -> Testbed:
    bed = stack_of_session
    bed.add_web("late", RECIPE % INSTALL_SECONDS)
    return bed


def recorded(bed: Testbed, run_id: str) -> list[dict[str, Any]]:
    """The misses in the ledger."""
    ledger = bed.stack.layout.airflow_home / "ledger" / "events"
    events = [json.loads(path.read_text()) for path in ledger.rglob("*-sla_miss-*.json")]
    return [event for event in events if event["run_id"] == run_id]


@pytest.mark.timeout(420)
def test_6_a_late_task_is_noticed_while_it_is_late_also_when_the_triggerer_is_killed(
    late: Testbed, mailbox: Mailbox
) -> None:
    run_id = late.airflow.trigger(DAG, {"force": True})
    late.airflow.wait_for_task(DAG, run_id, "sla_watch", ["deferred", "running"], 60)
    kill_triggerer(late.stack.layout.state)
    wait_until(lambda: len(recorded(late, run_id)) == 2, 120, "both misses in the ledger")
    states = late.airflow.states(DAG, run_id)
    assert states["smoke_test"] is None, "noticed while still queued upstream"
    assert late.airflow.run(DAG, run_id).state == "running"

    run = late.airflow.wait(DAG, run_id, 240)
    assert run.state == "success", "a miss never fails a run"
    misses = recorded(late, run_id)
    assert {miss["task_id"] for miss in misses} == {"wait_for_shutdown", "smoke_test"}
    for miss in misses:
        noticed, deadline = (
            datetime.fromisoformat(miss["detail"][name]) for name in ("noticed", "deadline")
        )
        assert (noticed - deadline).total_seconds() <= NOTICED_WITHIN, miss
    shown = late.airflow.xcom(DAG, run_id, "sla_watch")
    assert set(shown) == {"wait_for_shutdown", "smoke_test"}
    assert "SLA missed: wait_for_shutdown" in late.log(run, "sla_watch")

    # 7: who asked was told, once of each, and of the promotion that came at last
    image = late.airflow.xcom(DAG, run_id, "plan_bake")["image_name"]
    assert mailbox.subjects == sorted(
        [
            f"[bakehouse] {DAG}: smoke_test is late",
            f"[bakehouse] {DAG}: wait_for_shutdown is late",
            f"[bakehouse] {image} is promoted",
        ]
    )


def test_7_a_failed_run_is_told(late: Testbed, mailbox: Mailbox) -> None:
    mailbox.mails.clear()
    fast = {"instant_install_seconds": "0", "instant_fail_install": "E: no such package"}
    run = late.bake(DAG, 120, force=True, vars=fast)
    assert run.state == "failed"
    wanted = f"[bakehouse] {DAG} failed"
    wait_until(lambda: wanted in mailbox.subjects, 60, "the mail about the failure")
    assert mailbox.subjects.count(wanted) == 1
    # 6: the run's own deadline stands behind the watcher; Airflow forgets it when a run succeeds
    path = f"/dags/{DAG}/dagRuns/{run.run_id}/deadlines"
    (row,) = late.airflow.call("GET", path, api="/ui")["deadlines"]
    assert (row["alert_name"], row["missed"]) == ("longest SLA of the run", False)
