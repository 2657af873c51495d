"""Twenty bakes are asked for at once, and never more machines run than there are slots."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from bakehouse.core.errors import PermanentError
from bakehouse.images.names import run_label
from bakehouse.triggers import supervisor_comms as comms

from . import walk as walking
from .walk import STATES, Walk

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.gce_api import Compute

BAKES, LIMIT = 20, 3


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No slot is held by a run of another test."""
    ask = AsyncMock(side_effect=lambda _, run_id: STATES.get(run_id, "running"))
    monkeypatch.setattr(comms, "dag_run_state", ask)
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_BUILDERS", str(LIMIT))
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")


def bake(run: Walk) -> None:
    run.through("wait_for_shutdown")
    run.tear_down()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_at_once(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "PATIENCE", 800)
    asked: dict[str, Any] = {"force": True, "vars": {"instant_until": "as-many-as-allowed"}}
    runs = [Walk("loaf", f"manual__many_{number}", **asked) for number in range(BAKES)]
    errors: list[BaseException] = []
    running: list[int] = []

    def one(run: Walk) -> None:
        try:
            bake(run)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        running.append(sum(vm["status"] == "RUNNING" for vm in of(runs, compute)))
        if running[-1] == LIMIT:
            compute.set_project_attribute("as-many-as-allowed")
        threads[0].join(0.1)
        threading.Event().wait(0.1)
    assert errors == []
    assert max(running) <= LIMIT
    assert max(running) == LIMIT, "as many as allowed, not one after the other"
    assert all(run.handed["wait_for_shutdown"]["packages"] == 4 for run in runs)
    waits = [type(w.trigger).__name__ for run in runs for w in run.deferred]
    assert "SlotTrigger" in waits
    assert of(runs, compute) == []


@pytest.mark.usefixtures("compute")
def test_a_run_that_gets_no_turn_ends_and_says_for_whom() -> None:
    holders = [Walk("loaf", f"manual__holds_{number}", force=True) for number in range(LIMIT)]
    for run in holders:
        run.through("create_builder")
    late = Walk("loaf", "manual__late", force=True)
    late.through("need_bake")
    late.handed["plan_bake"]["builder"]["wait_for_slot"] = "1s"
    with pytest.raises(PermanentError, match=r"no builder slot within .*manual__holds_0.*_build"):
        late.try_("create_builder")
    late.tear_down()
    STATES[holders[0].run_id] = "failed"  # before its teardown: taken all the same
    next_ = Walk("loaf", "manual__next", force=True)
    next_.through("create_builder")
    for run in [*holders, next_]:
        run.tear_down()


def test_a_try_that_follows_another_needs_no_second_slot(compute: Compute) -> None:
    run = Walk("loaf", "manual__again", force=True, vars={"instant_hang": "install"})
    run.through("create_builder")
    first = run.handed["create_builder"]
    second = run.try_("create_builder")
    names = [vm["name"] for vm in of([run], compute)]
    assert names == [second["name"]] != [first["name"]]
    run.tear_down()


def test_a_kept_builder_stands_after_the_teardown_with_an_expiry(compute: Compute) -> None:
    run = Walk(
        "loaf",
        "manual__kept",
        force=True,
        keep_builder=True,
        vars={"instant_fail_install": "E: no such package"},
    )
    run.through("create_builder")
    with pytest.raises(PermanentError, match="no such package"):
        run.try_("wait_for_shutdown")
    run.handed.pop("wait_for_shutdown", None)
    run.tear_down()
    (vm,) = of([run], compute)
    assert vm["name"] == run.handed["create_builder"]["name"]
    assert int(vm["labels"]["expires"]) > 0
    assert vm["name"] in {disk["name"] for disk in compute.disks()}
    compute.call("DELETE", f"zones/us-central1-a/instances/{vm['name']}")


def test_a_builder_that_succeeded_is_not_kept(compute: Compute) -> None:
    run = Walk("loaf", "manual__well", force=True, keep_builder=True)
    run.through("wait_for_shutdown")
    run.tear_down()
    assert of([run], compute) == []


def of(runs: list[Walk], compute: Compute) -> list[dict[str, Any]]:
    """The machines of these runs."""
    labels = {run_label(run.dag_id, run.run_id) for run in runs}
    return [vm for vm in compute.instances() if vm["labels"].get("bakehouse-run") in labels]
