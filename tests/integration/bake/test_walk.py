"""The bake's steps against a real localgce: the straight way, and every way it can go wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import of_kind, read_ledger

from bakehouse.cloud.errors import Meaning
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.core.reasons import Reason
from bakehouse.history.attestations import Attestations
from bakehouse.history.bake_events import BakeEvent, PromotionEvent, VerdictEvent
from bakehouse.history.location import ledger_url
from bakehouse.images.attestation import AttestationState, facts_of
from bakehouse.pages.airflow_sources import SignedStates

from .walk import Walk

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.history.events import LedgerEvent
    from devstack.gce_api import Compute

RUNS = count(1)
DECLINED = "compute.instances.insert"


def walk(**params: Any) -> Walk:
    return Walk("loaf", f"manual__{next(RUNS)}", force=True, **params)


def machines(compute: Compute, run: Walk) -> list[str]:
    return [vm["name"] for vm in owned(compute.instances(), run)]


def owned(found: list[dict[str, Any]], run: Walk) -> list[dict[str, Any]]:
    label = run.handed["plan_bake"]["run"]
    return [item for item in found if item.get("labels", {}).get("bakehouse-run") == label]


def nothing_is_left(compute: Compute, run: Walk) -> bool:
    return not owned(compute.instances(), run) and not owned(compute.disks(), run)


def image_of(compute: Compute, run: Walk) -> dict[str, Any]:
    return compute.image(run.handed["plan_bake"]["image_name"])


def events(run: Walk) -> list[LedgerEvent]:
    return read_ledger(ledger_url(), run.run_id)


def asked(compute: Compute, method: str) -> list[dict[str, Any]]:
    told = compute.requests()
    requests = told["requests"] if isinstance(told, dict) else told
    return [request for request in requests if request["method"] == method]


PRICES = "currency: EUR\nmachine_types: {e2-small: {hour: 6}}\ndisk_types: {pd-balanced: 0.1}\n"


def test_the_plan_says_what_a_bake_costs_and_wrong_prices_stop_none(
    compute: Compute, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = walk()
    vars(run.steps["plan_bake"])["include"] = str(tmp_path)
    (tmp_path / "prices.yaml").write_text(PRICES)
    run.through("plan_bake")
    assert re.search(
        r"cost: about \d+\.\d+ EUR for the builder: e2-small and 10 GB", capsys.readouterr().out
    )
    (tmp_path / "prices.yaml").write_text("currency: euro\n")
    other = walk()
    vars(other.steps["plan_bake"])["include"] = str(tmp_path)
    other.through("plan_bake")
    assert "the cost is unknown: include/prices.yaml:1: currency is not" in capsys.readouterr().out
    assert nothing_is_left(compute, other)


@pytest.mark.long
def test_from_a_commit_to_a_promoted_image(compute: Compute) -> None:
    run = walk()
    run.through("label_image")
    assert "family" not in image_of(compute, run), "untested images are newest of nothing"
    run.through("promote_image", "smoke_test")
    run.tear_down()
    image = image_of(compute, run)
    assert image["family"] == "loaf"
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert image["labels"]["git-sha"] == run.handed["resolve_commit"]["sha"]
    assert image["labels"]["packages"] == "4"
    assert "expires" not in image["labels"]
    assert nothing_is_left(compute, run)
    written = events(run)
    assert sorted(event.kind for event in written) == ["bake", "promotion", "verdict"]
    assert [event.reason for event in of_kind(PromotionEvent, written)] == [Reason.PROMOTED]
    assert [event.image for event in of_kind(BakeEvent, written)] == [image["name"]]


def test_the_same_content_again_costs_a_few_calls_and_no_machine(compute: Compute) -> None:
    content = {"page": "twice"}
    walk(vars=content).through("promote_image")
    compute.forget()
    again = Walk("loaf", f"manual__{next(RUNS)}", vars=content)
    assert again.through("need_bake") is False
    again.tear_down()
    assert again.handed["plan_bake"]["reason"] == "same_content"
    told = compute.requests()
    assert len(told["requests"] if isinstance(told, dict) else told) <= 6


@pytest.mark.long
def test_every_step_again_changes_nothing(compute: Compute) -> None:
    run = walk()
    run.through("promote_image")
    before = image_of(compute, run)
    compute.forget()
    for task_id in ("create_image", "label_image", "promote_image"):
        run.clear(task_id)
        run.try_(task_id)
    assert image_of(compute, run) == before
    assert not asked(compute, "compute.images.insert")
    run.tear_down()


def test_an_insert_whose_answer_is_lost_makes_one_builder(compute: Compute) -> None:
    compute.fault(kind="reset", method=DECLINED, when="after", times=3)
    run = walk()
    run.through("create_builder")
    compute.forget()
    assert machines(compute, run) == [run.handed["create_builder"]["name"]]
    run.through("create_image", "wait_for_shutdown")
    run.tear_down()


def test_an_insert_that_never_arrived_is_asked_once_more(compute: Compute) -> None:
    compute.fault(kind="http", method=DECLINED, status=503)
    run = walk()
    run.through("create_builder")
    sent = asked(compute, DECLINED)
    assert len(sent) == 2
    assert len({request["query"]["requestId"] for request in sent}) == 1
    run.tear_down()


def test_a_stock_out_goes_to_the_next_zone(compute: Compute) -> None:
    compute.fault(kind="operation", method=DECLINED, code="ZONE_RESOURCE_POOL_EXHAUSTED")
    run = walk()
    run.through("need_bake")
    assert run.try_("create_builder")["zone"] == "us-central1-b", "within the same try"
    run.tear_down()
    assert nothing_is_left(compute, run)


def test_a_quota_is_waited_for_without_using_a_try(
    compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bakehouse.cloud.errors._BY_CODE", {"QUOTA_EXCEEDED": (Meaning.BLOCKED, 0.1)}
    )
    compute.fault(kind="operation", method=DECLINED, code="QUOTA_EXCEEDED")
    run = walk()
    run.through("need_bake")
    assert run.try_("create_builder")["zone"] == "us-central1-a"
    waits = [type(waits.trigger).__name__ for waits in run.deferred]
    assert waits[-1] == "DateTimeTrigger"
    sent = [request["query"]["requestId"] for request in asked(compute, DECLINED)]
    assert len(set(sent)) == 2, "the old requestId would be answered with the old failure"
    run.tear_down()


@pytest.mark.long
def test_a_builder_that_dies_is_replaced_by_the_next_try(compute: Compute) -> None:
    run = walk(vars={"instant_hang": "install"})
    run.through("create_builder")
    first = run.handed["create_builder"]
    compute.fault(kind="kill", instance=first["name"])
    with pytest.raises(ZoneUnavailable, match="the VM's host failed"):
        run.try_("wait_for_shutdown")
    run.params["vars"] = {}
    run.through("need_bake")  # the plan without the hang, as if the machine had only been unlucky
    built = run.try_("wait_for_shutdown")
    assert built["builder"]["name"].endswith("-w2")
    assert built["builder"]["zone"] != first["zone"]
    assert first["name"] not in machines(compute, run)
    run.through("promote_image", "create_image")
    run.tear_down()
    assert image_of(compute, run)["family"] == "loaf"


def test_a_builder_that_somebody_deletes_is_replaced(compute: Compute) -> None:
    run = walk(vars={"instant_hang": "install"})
    run.through("create_builder")
    vm = run.handed["create_builder"]
    compute.call("DELETE", f"zones/{vm['zone']}/instances/{vm['name']}")
    run.params["vars"] = {}
    run.through("need_bake")
    assert run.try_("wait_for_shutdown")["builder"]["name"].endswith("-w1")
    run.tear_down()


def test_a_failing_install_says_where_and_leaves_nothing(
    compute: Compute, capsys: pytest.CaptureFixture[str]
) -> None:
    run = walk(vars={"instant_fail_install": "E: no such package"})
    run.through("create_builder")
    with pytest.raises(PermanentError, match=r"install\.sh.*E: no such package"):
        run.try_("wait_for_shutdown")
    assert "guest reports: result failed" in capsys.readouterr().out
    run.tear_down()
    assert nothing_is_left(compute, run)
    assert run.handed["plan_bake"]["image_name"] not in [i["name"] for i in compute.images()]


@pytest.mark.usefixtures("compute")
def test_silence_is_not_success() -> None:
    run = walk(vars={"instant_silent": "true"})
    run.through("create_builder")
    with pytest.raises(TransientError, match="without reporting a result"):
        run.try_("wait_for_shutdown")
    run.tear_down()


def test_the_verdict_does_not_need_guest_attributes_of_a_stopped_machine(compute: Compute) -> None:
    compute.fault(kind="deny_guest_attributes", resource="*")
    run = walk()
    built = run.through("wait_for_shutdown")
    assert built["packages"] == 4
    run.tear_down()


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_where_the_time_of_the_builder_went_is_known_and_in_the_ledger() -> None:
    run = walk()
    built = run.through("wait_for_shutdown")
    steps = {step["name"]: step["at"] for step in built["timeline"]}
    assert list(steps) == ["power on", "kernel", "install", "off"]
    assert steps["power on"] == 0
    assert 0 <= steps["kernel"] <= steps["install"] <= steps["off"]
    run.through("create_image", "create_image")
    (event,) = of_kind(BakeEvent, events(run))
    assert [step.model_dump() for step in event.detail.timeline] == built["timeline"]
    run.tear_down()


@pytest.mark.usefixtures("compute")
def test_create_image_alone_with_nothing_to_make_it_from_says_what_to_clear() -> None:
    run = walk()
    run.through("wait_for_shutdown")
    run.tear_down()
    with pytest.raises(PermanentError, match="clear wait_for_shutdown and downstream"):
        run.try_("create_image")


@pytest.mark.long
def test_wait_for_shutdown_cleared_after_the_end_installs_once_more(compute: Compute) -> None:
    run = walk()
    run.through("promote_image")
    run.tear_down()
    run.clear("wait_for_shutdown", "create_image", "label_image", "smoke_test", "promote_image")
    built = run.through("wait_for_shutdown", "wait_for_shutdown")
    assert built["builder"]["name"].endswith("-w2")
    run.through("promote_image", "create_image")
    run.tear_down()
    assert nothing_is_left(compute, run)
    assert image_of(compute, run)["labels"]["bakehouse-state"] == "promoted"


@pytest.mark.long
@pytest.mark.parametrize(
    ("knob", "said"),
    [("instant_fail_check", "port 80"), ("instant_unhealthy", "nginx does not answer")],
)
def test_a_candidate_that_fails_its_test_is_marked_and_never_promoted(
    compute: Compute, knob: str, said: str
) -> None:
    run = walk(vars={knob: said})
    run.through("label_image")
    with pytest.raises(PermanentError, match=said):
        run.try_("smoke_test")
    run.tear_down()
    image = image_of(compute, run)
    assert image["labels"]["bakehouse-state"] == "failed"
    kept = datetime.fromtimestamp(int(image["labels"]["expires"]), UTC) - datetime.now(UTC)
    assert timedelta(days=2) < kept <= timedelta(days=3), "the recipe's image.keep.failed"
    assert "family" not in image
    assert nothing_is_left(compute, run)
    (verdict,) = of_kind(VerdictEvent, events(run))
    assert verdict.reason is Reason.SMOKE_FAILED
    signed = Attestations(ledger_url()).failed_verdicts([facts_of(image)])[image["id"]]
    assert signed.state is AttestationState.VERIFIED, signed.reason
    assert "its smoke test says FAILED" in signed.reason
    assert SignedStates()([image]) == {image["name"]: "verified"}


def test_what_a_run_makes_says_in_words_whose_it_is(compute: Compute) -> None:
    """The label is a hash: the sweep asks Airflow by the words, and checks them by the hash."""
    run = walk()
    run.through("create_builder")
    wanted = f"made by {run.dag_id} {run.run_id}"
    mine = owned(compute.instances(), run) + owned(compute.disks(), run)
    run.through("create_image", "wait_for_shutdown")
    mine.append(image_of(compute, run))
    assert [item["description"].endswith(wanted) for item in mine] == [True] * 3
    run.tear_down()


@pytest.mark.long
def test_an_image_that_somebody_revoked_is_not_promoted_again(compute: Compute) -> None:
    run = walk()
    run.through("promote_image")
    image = image_of(compute, run)
    body = {
        "labels": {**image["labels"], "bakehouse-state": "revoked"},
        "labelFingerprint": image["labelFingerprint"],
    }
    compute.call("POST", f"global/images/{image['name']}/setLabels", json=body)
    run.clear("smoke_test", "promote_image")
    run.try_("smoke_test")
    with pytest.raises(PermanentError, match="is revoked"):
        run.try_("promote_image")
    assert image_of(compute, run)["labels"]["bakehouse-state"] == "revoked"
    run.tear_down()


@pytest.mark.long
def test_a_smoke_machine_that_no_zone_has_room_for_is_tried_again(compute: Compute) -> None:
    run = walk()
    run.through("label_image")
    compute.fault(kind="operation", method=DECLINED, code="STOCKOUT", times=3)
    with pytest.raises(ZoneUnavailable):
        run.try_("smoke_test")
    assert run.try_("smoke_test")["reason"] == "smoke_passed"
    run.tear_down()
    assert nothing_is_left(compute, run)


@pytest.mark.long
def test_a_smoke_machine_goes_to_the_next_zone_within_the_same_try(compute: Compute) -> None:
    run = walk()
    run.through("label_image")
    compute.fault(kind="operation", method=DECLINED, code="STOCKOUT")
    assert run.try_("smoke_test")["reason"] == "smoke_passed"
    run.tear_down()
    assert nothing_is_left(compute, run)


@pytest.mark.long
def test_a_backfill_makes_history_and_leaves_the_family_alone(compute: Compute) -> None:
    run = Walk("loaf", f"backfill__{next(RUNS)}", run_type="backfill", force=True)
    run.through("promote_image")
    run.tear_down()
    image = image_of(compute, run)
    assert image["labels"]["bakehouse-state"] == "history"
    assert "family" not in image


def test_the_teardown_takes_a_disk_that_lost_its_machine(compute: Compute) -> None:
    run = walk()
    run.through("wait_for_shutdown")
    vm = run.handed["wait_for_shutdown"]["builder"]
    path = f"zones/{vm['zone']}/instances/{vm['name']}"
    compute.call(
        "POST",
        f"{path}/setDiskAutoDelete",
        params={"autoDelete": "false", "deviceName": "persistent-disk-0"},
    )
    compute.call("DELETE", path)
    run.tear_down()
    assert nothing_is_left(compute, run)


@pytest.mark.parametrize("last", ["create_builder", "wait_for_shutdown"])
def test_a_deletion_whose_operation_fails_is_asked_for_again(compute: Compute, last: str) -> None:
    run = walk()
    run.through(last)
    compute.fault(kind="operation", method="compute.instances.delete", code="INTERNAL_ERROR")
    with pytest.raises(TransientError, match="were refused: delete bake-loaf-"):
        run.tear_down()
    run.tear_down()
    assert nothing_is_left(compute, run)
    sent = asked(compute, "compute.instances.delete")
    assert len({request["query"]["requestId"] for request in sent}) == 2


@pytest.mark.long
@pytest.mark.parametrize("fault", [{"kind": "http", "status": 403}, {"kind": "operation"}])
def test_a_smoke_machine_that_cannot_be_deleted_does_not_change_the_result(
    compute: Compute, fault: dict[str, Any]
) -> None:
    run = walk()
    run.through("label_image")
    compute.fault(method="compute.instances.delete", resource="smoke-*", **fault)
    run.through("promote_image", "smoke_test")
    run.tear_down()
    assert nothing_is_left(compute, run)


def test_a_failing_install_is_told_although_its_builder_cannot_be_deleted(compute: Compute) -> None:
    compute.fault(kind="http", status=403, method="compute.instances.delete")
    run = walk(vars={"instant_fail_install": "E: broken"})
    with pytest.raises(PermanentError, match="E: broken"):
        run.through("wait_for_shutdown")
    run.tear_down()
    assert nothing_is_left(compute, run)


def test_a_name_in_use_by_nothing_is_no_end(compute: Compute) -> None:
    compute.fault(kind="http", status=409, method=DECLINED)
    run = walk()
    run.through("create_builder")
    assert machines(compute, run) == [run.handed["create_builder"]["name"]]
    run.tear_down()


def test_the_teardown_leaves_others_alone(compute: Compute) -> None:
    mine, other = walk(), walk()
    mine.through("create_builder")
    other.through("create_builder")
    mine.tear_down()
    assert machines(compute, other) == [other.handed["create_builder"]["name"]]
    other.tear_down()
