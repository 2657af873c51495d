"""What each task of a bake does next, from what stands: read from `reconcile` alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.plans import PLAN

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.builder_operators import CreateBuilder, DeleteBuilder
from bakehouse.bake.candidate import Built
from bakehouse.bake.image_operators import CreateImage, LabelImage
from bakehouse.cloud.events import OperationEnded
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.images import labels
from bakehouse.operators.reconcile import Again, Done, WaitFor, WaitForOperation

if TYPE_CHECKING:
    from bakehouse.operators.base import BakehouseOperator

VM = BuilderVm(name="bake-web-1", zone="us-central1-a", created="2026-11-23T03:00:00Z")
BUILT = Built(builder=VM, seconds=60, packages=4, manifest_digest="d" * 40, kernel="6.1")
OPERATION = {"name": "operation-1", "status": "RUNNING"}
DISK = {"name": "bake-web-1", "id": "5", "selfLink": "https://x/disks/bake-web-1"}


def image(**told: str) -> dict[str, Any]:
    known = {
        labels.RUN: PLAN.run,
        labels.STATE: labels.CANDIDATE,
        labels.GIT_SHA: PLAN.commit.sha,
    }
    return {
        "name": PLAN.image_name,
        "id": "9",
        "selfLink": "https://x/images/i",
        "status": "READY",
        "diskSizeGb": "10",
        "sourceDiskId": "5",
        "labels": {**known, **told},
    }


class Compute:
    """Answers what a test says stands; notes every change it is asked for."""

    project = "p"

    def __init__(self, **standing: Any) -> None:
        self.standing = standing
        self.changes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **_: Any) -> Any:
            if name.startswith(("insert", "delete", "label", "patch", "set")):
                self.changes.append(name)
                answer = self.standing.get(name, OPERATION)
                return answer(*arguments) if callable(answer) else answer
            if name.endswith("_page"):
                return f"https://example.com/{name}"
            found = self.standing.get(name)
            return found(*arguments) if callable(found) else found

        return call


def prepared(
    monkeypatch: pytest.MonkeyPatch, kind: type[BakehouseOperator], compute: Compute
) -> BakehouseOperator:
    monkeypatch.setattr(kind, "compute", compute)
    return kind(task_id="t", sla=timedelta(hours=1))


def context(**xcoms: Any) -> Any:
    told = {"plan_bake": PLAN.model_dump(mode="json"), **xcoms}
    ti = SimpleNamespace(
        dag_id=PLAN.dag_id,
        run_id=PLAN.run_id,
        task_id="t",
        try_number=1,
        max_tries=2,
        xcom_pull=lambda task_ids: told.get(task_ids),
    )
    run = SimpleNamespace(run_after=datetime.now(UTC), data_interval_end=None)
    return {"ti": ti, "dag_run": run, "params": {}}


def finished() -> Any:
    return context(wait_for_shutdown=BUILT.model_dump(mode="json"))


def test_create_image_asks_for_the_image_and_waits_for_its_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute = Compute(disk=DISK)
    step = prepared(monkeypatch, CreateImage, compute).reconcile(finished())
    assert step == WaitForOperation(OPERATION, f"create image {PLAN.image_name}")
    assert compute.changes == ["insert_image"]


def test_an_image_that_somebody_deletes_at_once_is_asked_for_again_under_another_request_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids: list[str] = []

    def insert(_body: Any, request_id: str) -> dict[str, Any]:
        ids.append(request_id)
        return OPERATION

    task = prepared(monkeypatch, CreateImage, Compute(disk=DISK, insert_image=insert))
    for _ in range(2):
        step = task.reconcile(finished())
        assert isinstance(step, WaitForOperation)
        task.require_success(
            OperationEnded(doing=step.doing, operation={**OPERATION, "status": "DONE"})
        )
    assert len(set(ids)) == 2


def test_create_image_replaces_an_image_of_another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Compute(disk={**DISK, "id": "6"}, image=image())
    step = prepared(monkeypatch, CreateImage, compute).reconcile(finished())
    assert step == WaitForOperation(OPERATION, f"delete image {PLAN.image_name}")


def test_create_image_looks_again_at_what_is_gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Compute(disk={**DISK, "id": "6"}, image=image(), delete_image=None)
    assert prepared(monkeypatch, CreateImage, compute).reconcile(finished()) == Again()


@pytest.mark.parametrize(
    ("standing", "error"),
    [
        ({}, PermanentError),  # neither disk nor image
        ({"disk": DISK, "image": image(**{labels.RUN: "another"})}, PermanentError),
        ({"disk": DISK, "image": {**image(), "status": "PENDING"}}, TransientError),
    ],
)
def test_create_image_says_what_it_cannot_go_on_from(
    monkeypatch: pytest.MonkeyPatch, standing: dict[str, Any], error: type[Exception]
) -> None:
    compute = Compute(**standing)
    with pytest.raises(error):
        prepared(monkeypatch, CreateImage, compute).reconcile(finished())
    assert compute.changes == []


def test_label_image_adds_what_is_missing_and_is_done_when_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute = Compute(image=image())
    task = prepared(monkeypatch, LabelImage, compute)
    assert task.reconcile(finished()) == WaitForOperation(
        OPERATION, f"label image {PLAN.image_name}"
    )
    known = {"manifest-digest": "d" * 40, "packages": "4", "kernel": "6-1"}
    compute = Compute(image=image(**known))
    step = prepared(monkeypatch, LabelImage, compute).reconcile(finished())
    assert isinstance(step, Done)
    assert compute.changes == []


def test_create_builder_waits_for_a_slot_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = WaitFor(SimpleNamespace(), "slot_taken", timedelta(hours=1))  # type: ignore[arg-type]
    monkeypatch.setattr("bakehouse.bake.ensure_builder.take_slot", lambda *_: waits)
    compute = Compute(instances_everywhere=[])
    assert prepared(monkeypatch, CreateBuilder, compute).reconcile(context()) is waits
    assert compute.changes == []
    assert hasattr(CreateBuilder, waits.then)


def test_create_builder_deletes_the_builder_of_an_earlier_try_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = {
        "name": "bake-web-aaaa-9",
        "zone": "https://x/zones/us-central1-b",
        "labels": {labels.RECIPE: "web", labels.RUN: PLAN.run, labels.ROLE: labels.BUILDER},
    }
    compute = Compute(instances_everywhere=[other])
    step = prepared(monkeypatch, CreateBuilder, compute).reconcile(context())
    assert step == WaitForOperation(OPERATION, "delete bake-web-aaaa-9 in us-central1-b")
    assert compute.changes == ["delete_instance"]


def test_create_builder_goes_to_the_next_zone_where_nothing_was_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = prepared(monkeypatch, CreateBuilder, Compute())
    gone = ZoneUnavailable("stock-out", nothing_created=True)
    assert task.recover(context(), gone) == Again()
    with pytest.raises(ZoneUnavailable):  # the second of two zones was the last
        task.recover(context(), gone)


def test_a_builder_that_was_taken_away_is_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    task = prepared(monkeypatch, CreateBuilder, Compute())
    with pytest.raises(ZoneUnavailable):
        task.recover(context(), ZoneUnavailable("preempted"))


def test_delete_builder_waits_until_its_machines_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {
        "name": "bake-web-aaaa-1",
        "zone": "https://x/zones/us-central1-a",
        "labels": {labels.RECIPE: "web", labels.RUN: PLAN.run, labels.ROLE: labels.BUILDER},
    }
    compute = Compute(instances_everywhere=[machine], operation=OPERATION)
    step = prepared(monkeypatch, DeleteBuilder, compute).reconcile(context())
    assert step == WaitForOperation(OPERATION, "delete bake-web-aaaa-1 in us-central1-a")
    assert compute.changes == ["delete_instance"]


@pytest.mark.parametrize("kind", ["instance", "disk"])
def test_a_deletion_that_has_failed_is_the_next_trys_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Waiting until it does not exist would be in vain."""
    told = {labels.RECIPE: "web", labels.RUN: PLAN.run, labels.ROLE: labels.BUILDER}
    zone = "https://x/zones/us-central1-a"
    found = [{"name": f"bake-web-{n}", "zone": zone, "labels": told} for n in (1, 2)]
    error = {"errors": [{"code": "INTERNAL_ERROR", "message": "try again"}]}
    compute = Compute(
        **{"instances_everywhere": [], "disks_everywhere": [], f"{kind}s_everywhere": found},
        **{f"delete_{kind}": {**OPERATION, "status": "DONE", "error": error}},
    )
    with pytest.raises(TransientError, match=r"2 were refused: .*bake-web-1.*try again"):
        prepared(monkeypatch, DeleteBuilder, compute).reconcile(context())
    assert compute.changes == [f"delete_{kind}"] * 2


