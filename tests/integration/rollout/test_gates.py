"""A member is stopped when it agrees, is drained before and resumed after; on instant machines."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.deadlines import SOON
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import MemberReplacedFailedEvent
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent
from bakehouse.rollout import gate_checks
from bakehouse.rollout.gates import Gate
from bakehouse.rollout.plan import RolloutPlan
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

RUNS = count(1)
FLEET = f"""\
recipe: web
members: {{instances: [web-1], zones: [{ZONE}]}}
stages: [100%]
health_deadline: 20s
"""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    monkeypatch.setattr("bakehouse.rollout.handover.ASK_AGAIN", 0.1)
    monkeypatch.setattr("bakehouse.rollout.handover.RESUME_PAUSE", 0.1)
    monkeypatch.setattr("bakehouse.rollout.gate_survey.ANSWER_WITHIN", 1.0)
    monkeypatch.setattr("bakehouse.rollout.gate_survey.GRACE", 0.0)


def rollout(image: str, more: str = "") -> Rollout:
    return Rollout(load_fleet(FLEET + more, "fleets/web.yaml"), f"manual__gate{next(RUNS)}", image)


def says(compute: Compute, **knobs: str) -> None:
    """What web-1 says from now on."""
    set_metadata(compute, {f"instant-{name}": text for name, text in knobs.items()})


def set_metadata(compute: Compute, changes: dict[str, str]) -> None:
    path = f"{HERE}/instances/web-1"
    metadata = compute.call("GET", path)["metadata"]
    items = {item["key"]: item["value"] for item in metadata.get("items", [])} | changes
    body = {
        "fingerprint": metadata["fingerprint"],
        "items": [{"key": key, "value": value} for key, value in items.items()],
    }
    compute.call("POST", f"{path}/setMetadata", json=body)


def guest_attributes(compute: Compute) -> dict[str, dict[str, Any]]:
    path = f"{HERE}/instances/web-1/getGuestAttributes"
    found = compute.call("GET", path, params={"queryPath": "bakehouse/"})
    items = found["queryValue"]["items"]
    return {item["key"]: json.loads(item["value"]) for item in items}


def answers(compute: Compute) -> dict[str, dict[str, Any]]:
    """What web-1 has answered last, by order."""
    told = guest_attributes(compute)
    return {key[7:]: answer for key, answer in told.items() if key.startswith("answer-")}


def order_of(name: str, boot: str) -> str:
    return json.dumps({"order": name, "nonce": "0123456789abcdef", "boot_id": boot, "limit": 9})


def order_left(compute: Compute) -> bool:
    metadata = compute.call("GET", f"{HERE}/instances/web-1")["metadata"]
    return any(item["key"] == "bakehouse-order" for item in metadata["items"])


def boot_id(compute: Compute) -> str:
    return str(guest_attributes(compute)["health"]["boot_id"])


def create(fleet_of: Members, images: Images, **knobs: str) -> None:
    more = {f"instant-{name}": text for name, text in knobs.items()}
    fleet_of.create(images.old, ["web-1"], more=more)


@pytest.mark.long
def test_a_member_that_agrees_is_drained_replaced_and_resumed(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, gate="all is well", drain="moved 3", resume="took 3")
    boot = boot_id(compute)
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    told = answers(compute)
    assert (told["gate"]["state"], told["gate"]["image"]) == ("ok", images.old)
    assert (told["drain"]["detail"], told["drain"]["boot_id"]) == ("moved 3", boot)
    assert (told["resume"]["detail"], told["resume"]["image"]) == ("took 3", images.new)
    assert told["resume"]["boot_id"] != boot
    assert fleet_of.stops() == {"web-1": 1}
    assert not order_left(compute), "what nobody needs any more is taken away"


def test_an_image_without_scripts_or_of_an_older_version_is_given_no_order(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.GuestOrders.ask", None)
    create(fleet_of, images)
    assert rollout(images.new).through() == "success"
    says(compute, reports="once", gate="blocked: never asked")
    fleet_of.restart("web-1")
    assert rollout(images.old).through() == "success"
    assert answers(compute) == {}


@pytest.mark.long
def test_a_blocked_member_waits_with_the_named_reason_until_its_deadline(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, gate="blocked: orders-7 has 1 of 2 replicas", drain="moved 3")
    before = fleet_of.facts()
    run = rollout(images.new, "gate: {deadline: 1s, hint: ask the Kafka team}\n")
    assert run.through() == "failed"
    assert fleet_of.stops() == {}
    assert fleet_of.facts() == before
    assert "drain" not in answers(compute)
    error = run.errors["replace_1_0"]
    assert isinstance(error, PermanentError)
    assert "web-1 was not moved to" in str(error)
    assert "blocked, gate: orders-7 has 1 of 2 replicas" in str(error)
    assert "It has waited since 2" in str(error)
    assert "Hint: ask the Kafka team" in str(error)
    events = read_ledger(ledger_url(), run.run_id)
    (waits,) = of_kind(WaitsEvent, events)
    assert waits.reason is Reason.GATE_CLOSED
    assert (waits.detail.member, waits.detail.what) == ("web-1", "web")
    assert waits.detail.why == "gate: orders-7 has 1 of 2 replicas"
    assert len(of_kind(WaitedEvent, events)) == 1
    (failed,) = of_kind(MemberReplacedFailedEvent, events)
    assert (failed.detail.state, failed.reason) == ("blocked", Reason.GATE_CLOSED)


@pytest.mark.long
def test_a_gate_that_opens_lets_the_member_go_on_and_everything_else_is_asked_again(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, gate="blocked: orders-7 lags")
    run = rollout(images.new)
    notes: list[Any] = []

    def opens(key: str, value: Any) -> None:
        if key == "waits":
            notes.append(value)
            says(compute, gate="all is well")

    run.on_push = opens
    assert run.through() == "success", run.errors
    first, last = notes
    assert (first["member"], first["why"]) == ("web-1", "gate: orders-7 lags")
    assert last is None
    events = read_ledger(ledger_url(), run.run_id)
    (waited,) = of_kind(WaitedEvent, events)
    assert waited.detail.why == "all is well"
    assert fleet_of.stops() == {"web-1": 1}


@pytest.mark.long
def test_no_answer_is_no_consent(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.handover.GATE_LIMIT", 0.2)
    monkeypatch.setattr("bakehouse.rollout.guest_orders.GRACE", 0.1)
    create(fleet_of, images, gate="silent")
    run = rollout(images.new, "gate: {deadline: 1s}\n")
    assert run.through() == "failed"
    assert "blocked, gate: no answer" in str(run.errors["replace_1_0"])
    assert fleet_of.stops() == {}


@pytest.mark.long
def test_an_ill_member_that_cannot_be_asked_takes_a_fix(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.handover.GATE_LIMIT", 0.2)
    monkeypatch.setattr("bakehouse.rollout.guest_orders.GRACE", 0.1)
    create(fleet_of, images, gate="silent", drain="failed: the service is dead", resume="ok")
    says(compute, unhealthy="it does not answer")
    set_metadata(compute, {"bakehouse-order": order_of("health", boot_id(compute))})
    wait_until(lambda: guest_attributes(compute)["health"]["state"] == "unhealthy", SOON, "it")
    says(compute, unhealthy="")
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    assert fleet_of.facts().health == {"web-1": images.new}


@pytest.mark.long
def test_a_member_that_cannot_be_drained_is_not_stopped_and_gets_its_load_again(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, drain="failed: 2 leaders stay", resume="took them back")
    run = rollout(images.new, "drain: {hint: see the runbook}\n")
    assert run.through() == "failed"
    error = str(run.errors["replace_1_0"])
    assert "drain of web-1: 2 leaders stay. Hint: see the runbook" in error
    assert fleet_of.stops() == {}
    assert answers(compute)["resume"]["detail"] == "took them back"
    assert not order_left(compute)


@pytest.mark.long
def test_a_member_that_cannot_take_its_load_again_has_failed_and_goes_back(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, resume="failed: no leader election")
    run = rollout(images.new, "resume: {deadline: 1s, hint: elect by hand}\n")
    run.begin()
    run.stage(1)
    error = str(run.errors["replace_1_0"])
    assert "resume: no leader election. Hint: elect by hand" in error
    run.plan_rollback()
    says(compute, resume="took 3")
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().health == {"web-1": images.old}


@pytest.mark.long
def test_a_way_back_asks_the_same_gate(compute: Compute, fleet_of: Members, images: Images) -> None:
    create(fleet_of, images, gate="all is well", resume="failed: no leader election")
    run = rollout(images.new, "resume: {deadline: 1s}\ngate: {deadline: 1s}\n")
    run.begin()
    run.stage(1)
    run.plan_rollback()
    says(compute, gate="blocked: orders-7 lags")
    run.roll_back()
    assert run.verdict() == "failed"
    assert "blocked, gate: orders-7 lags" in str(run.errors["roll_back_0"])
    assert fleet_of.facts().images == {"web-1": images.new}


@pytest.mark.long
def test_a_busy_member_is_waited_for_up_to_a_hard_limit(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images)
    says(compute, busy="12 of 340 segments", busy_seconds="1", report_seconds="1")
    assert rollout(images.new).through() == "success"
    says(compute, busy_seconds="600", report_seconds="15")
    text = FLEET.replace("20s", "1s") + "busy_limit: 1s\n"
    run = Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__gate{next(RUNS)}", images.old)
    run.begin()
    run.stage(1)
    assert "busy: health exited with 1\nbusy: 12 of 340" in str(run.errors["replace_1_0"])


@pytest.mark.long
@pytest.mark.parametrize("check", ["http", "prometheus"])
def test_a_check_outside_is_asked_for_each_member_and_its_reason_named(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    closed = Gate(open=False, why=f"{check}: node 4 is draining")
    said = [closed, closed, Gate(open=True)]  # to the plan, and before the stop
    asked: list[dict[str, str]] = []

    def ask(_: Any, names: dict[str, str]) -> Gate:
        asked.append(names)
        return said[min(len(asked), len(said)) - 1]

    monkeypatch.setattr(gate_checks, f"ask_{check}", ask)
    create(fleet_of, images)
    query = ", query: up == 1" if check == "prometheus" else ""
    run = rollout(images.new, f"gate: {{{check}: {{url: 'http://lb.example'{query}}}}}\n")
    assert run.through() == "success", run.errors
    assert asked[0] == {"fleet": "web", "member": "web-1", "zone": ZONE}
    made = RolloutPlan.model_validate(run.xcom("plan"))
    assert [blocker.why for blocker in made.blockers] == [closed.why]
    (waits,) = of_kind(WaitsEvent, read_ledger(ledger_url(), run.run_id))
    assert waits.detail.why == closed.why


@pytest.mark.long
def test_the_plan_says_what_each_gate_says_now_and_puts_the_leader_last(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    leader = {"instant-gate": "leader: orders-7\nformat metadata.version 33"}
    fleet_of.create(images.old, ["web-1"], more=leader)
    fleet_of.create(images.old, ["web-2"], more={"instant-gate": "blocked: orders-7 lags"})
    fleet_of.create(images.old, ["web-3"])
    text = FLEET.replace("[web-1]", "[web-1, web-2, web-3]").replace("[100%]", "[1, 100%]")
    run = Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__gate{next(RUNS)}", images.new)
    run.params["plan_only"] = True
    assert run.through() == "success", run.errors
    assert len(run.deferred) == 1, "no worker sleeps while they are asked"
    made = RolloutPlan.model_validate(run.xcom("plan"))
    assert [change.name for change in made.changes] == ["web-2", "web-3", "web-1"]
    assert made.leaders == ("web-1",)
    assert made.gates is not None
    first, second = made.gates.answers
    assert (first.member, first.open, first.leader) == ("web-1", True, True)
    assert first.detail == "leader: orders-7\nformat metadata.version 33"
    assert (second.member, second.open, second.why) == ("web-2", False, "gate: orders-7 lags")
    (unasked,) = made.gates.not_asked
    assert (unasked.members, unasked.why) == (("web-3",), "its image has no gate")
    (blocker,) = made.blockers
    assert (blocker.what, blocker.members) == ("gate", ("web-2",))
    assert not order_left(compute), "the question is taken away"
    assert run.xcom("plan", "draft") is None
    assert fleet_of.stops() == {}


@pytest.mark.long
def test_a_member_that_gives_no_answer_costs_the_plan_a_short_time_and_is_named(
    fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images, gate="silent")
    run = rollout(images.new)
    run.begin()
    made = RolloutPlan.model_validate(run.xcom("plan"))
    (blocker,) = made.blockers
    assert blocker.why == "gate: has not answered within 1 s"
