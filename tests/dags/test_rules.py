"""Rules for every DAG, whoever adds one."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import PROJECT

from .conftest import describe

pytestmark = pytest.mark.timeout(300)

PARSE_SECONDS = 2.0
PACKAGE = PROJECT / "plugins" / "bakehouse"
MAKES = re.compile(r"\.(insert_instance|insert_disk)\(")
TAKES = re.compile(r"\bacquire\(")

BROKEN = {
    "recipes/broken.yaml": "base: 7\nbuilder: {zonse: [x]}\n",
    "recipes/child.yaml": "base: {recipe: broken}\nscripts: web\nvars: {page: x}\n",
    "recipes/one.yaml": "base: {recipe: two}\nscripts: web\nvars: {page: x}\n",
    "recipes/two.yaml": "base: {recipe: one}\nscripts: web\nvars: {page: x}\n",
    "recipes/lost.yaml": "base: {recipe: nobody}\nscripts: web\nvars: {page: x}\n",
    "recipes/sloppy.yaml": "base: a/b\n",  # its DAG stays: only its bakes are refused
    "startup_scripts/sloppy/install.sh.j2": "echo {{ recipe.name }}\n",
    "fleets/far.yaml": "recipe: nobody\nmembers: {labels: {a: b}, zones: [us-central1-a]}\n",
}

Tasks = dict[str, dict[str, Any]]


def offenders(tasks: Tasks, rule: str) -> list[str]:
    return [name for name, task in tasks.items() if not task[rule]]


def test_every_dag_loads(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    assert {"bake__web", "roll_out__web", "housekeeping", "revoke", "check_setup"} <= bag[
        "dags"
    ].keys()
    assert all(dag["serialised"] for dag in bag["dags"].values())


def test_airflow_looks_into_every_dag_file() -> None:
    """It passes over one in which it does not find both words, without an error."""
    for file in (PROJECT / "dags").glob("*.py"):
        text = file.read_text().lower()
        assert "dag" in text, file
        assert "airflow" in text, file


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


def test_no_task_carries_a_copy_of_its_dags_form(bag: dict[str, Any], tasks: Tasks) -> None:
    """Airflow checks each copy when it serialises the DAG: most of what 500 recipes cost."""
    assert all(dag["params"] for dag in bag["dags"].values())
    assert [name for name, task in tasks.items() if task["params"]] == []


def test_every_step_has_an_sla_and_they_never_fall_along_the_flow(tasks: Tasks) -> None:
    steps = {
        name: task for name, task in tasks.items() if task["id"] not in {"sla_watch", "result"}
    }
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


def test_whoever_takes_a_lease_is_a_setup_or_renews_it_behind_one(tasks: Tasks) -> None:
    """So that the teardown gives the lease back on every way out."""
    takers = [task for task in tasks.values() if TAKES.search(code_of(task["bases"][0])[0])]
    assert takers
    for task in takers:
        assert task["setup"] or is_inside(task, tasks), f"{task['dag']}.{task['id']}"


def test_a_teardown_that_fails_fails_the_run(tasks: Tasks) -> None:
    teardowns = [task for task in tasks.values() if task["teardown"] and task["id"] != "sla_watch"]
    assert teardowns
    assert offenders({t["id"]: t for t in teardowns}, "fails_the_run") == []


def test_the_state_of_a_run_is_that_of_its_result(bag: dict[str, Any]) -> None:
    """The only leaf of each DAG; a teardown, since it has to run when a person ends the run."""
    for dag_id, dag in bag["dags"].items():
        result = dag["tasks"]["result"]
        assert result["teardown"], dag_id
        assert result["fails_the_run"], dag_id
        assert result["setups"] == [], "or it would be skipped when they are"
        leaves = {name for name, task in dag["tasks"].items() if not task["next"]}
        assert leaves == {"result", "sla_watch"}, dag_id
        assert set(result["upstream"]) == dag["tasks"].keys() - leaves, dag_id


def test_a_bake_is_grouped_for_the_graph_and_no_arrow_leads_back_into_a_group(
    bag: dict[str, Any],
) -> None:
    bakes = {name: dag["tasks"] for name, dag in bag["dags"].items() if name.startswith("bake__")}
    assert bakes
    for dag_id, tasks in bakes.items():
        own = {name: task for name, task in tasks.items() if "." not in name}
        groups = dict.fromkeys(task["group"] for task in own.values() if task["group"])
        assert set(groups) == {"plan_image", "build_image", "test_and_promote"}, dag_id
        alone = {name for name, task in own.items() if not task["group"]}
        assert alone == {"delete_builder", "result", "sla_watch"}, dag_id
        for name, task in own.items():
            group = task["group"]
            left = [tasks[up] for up in task["upstream"] if tasks[up]["group"] != group]
            for outside in left if group else []:
                again = [up for up in outside["upstream"] if tasks[up]["group"] == group]
                assert again == [], f"{dag_id}.{name} comes back into {group}"


def test_the_form_of_a_bake(bag: dict[str, Any]) -> None:
    bakes = [dag for dag_id, dag in bag["dags"].items() if dag_id.startswith("bake__")]
    assert bakes
    assert all({"git_ref", "force", "vars"} <= set(dag["params"]) for dag in bakes)


def test_whoever_asks_for_the_house_to_be_kept_gets_a_dry_run_unless_he_says_otherwise(
    bag: dict[str, Any],
) -> None:
    house = bag["dags"]["housekeeping"]
    assert house["form"]["dry_run"] is True
    assert house["schedule"] == "0 6 * * * UTC"
    steps = {"plan_sweep", "sweep", "plan_retire", "retire", "show_drift", "compact_ledger"}
    steps |= {"find_missing_fixes", "ask_for_fixes"}
    assert house["tasks"].keys() == steps | {"sla_watch", "result"}


def test_nothing_is_revoked_without_an_image_and_a_reason(bag: dict[str, Any]) -> None:
    revoke = bag["dags"]["revoke"]
    assert revoke["form"] == {}, "no answer stands there before somebody gives one"
    assert revoke["params"] == ["image", "why"]
    assert revoke["schedule"] == "None"


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


def test_import_errors_and_make_validate_tell_the_same(tmp_path: Path) -> None:
    """Every recipe, fleet and script that is broken, and not one DAG less than need be."""
    shutil.copytree(PROJECT / "dags", tmp_path / "dags")
    include = Path(shutil.copytree(PROJECT / "include", tmp_path / "include"))
    shutil.copy(PROJECT / "airflow_settings.yaml", tmp_path)
    for name, text in BROKEN.items():
        (include / name).parent.mkdir(exist_ok=True)
        (include / name).write_text(text)
    bag = describe(tmp_path, tmp_path)
    command = [sys.executable, "-m", "bakehouse.cli", "validate", "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    errors = {Path(file).name: text for file, text in bag["errors"].items()}
    told = [errors[name].partition("ValueError: \n")[2] for name in sorted(errors, reverse=True)]
    assert sorted(errors) == ["broken_fleets.py", "broken_recipes.py"]
    assert "".join(told) == done.stderr
    right = {"recipes/child.yaml"}
    assert {name for name in BROKEN if f"include/{name}:" not in done.stderr} == right
    bakes = sorted(name for name in bag["dags"] if name.startswith("bake__"))
    assert bakes == ["bake__child", "bake__jre", "bake__kafka", "bake__sloppy", "bake__web"]
    rollouts = sorted(name for name in bag["dags"] if name.startswith("roll_out__"))
    assert rollouts == ["roll_out__kafka", "roll_out__web"]


def test_whatever_makes_a_vm_takes_a_slot_first() -> None:
    """And so records its run, without which the teardown does not look for VMs.

    A member of a fleet stays: what makes it runs under the fleet's lease.
    """
    makers = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if ".insert_instance(" in path.read_text(encoding="utf-8")
    }
    assert makers.pop("rollout/recreate.py")
    assert makers.keys() == {"bake/ensure_builder.py", "smoke/operators.py"}
    assert [name for name, text in makers.items() if "take_slot(" not in text] == []


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
    """By its code: the classes it is made of, and what they use of their own stage."""
    return any(
        MAKES.search(text)
        for base in task["bases"]
        if base.startswith("bakehouse.")
        for text in code_of(base)
    )


@cache
def code_of(base: str) -> tuple[str, ...]:
    """Source of a class, and of every module of its stage that it uses, whatever the depth."""
    module, _, name = base.rpartition(".")
    (found,) = (n for n in tree(module).body if isinstance(n, ast.ClassDef) and n.name == name)
    used = {n.id for n in ast.walk(found) if isinstance(n, ast.Name)}
    inside = [target for target, _ in imports(found)]
    beside = [target for target, alias in imports(tree(module)) if alias in used]
    modules = reach(tuple(inside + beside), stage=module.rpartition(".")[0])
    return (ast.unparse(found), *map(source, sorted(modules)))


def reach(modules: tuple[str, ...], stage: str) -> set[str]:
    found, waiting = set[str](), list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name.startswith(f"{stage}."):
            found.add(name)
            waiting += [target for target, _ in imports(tree(name))]
    return found


def imports(node: ast.AST) -> list[tuple[str, str]]:
    """Files of Bakehouse that are imported below the node, with the name that each import binds."""
    return [
        (target, alias.asname or alias.name)
        for found in ast.walk(node)
        if isinstance(found, ast.ImportFrom) and found.module
        for alias in found.names
        for target in (found.module, f"{found.module}.{alias.name}")
        if path_of(target).is_file()
    ]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(source(module))


@cache
def source(module: str) -> str:
    return path_of(module).read_text()


def path_of(module: str) -> Path:
    if not module.startswith("bakehouse."):
        return PACKAGE / "nothing"
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


@pytest.mark.parametrize(
    "file", sorted((PROJECT / "dags").glob("*.py")), ids=lambda file: file.name
)
def test_the_dag_processor_takes_the_file_for_one_with_dags(file: Path) -> None:
    """By default it passes over a file in which the words airflow and dag do not both occur."""
    told = file.read_bytes().lower()
    assert b"airflow" in told
    assert b"dag" in told