def test_a_builder_that_is_listed_after_its_deletion_has_ended_is_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = WaitFor(SimpleNamespace(), "slot_taken", timedelta(hours=1))  # type: ignore[arg-type]
    monkeypatch.setattr("bakehouse.bake.ensure_builder.take_slot", lambda *_: waits)
    other = {
        "name": "bake-web-aaaa-9",
        "zone": "https://x/zones/us-central1-b",
        "labels": {labels.RECIPE: "web", labels.RUN: PLAN.run, labels.ROLE: labels.BUILDER},
    }
    ended = {**OPERATION, "status": "DONE"}
    compute = Compute(instances_everywhere=[other], delete_instance=ended)
    assert prepared(monkeypatch, CreateBuilder, compute).reconcile(context()) is waits


def test_delete_builder_is_done_with_a_disk_that_is_listed_after_its_deletion_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = {
        "name": "bake-web-aaaa-1",
        "zone": "https://x/zones/us-central1-a",
        "labels": {labels.RECIPE: "web", labels.RUN: PLAN.run, labels.ROLE: labels.BUILDER},
    }
    released: list[BakehouseOperator] = []
    monkeypatch.setattr(DeleteBuilder, "_release", lambda self, *_: released.append(self))
    ended = {**OPERATION, "status": "DONE"}
    compute = Compute(instances_everywhere=[], disks_everywhere=[disk], delete_disk=ended)
    task = prepared(monkeypatch, DeleteBuilder, compute)
    assert task.reconcile(context()) == Done()
    assert released == [task]
