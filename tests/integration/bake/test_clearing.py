"""Any task of a finished run, cleared: the right result, and nothing left behind.

As Airflow clears: with a task's setup (the plan) and its teardown, and what is downstream of it
when that is asked for. tests/flow/test_retries.py does some of it on a real scheduler.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.core.errors import PermanentError

from .walk import CHAIN, Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

SERIAL = count(1)
SETUP, TEARDOWN = "plan_bake", "delete_builder"


@pytest.fixture(scope="module")
def finished(server: Compute) -> Walk:  # ruff: ignore[unused-function-argument]  requested for its effect
    run = Walk("loaf", f"manual__clear_{next(SERIAL)}", force=True)
    run.through("promote_image")
    run.tear_down()
    return run


def image(compute: Compute, run: Walk) -> dict[str, Any]:
    return compute.image(run.handed[SETUP]["image_name"])


def of(run: Walk, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    label = run.handed[SETUP]["run"]
    return [item for item in found if item.get("labels", {}).get("bakehouse-run") == label]


def clear(run: Walk, *task_ids: str) -> None:
    """In the order of the flow, each with what it needs."""
    wanted = [task for task in CHAIN if task in task_ids]
    work = any(CHAIN.index(task) > CHAIN.index(SETUP) for task in wanted)
    again = [task for task in CHAIN if task in wanted or (work and task == SETUP)]
    run.clear(*again, TEARDOWN)
    for task in again:
        run.try_(task)
    run.tear_down()


@pytest.mark.long
@pytest.mark.parametrize("task", CHAIN)
def test_a_cleared_task_changes_nothing(compute: Compute, finished: Walk, task: str) -> None:
    before = image(compute, finished)
    clear(finished, task)
    assert image(compute, finished) == before, "made, tested and promoted once"
    assert (before["family"], before["labels"]["bakehouse-state"]) == ("loaf", "promoted")
    assert of(finished, compute.instances()) == []
    assert of(finished, compute.disks()) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "first", ["resolve_commit", "create_builder", "create_image", "smoke_test"]
)
def test_a_task_cleared_with_its_downstream_tasks_changes_nothing(
    compute: Compute, finished: Walk, first: str
) -> None:
    before = image(compute, finished)
    clear(finished, *CHAIN[CHAIN.index(first) :])
    assert image(compute, finished) == before
    assert of(finished, compute.instances()) == []
    assert of(finished, compute.disks()) == []


def test_the_cleared_teardown_deletes_nothing_else(compute: Compute, finished: Walk) -> None:
    clear(finished)
    assert of(finished, compute.instances()) == []


@pytest.mark.long
def test_a_run_that_failed_is_finished_from_where_it_stopped(compute: Compute) -> None:
    run = Walk("loaf", f"manual__clear_{next(SERIAL)}", force=True)
    run.through("need_bake")
    compute.fault(kind="http", method="compute.instances.insert", status=403, reason="forbidden")
    with pytest.raises(PermanentError, match="forbidden"):
        run.try_("create_builder")
    run.tear_down()
    clear(run, *CHAIN[CHAIN.index("create_builder") :])
    assert image(compute, run)["family"] == "loaf"
    assert of(run, compute.instances()) == []


def test_a_smoke_test_that_was_unlucky_is_cleared_alone_with_what_follows(
    compute: Compute,
) -> None:
    run = Walk("loaf", f"manual__clear_{next(SERIAL)}", force=True, vars={"page": "unlucky"})
    run.through("label_image")
    name = run.handed[SETUP]["image_name"]
    compute.fault(kind="http", method="compute.instances.insert", status=403, reason="forbidden")
    with pytest.raises(PermanentError):
        run.try_("smoke_test")
    run.tear_down()
    clear(run, "smoke_test", "promote_image")
    promoted = compute.image(name)
    assert (promoted["family"], promoted["labels"]["bakehouse-state"]) == ("loaf", "promoted")
