"""What a bake does when something goes wrong, or is cleared, on a real scheduler."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON

from bakehouse.cloud.serial_stream import LINES_A_TICK
from bakehouse.images import labels
from devstack.waiting import wait_until

from .fleet import kill_triggerer

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

DAG = "bake__loaf"
KNOBS = ("until", "install_lines", "fail_install", "silent", "fail_check")
LINES = 6000


@pytest.fixture(scope="module")
def loaf(stack_of_session: Testbed) -> Testbed:
    """The recipe `loaf`, whose vars say how its instant machines behave; no fleet runs it."""
    bed = stack_of_session
    knobs = "".join(f"  instant_{knob}: ''\n" for knob in KNOBS)
    recipe = f"base: debian-cloud/debian-12\nvars:\n  page: hello\n{knobs}"
    recipe += "smoke: {metadata: {greeting: hello}}\n"
    bed.add_web("loaf", recipe)
    return bed


@pytest.fixture
def bed(bed: Testbed, loaf: Testbed) -> Testbed:  # ruff: ignore[unused-function-argument]  requested for its effect
    return bed


def handed(bed: Testbed, run: Run, task_id: str) -> dict[str, Any]:
    value: dict[str, Any] = bed.airflow.xcom(run.dag_id, run.run_id, task_id)
    return value


def image_of(bed: Testbed, run: Run) -> dict[str, Any]:
    return bed.compute.image(handed(bed, run, "plan_bake")["image_name"])


def started(bed: Testbed, **vars_: str) -> Run:
    conf = {"force": True, "vars": vars_}
    return bed.airflow.run(DAG, bed.airflow.trigger(DAG, conf))


def ended(bed: Testbed, run: Run) -> Run:
    return bed.airflow.wait(run.dag_id, run.run_id, RUN)


def again(bed: Testbed, run: Run, *task_ids: str, downstream: bool = False) -> Run:
    cleared = bed.airflow.clear(run.dag_id, run.run_id, task_ids, downstream=downstream)
    assert set(task_ids) <= set(cleared)
    return ended(bed, run)


def test_an_insert_whose_answer_is_lost_makes_one_builder(bed: Testbed) -> None:
    bed.compute.fault(kind="reset", method="compute.instances.insert", when="after", times=3)
    run = ended(bed, started(bed))
    assert run.state == "success", bed.explain(run)
    builder = handed(bed, run, "create_builder")["name"]
    assert handed(bed, run, "wait_for_shutdown")["builder"]["name"] == builder
    assert bed.left() == []


@pytest.mark.ci
def test_the_first_builder_dies_and_the_second_try_bakes(bed: Testbed) -> None:
    run = started(bed, instant_until="the-first-is-dead")
    bed.airflow.wait_for_task(DAG, run.run_id, "wait_for_shutdown", ["deferred"], SOON)
    first = handed(bed, run, "create_builder")
    bed.compute.fault(kind="kill", instance=first["name"])
    bed.compute.set_project_attribute("the-first-is-dead")
    run = ended(bed, run)
    assert run.state == "success", bed.explain(run)
    second = handed(bed, run, "wait_for_shutdown")["builder"]
    assert second["name"].endswith("-w2")
    assert second["zone"] != first["zone"]
    assert image_of(bed, run)["labels"]["bakehouse-state"] == "promoted"
    assert bed.left() == []


@pytest.mark.ci
def test_clearing_in_a_finished_run(bed: Testbed) -> None:
    run = ended(bed, started(bed))
    assert run.state == "success", bed.explain(run)
    image = image_of(bed, run)

    run = again(bed, run, "create_image")
    assert run.state == "success", "it adopts the image that stands"
    assert image_of(bed, run)["id"] == image["id"]

    run = again(bed, run, "wait_for_shutdown", downstream=True)
    assert run.state == "success", "its builder is gone: it makes one itself"
    assert handed(bed, run, "wait_for_shutdown")["builder"]["name"].endswith("-w2")
    assert image_of(bed, run)["family"] == "loaf"
    assert bed.left() == []

    run = again(bed, run, "create_builder", downstream=True)
    assert run.state == "success", bed.explain(run)
    builder = handed(bed, run, "create_builder")["name"]
    assert handed(bed, run, "wait_for_shutdown")["builder"]["name"] == builder, "adopted again"
    assert bed.left() == []


def test_a_failing_install_is_told_in_the_task_log_and_leaves_nothing(bed: Testbed) -> None:
    run = ended(bed, started(bed, instant_fail_install="E: Unable to locate package nginks"))
    assert run.state == "failed"
    log = bed.log(run, "wait_for_shutdown")
    assert "install.sh line" in log
    assert "E: Unable to locate package nginks" in log
    (error,) = bed.errors(run, "wait_for_shutdown")
    assert "lines of bake-loaf-" in error, "the machine's last lines stand in the error itself"
    assert "guest reports: stage install" in error
    states = bed.airflow.states(run.dag_id, run.run_id)
    assert states["delete_builder"] == "success"
    assert states["promote_image"] == "upstream_failed"
    names = [image["name"] for image in bed.compute.images()]
    assert handed(bed, run, "plan_bake")["image_name"] not in names
    assert bed.left() == []


def test_a_failing_smoke_test_is_told_and_promotes_nothing(bed: Testbed) -> None:
    run = ended(bed, started(bed, instant_fail_check="port 8080 answers"))
    assert run.state == "failed"
    assert "FAILED  port 8080 answers" in bed.log(run, "smoke_test")
    assert image_of(bed, run)["labels"]["bakehouse-state"] == "failed"
    assert "family" not in image_of(bed, run)
    assert bed.left() == []


def test_the_same_content_ends_the_run_with_its_reason(bed: Testbed) -> None:
    content = {"page": Path(__file__).name}
    first = bed.bake(DAG, vars=content)
    bed.compute.forget()
    second = bed.bake(DAG, vars=content)
    assert second.state == "success", bed.explain(second)
    promoted = handed(bed, first, "plan_bake")["image_name"]
    assert f"the same content, {promoted}" in bed.log(second, "need_bake")
    states = bed.airflow.states(second.dag_id, second.run_id)
    assert (states["create_builder"], states["delete_builder"]) == ("skipped", "success")
    asked = [request["method"] for request in bed.compute.requests()["requests"]]
    assert len(asked) <= 6
    assert "compute.disks.aggregatedList" not in asked, "its teardown has nothing to look for"
    assert bed.left() == []


@pytest.mark.parametrize("counted", [True, False])
def test_a_builder_of_before_a_clear_is_deleted_though_nothing_is_baked_after_it(
    bed: Testbed, counted: bool
) -> None:
    """By then there is an image of the content; not every way to clear counts as one."""
    baked = ended(bed, started(bed, page=f"another {counted}"))
    assert baked.state == "success", bed.explain(baked)
    content = {"page": f"cleared {counted}", "instant_until": "never-said"}
    run_id = bed.airflow.trigger(DAG, {"vars": content})
    bed.airflow.wait_for_task(DAG, run_id, "wait_for_shutdown", ["deferred"], SOON)
    assert bed.left() != []
    plan = handed(bed, bed.airflow.run(DAG, run_id), "plan_bake")
    image = image_of(bed, baked)
    own = {labels.CONTENT_KEY: plan["content_key"]}
    copy = {
        "name": f"{image['name']}-copy",
        "family": "loaf",
        "sourceImage": image["selfLink"],
        "labels": {**image["labels"], **own},
    }
    bed.compute.call("POST", "global/images", json=copy)
    manifests = bed.stack.layout.airflow_home / "ledger" / "manifests"
    manifest = (manifests / f"{image['name']}.spdx.json").read_text(encoding="utf-8")
    (manifests / f"{copy['name']}.spdx.json").write_text(manifest, encoding="utf-8")
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": ["plan_bake"],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": counted,
    }
    bed.airflow.call("POST", f"/dags/{DAG}/clearTaskInstances", json=body)
    run = bed.airflow.wait(DAG, run_id, RUN)
    assert run.state == "success", bed.explain(run)
    assert not handed(bed, run, "plan_bake")["bake"]
    assert bed.airflow.states(DAG, run_id)["create_builder"] == "skipped"
    assert bed.left() == []


@pytest.mark.chaos
def test_an_install_is_in_the_log_once_over_a_triggerer_killed_in_its_middle(
    bed: Testbed,
) -> None:
    """Although nobody gets at any machine's guest attributes, running or stopped."""
    denied = {"method": "compute.instances.getGuestAttributes", "status": 403, "times": 1000}
    bed.compute.fault(kind="http", **denied)
    run = started(bed, instant_until="the-triggerer-is-dead", instant_install_lines=str(LINES))
    shown: list[str] = []

    def some(number: int) -> Callable[[], bool]:
        def there() -> bool:
            shown[:] = bed.log(run, "wait_for_shutdown").splitlines()
            return any(f"package {number} of" in line for line in shown)

        return there

    wait_until(some(1000), SOON, "the install to be under way")
    kill_triggerer(bed.stack.layout.state)
    bed.compute.set_project_attribute("the-triggerer-is-dead")
    assert ended(bed, run).state == "success"
    wait_until(some(LINES), SOON, "the last line of the builder")
    told = Counter(line for line in shown if "│ Setting up package" in line)
    assert len(told) == LINES, "none is lost"
    repeated = [line for line, times in told.items() if times > 1]
    assert max(told.values()) <= 2
    assert len(repeated) <= LINES_A_TICK, "at most one tick is repeated"
    for stage in ("boot", "install", "generalise"):
        assert sum(f"guest reports: stage {stage}" in line for line in shown) in {1, 2}
    assert sum("continuing at byte" in line for line in shown) == 1
    assert image_of(bed, run)["labels"]["bakehouse-state"] == "promoted"
    assert bed.left() == []
