"""The teardown asks Compute Engine for nothing where no machine was ever asked for.

A run is killed anywhere, then its plan is cleared, and another run has baked the content meanwhile:
what the run had made by then is deleted.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from bakehouse.cloud.compute_hook import ComputeHook
from bakehouse.history.machine_requests import MachineRequests
from bakehouse.lease import builder_slots
from bakehouse.lease.lease import Lease, Owner

from .walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.gce_api import Compute

SERIAL = count(1)
RUNS: list[Walk] = []  # that this module has made
LOOKS = {"compute.instances.aggregatedList", "compute.disks.aggregatedList"}
ANYWHERE = ("resolve_commit", "plan_bake", "need_bake", "create_builder", "wait_for_shutdown",
            "create_image", "label_image", "smoke_test", "promote_image")  # fmt: skip


class Killed(BaseException):
    """SIGKILL: nothing of ours runs after it."""


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """One without runs of other tests."""
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")
    return tmp_path / "ledger"


@pytest.fixture
def since_long_ago(ledger: Path) -> None:
    MachineRequests(f"file://{ledger}").rule_out("0", datetime.now(UTC))
    earlier = datetime.now(UTC) - timedelta(days=1)
    (ledger / "machines" / "since").write_text(earlier.isoformat(), encoding="ascii")


@pytest.fixture
def skipped(compute: Compute, since_long_ago: None) -> Walk:  # ruff: ignore[unused-function-argument]  requested for its effect
    """A run that finds the image of its content, before its teardown."""
    return nothing_new(compute)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(server: Compute) -> Iterator[None]:
    yield  # the server has machines of other modules, too
    found = server.instances()
    assert [left for run in RUNS if "plan_bake" in run.handed for left in of(run, found)] == []


def nothing_new(compute: Compute) -> Walk:
    run = a_run()
    if run.through("need_bake"):
        run.through("promote_image", "create_builder")
        run.tear_down()
        run = a_run()
        assert run.through("need_bake") is False
    del run.handed["need_bake"]  # Airflow keeps no return value of a task that skips others
    compute.forget()
    return run


def a_run(page: str = "nothing new", **params: Any) -> Walk:
    run = Walk("loaf", f"manual__teardown_{next(SERIAL)}", vars={"page": page}, **params)
    RUNS.append(run)
    return run


def asked(compute: Compute) -> set[str]:
    return {request["method"] for request in compute.requests()["requests"]}


def plan_again(run: Walk) -> None:
    """Clear the plan, of whose content there is an image by now: this run bakes nothing."""
    run.clear("plan_bake", "need_bake", "create_builder")
    run.try_("plan_bake")
    run.handed["plan_bake"] |= {"bake": False, "existing_image": "of-another-run"}


@pytest.mark.long
def test_a_run_that_bakes_nothing_is_torn_down_without_a_call(
    skipped: Walk, compute: Compute
) -> None:
    skipped.tear_down()
    assert asked(compute) == set()
    assert skipped.tries["delete_builder"] == 1


@pytest.mark.long
def test_nor_is_a_second_try_or_a_clear_of_what_has_made_nothing(
    skipped: Walk, compute: Compute
) -> None:
    skipped.tear_down()
    skipped.clear("delete_builder")
    skipped.tear_down()
    assert asked(compute) == set()


def test_a_run_that_was_in_progress_when_the_records_began_looks(
    compute: Compute, ledger: Path
) -> None:
    run = nothing_new(compute)
    shutil.rmtree(ledger / "machines")
    run.run.run_after = datetime.now(UTC) - timedelta(minutes=1)
    run.tear_down()
    assert asked(compute) == LOOKS


@pytest.mark.long
@pytest.mark.usefixtures("since_long_ago")
@pytest.mark.parametrize("last", ANYWHERE)
def test_what_a_run_had_made_before_its_plan_was_cleared_is_deleted(
    compute: Compute, ledger: Path, last: str
) -> None:
    run = a_run("cleared in the middle", force=True)
    run.through(last)
    plan_again(run)
    compute.forget()
    run.tear_down()
    assert asked(compute) >= LOOKS or last in ANYWHERE[:3]
    assert of(run, compute.instances()) == of(run, compute.disks()) == []
    assert not holds_a_slot(run, ledger)


@pytest.mark.usefixtures("since_long_ago")
@pytest.mark.parametrize("task", ["create_builder", "smoke_test", "wait_for_shutdown"])
@pytest.mark.parametrize("asks", ["before", "after"])
def test_a_task_that_is_killed_around_its_insert_leaves_nothing(
    compute: Compute, ledger: Path, monkeypatch: pytest.MonkeyPatch, task: str, asks: str
) -> None:
    """A second try of wait_for_shutdown makes a builder of its own."""
    run = a_run("killed", force=True)
    run.through(ANYWHERE[ANYWHERE.index(task) - 1])
    if task == "wait_for_shutdown":
        run.tries[task] = 1
    insert = ComputeHook.insert_instance

    def killed(*given: Any) -> None:
        if asks == "after":
            insert(*given)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ComputeHook, "insert_instance", killed)
        with pytest.raises(Killed):
            run.try_(task)
    plan_again(run)
    run.tear_down()
    assert of(run, compute.instances()) == of(run, compute.disks()) == []
    assert not holds_a_slot(run, ledger)


@pytest.mark.usefixtures("since_long_ago")
@pytest.mark.parametrize("then", ["record", "slot"])
def test_a_run_that_is_killed_between_plan_and_insert_leaves_no_slot(
    compute: Compute, ledger: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    run = a_run("killed early", force=True)
    run.through("need_bake")
    take = builder_slots.take

    def killed(*given: Any) -> None:
        if then == "slot":
            take(*given)
        raise Killed

    with monkeypatch.context() as patched:
        if then == "record":
            patched.setattr(MachineRequests, "record", killed)
        patched.setattr(builder_slots, "take", killed)
        with pytest.raises(Killed):
            run.try_("create_builder")
    assert holds_a_slot(run, ledger) == (then == "slot")
    plan_again(run)
    compute.forget()
    run.tear_down()
    assert asked(compute) == (LOOKS if then == "slot" else set())
    assert not holds_a_slot(run, ledger)


@pytest.mark.usefixtures("since_long_ago")
def test_a_machine_that_is_made_after_a_teardown_is_found_by_the_next(compute: Compute) -> None:
    """Its task was cleared while the teardown ran, and the teardown with it."""
    run = a_run("made again", force=True)
    run.through("create_builder")
    plan_again(run)
    run.tear_down()
    run.try_("create_builder")
    assert of(run, compute.instances())
    run.tear_down()
    assert of(run, compute.instances()) == []


@pytest.mark.long
@pytest.mark.usefixtures("since_long_ago")
def test_each_insert_follows_the_record_of_its_run(
    compute: Compute, monkeypatch: pytest.MonkeyPatch, ledger: Path
) -> None:
    insert, recorded = ComputeHook.insert_instance, []

    def watched(hook: ComputeHook, zone: str, body: dict[str, Any], request: str) -> Any:
        recorded.append((ledger / "machines" / body["labels"]["bakehouse-run"]).is_file())
        return insert(hook, zone, body, request)

    monkeypatch.setattr(ComputeHook, "insert_instance", watched)
    run = a_run("watched", force=True)
    run.through("promote_image")
    run.tear_down()
    assert recorded == [True, True], "of builder and smoke machine"
    assert of(run, compute.instances()) == []


def of(run: Walk, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    label = run.handed["plan_bake"]["run"]
    return [item for item in found if item.get("labels", {}).get("bakehouse-run") == label]


def holds_a_slot(run: Walk, ledger: Path) -> bool:
    owner = Owner(dag_id=run.dag_id, run_id=run.run_id)
    slots = ledger.glob("leases/builders-*/slot-*")
    return any(Lease(LocalFileSystem(), str(slot)).held_by(owner) for slot in slots)
