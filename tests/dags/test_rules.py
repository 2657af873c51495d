"""Rules for every DAG, whoever adds one."""

from __future__ import annotations

import ast
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROJECT, describe

pytestmark = pytest.mark.timeout(120)

PARSE_SECONDS = 2.0
PACKAGE = PROJECT / "plugins" / "bakehouse"
MAKES = re.compile(r"\.(insert_instance|insert_disk)\(|lease\b.*\.(take|acquire|hold)\(")

Tasks = dict[str, dict[str, Any]]


def offenders(tasks: Tasks, rule: str) -> list[str]:
    return [name for name, task in tasks.items() if not task[rule]]


def test_every_dag_loads(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    assert "bake__web" in bag["dags"]
    assert all(dag["serialised"] for dag in bag["dags"].values())


def test_parsing_is_quick_and_imports_nothing_heavy(bag: dict[str, Any]) -> None:
    assert bag["seconds"] < PARSE_SECONDS
    assert bag["heavy"] == []


def test_every_dag_has_an_owner_documentation_and_tags(bag: dict[str, Any]) -> None:
    for dag_id, dag in bag["dags"].items():
        assert dag["owner"] not in {"", "airflow"}, dag_id
        assert len(dag["doc"]) > 40, dag_id
        assert "bakehouse" in dag["tags"], dag_id


def test_no_dag_times_out_as_a_whole_or_catches_up(bag: dict[str, Any]) -> None:
    """A dagrun_timeout skips teardowns, and a catch-up would bake the past at the first start."""
    assert not any(dag["dagrun_timeout"] or dag["catchup"] for dag in bag["dags"].values())


@pytest.mark.parametrize(
    "rule", ["owner", "doc", "retries", "backoff", "max_retry_delay", "timeout"]
)
def test_every_task_has(tasks: Tasks, rule: str) -> None:
    ours = {name: task for name, task in tasks.items() if task["id"] != "sla_watch"}
    assert offenders(ours, rule) == []


def test_every_step_has_an_sla_and_they_never_fall_along_the_flow(tasks: Tasks) -> None:
    steps = {name: task for name, task in tasks.items() if task["id"] != "sla_watch"}
    assert offenders(steps, "sla") == []
    for name, task in steps.items():
        earlier = [tasks[f"{task['dag']}.{up}"]["sla"] or 0 for up in task["upstream"]]
        assert task["sla"] >= max(earlier, default=0), name


def test_nothing_is_promoted_untested(tasks: Tasks) -> None:
    promoting = [task for task in tasks.values() if task["id"].startswith("promote")]
    assert promoting
    assert all("smoke_test" in task["upstream"] for task in promoting)


def test_what_can_make_a_machine_a_disk_or_a_lease_lies_between_setup_and_teardown(
    tasks: Tasks,
) -> None:
    makers = [task for task in tasks.values() if makes_something(task) and not task["setup"]]
    assert {"create_builder", "wait_for_shutdown", "smoke_test"} <= {task["id"] for task in makers}
    for task in makers:
        assert task["teardown"] or is_inside(task, tasks), f"{task['dag']}.{task['id']}"


def test_a_teardown_that_fails_fails_the_run(tasks: Tasks) -> None:
    teardowns = [task for task in tasks.values() if task["teardown"] and task["id"] != "sla_watch"]
    assert teardowns
    assert offenders({t["id"]: t for t in teardowns}, "fails_the_run") == []


def test_the_form_of_a_bake(bag: dict[str, Any]) -> None:
    bakes = [dag for dag_id, dag in bag["dags"].items() if dag_id.startswith("bake__")]
    assert bakes
    assert all({"git_ref", "force", "vars"} <= set(dag["params"]) for dag in bakes)


def test_a_broken_recipe_breaks_only_its_own_dag(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "dags", tmp_path / "dags")
    shutil.copytree(PROJECT / "include", tmp_path / "include")
    shutil.rmtree(tmp_path / "include" / "fleets")
    broken = tmp_path / "include" / "recipes" / "broken.yaml"
    broken.write_text("base: 7\nbuilder: {zonse: [x]}\n")
    bag = describe(tmp_path, tmp_path)
    assert "bake__web" in bag["dags"]
    assert "bake__broken" not in bag["dags"]
    assert [Path(file).name for file in bag["errors"]] == ["broken_recipes.py"]
    (told,) = bag["errors"].values()
    assert "broken.yaml:1: base" in told
    assert "broken.yaml:2: builder.zonse" in told


def is_inside(task: dict[str, Any], tasks: Tasks) -> bool:
    """Behind a setup, and before the teardown of that setup."""
    teardowns = (tasks[f"{task['dag']}.{down}"] for down in task["downstream"])
    return any(
        setup in task["upstream"]
        for teardown in teardowns
        if teardown["teardown"]
        for setup in teardown["setups"]
    )


def makes_something(task: dict[str, Any]) -> bool:
    """By the code of its class: itself, and what its stage imports from its own folder."""
    modules = [base for base in task["bases"] if base.startswith("bakehouse.")]
    return any(MAKES.search(source(module)) for base in modules for module in reach(base))


@cache
def reach(module: str) -> frozenset[str]:
    """The module and those of its own stage that it imports, whatever the depth."""
    stage = module.rsplit(".", 1)[0]
    found, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name.startswith(f"{stage}.") and name.count("."):
            found.add(name)
            waiting += imported(name)
    return frozenset(found)


@cache
def imported(module: str) -> tuple[str, ...]:
    tree = ast.parse(source(module))
    return tuple(
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and is_file(node.module)
    )


@cache
def source(module: str) -> str:
    return path_of(module).read_text() if is_file(module) else ""


def is_file(module: str) -> bool:
    return module.startswith("bakehouse.") and path_of(module).is_file()


def path_of(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
