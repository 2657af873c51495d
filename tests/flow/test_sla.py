"""SLAs are noticed while it is late, and told by mail."""

from __future__ import annotations

import json
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from tests.support.deadlines import RUN, SOON
from tests.support.ledger import of_kind, read_ledger

from bakehouse.history.bake_events import SlaMissEvent
from devstack.ports import free_port
from devstack.waiting import wait_until

from .fleet import kill_triggerer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from devstack.testbed import Testbed

DAG = "bake__late"

RECIPE = """
base: debian-cloud/debian-12
vars: {page: late, instant_until: '', instant_fail_install: ''}
smoke: {metadata: {greeting: hello}}
sla: {resolve_commit: 10m, wait_for_shutdown: 10s, smoke_test: 12s}
notify:
  - notifier: smtp
    arguments: {to: ops@example.com, from_email: bakehouse@example.com}
    occasions: [sla_miss, promotion, failure]
"""

FLEET = """
recipe: late
members: {instances: [teller-1], zones: [us-central1-a]}
stages: [100%]
notify:
  - notifier: smtp
    arguments: {to: ops@example.com, from_email: bakehouse@example.com}
"""
TELLER = "zones/us-central1-a/instances/teller-1"


class Mailbox:
    """A mail server on loopback that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
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
    bed.add_web("late", RECIPE)
    return bed


def recorded(bed: Testbed, run_id: str) -> list[SlaMissEvent]:
    """The misses in the ledger."""
    return of_kind(SlaMissEvent, read_ledger(bed.stack.layout.airflow_home / "ledger", run_id))


def deadlines(bed: Testbed, run_id: str) -> dict[str, bool]:
    """Whether each deadline of the run is missed, by its name."""
    path = f"/dags/{DAG}/dagRuns/{run_id}/deadlines"
    rows = bed.airflow.call("GET", path, api="/ui")["deadlines"]
    return {row["alert_name"]: row["missed"] for row in rows}


def note(bed: Testbed, run_id: str) -> str:
    return str(bed.airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}")["note"] or "")


@pytest.mark.ci
@pytest.mark.chaos
def test_a_late_task_is_noticed_while_it_is_late_also_when_the_triggerer_is_killed(
    late: Testbed, mailbox: Mailbox
) -> None:
    run_id = late.airflow.trigger(DAG, {"force": True, "vars": {"instant_until": "it-was-noticed"}})
    late.airflow.wait_for_task(DAG, run_id, "sla_watch", ["deferred", "running"], SOON)
    kill_triggerer(late.stack.layout.state)
    wait_until(lambda: len(recorded(late, run_id)) == 2, SOON, "both misses in the ledger")
    states = late.airflow.states(DAG, run_id)
    assert states["smoke_test"] is None, "noticed while still queued upstream"
    assert late.airflow.run(DAG, run_id).state == "running"
    # each task whose SLA the recipe sets has a row in Browse → Deadlines, and the run has one
    shown_in_time = {
        "longest SLA of the run": False,
        "SLA of resolve_commit": False,
        "SLA of wait_for_shutdown": True,
        "SLA of smoke_test": True,
    }
    wait_until(lambda: deadlines(late, run_id) == shown_in_time, SOON, "the missed deadlines")
    found = note(late, run_id)
    assert "**SLA missed:** `wait_for_shutdown` is deferred; it should have succeeded" in found
    assert "**SLA missed:** `smoke_test` has not started; it should have succeeded" in found
    late.compute.set_project_attribute("it-was-noticed")

    run = late.airflow.wait(DAG, run_id, RUN)
    assert run.state == "success", "a miss never fails a run"
    misses = recorded(late, run_id)
    assert {miss.task_id for miss in misses} == {"wait_for_shutdown", "smoke_test"}
    for miss in misses:
        assert miss.detail.noticed >= miss.detail.deadline
    assert note(late, run_id) == found, "nothing is told twice"
    missed = {name: True for name, is_missed in shown_in_time.items() if is_missed}
    assert deadlines(late, run_id) == missed, "the rows of what was in time are gone"
    shown = late.airflow.xcom(DAG, run_id, "sla_watch")
    assert set(shown) == {"wait_for_shutdown", "smoke_test"}
    assert "SLA missed: wait_for_shutdown" in late.log(run, "sla_watch")

    # who asked was told, once of each, and of the promotion that came at last
    image = late.airflow.xcom(DAG, run_id, "plan_bake")["image_name"]
    assert mailbox.subjects == sorted(
        [
            f"[bakehouse] {DAG}: smoke_test is late",
            f"[bakehouse] {DAG}: wait_for_shutdown is late",
            f"[bakehouse] {image} is promoted",
        ]
    )


def test_a_failed_run_is_told(late: Testbed, mailbox: Mailbox) -> None:
    mailbox.mails.clear()
    fast = {"instant_fail_install": "E: no such package"}
    run = late.bake(DAG, force=True, vars=fast)
    assert run.state == "failed"
    assert "no such package" in the_failure_told(mailbox)
    assert note(late, run.run_id).splitlines()[0].startswith("- **Failed:** wait_for_shutdown: ")
    # no deadline of a run that has ended turns "missed" hours later
    assert not [name for name, missed in deadlines(late, run.run_id).items() if not missed]


def test_a_run_that_a_person_marks_as_failed_is_told(late: Testbed, mailbox: Mailbox) -> None:
    mailbox.mails.clear()
    run_id = late.airflow.trigger(DAG, {"force": True, "vars": {"instant_until": "never-told"}})
    late.airflow.wait_for_task(DAG, run_id, "wait_for_shutdown", ["deferred"], SOON)
    late.airflow.call("PATCH", f"/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})
    assert late.airflow.wait(DAG, run_id, RUN).state == "failed"
    told = the_failure_told(mailbox)
    assert "somebody marked the run as failed, while wait_for_shutdown was running" in told


def the_failure_told(mailbox: Mailbox) -> str:
    """The text of the only mail about the failure."""
    wanted = f"[bakehouse] {DAG} failed"
    wait_until(lambda: wanted in mailbox.subjects, SOON, "the mail about the failure")
    assert mailbox.subjects.count(wanted) == 1
    (mail,) = (mail for mail in mailbox.mails if mail["Subject"] == wanted)
    parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
    return " ".join(b"".join(part for part in parts if isinstance(part, bytes)).decode().split())


def baked(bed: Testbed, page: str) -> str:
    """The name of an image of this page."""
    run = bed.bake(DAG, force=True, vars={"page": page})
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(DAG, run.run_id, "plan_bake")["image_name"])


def make_teller(bed: Testbed, image: str) -> None:
    items = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member", "greeting": "hello"}
    body = {
        "name": "teller-1",
        "machineType": "zones/us-central1-a/machineTypes/e2-small",
        "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [
            {"boot": True, "initializeParams": {"sourceImage": f"global/images/{image}"}},
        ],
    }
    bed.compute.call("POST", "zones/us-central1-a/instances", json=body)
    wait_until(
        lambda: bed.compute.call("GET", TELLER)["status"] == "RUNNING", SOON, "teller-1 to run"
    )


def make_sick(bed: Testbed) -> None:
    """From its next start on it says that it is not healthy."""
    metadata = bed.compute.call("GET", TELLER)["metadata"]
    metadata["items"].append({"key": "instant-unhealthy", "value": "a cold"})
    bed.compute.call("POST", f"{TELLER}/setMetadata", json=metadata)


def test_start_finish_halt_and_way_back_of_a_rollout_are_told(
    late: Testbed, mailbox: Mailbox
) -> None:
    late.write("include/fleets/tellers.yaml", FLEET)
    late.commit("A fleet that tells")
    late.parse_until(
        "roll_out__web", lambda: "roll_out__tellers" in late.airflow.dags(), "the fleet's DAG"
    )
    # not "new": the scripts of `web` may be those of the fleets' tests, which take that for a sign
    old, new = baked(late, "one"), baked(late, "another")
    make_teller(late, old)
    mailbox.mails.clear()
    run = late.bake("roll_out__tellers", image=new)
    assert run.state == "success", late.explain(run)
    told = [f"[bakehouse] tellers: moves to {new}", f"[bakehouse] tellers: runs {new}"]
    assert mailbox.subjects == sorted(told)

    make_sick(late)
    mailbox.mails.clear()
    run = late.bake("roll_out__tellers", image=old)
    assert run.state == "failed"
    failure = "[bakehouse] roll_out__tellers failed"
    wait_until(lambda: failure in mailbox.subjects, SOON, "the mail about the failure")
    assert mailbox.subjects == sorted(
        [
            failure,
            "[bakehouse] tellers: goes back to its previous images",
            f"[bakehouse] tellers: moves to {old}",
            "[bakehouse] tellers: the rollout has halted",
        ]
    )
    late.compute.delete_machines()
