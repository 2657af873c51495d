"""What a DAG file of three lines gets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import PROJECT

import bakehouse.recipe.load as load_module
from bakehouse.config.project import all_mistakes
from bakehouse.dag_factory import raise_for_broken_files, register_dags
from bakehouse.recipe import shell_syntax

BAKES = {"bake__jre", "bake__kafka", "bake__web"}
ROLLOUTS = {"roll_out__kafka", "roll_out__web"}
FLEET = "recipe: nobody\nmembers: {labels: {a: b}, zones: [us-central1-a]}\n"


@pytest.fixture
def include(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT / "include", tmp_path / "elsewhere"))


def registered(include: Path | str, **options: object) -> dict[str, object]:
    namespace: dict[str, object] = {}
    register_dags(namespace, include, **options)  # type: ignore[arg-type]
    return namespace


def test_every_dag_of_the_project_is_registered_under_its_id(include: Path) -> None:
    dags = registered(str(include))
    others = {"finalise__kafka", "housekeeping", "revoke", "check_setup"}
    assert set(dags) == BAKES | ROLLOUTS | others
    assert all(getattr(dag, "dag_id", "") == name for name, dag in dags.items())


def test_a_dag_file_may_ask_for_some_flows(include: Path) -> None:
    assert set(registered(include, flows=["bake", "revoke"])) == BAKES | {"revoke"}
    with pytest.raises(ValueError, match=r"unknown flow: cake; known: bake, rollout, finalise, "):
        registered(include, flows=["cake"])


def test_a_task_parses_its_own_dag_only(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what Airflow's task runner sets, and its get_parsing_context() reads
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "roll_out__web")
    assert sorted(registered(include)) == ["roll_out__web"]


def test_a_task_of_a_bake_reads_no_other_recipe_and_gets_the_same_tasks(
    include: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (include / "recipes" / "base.yaml").write_text("base: debian-cloud/debian-12\nsmoke: none\n")
    (include / "recipes" / "app.yaml").write_text("base: {recipe: base}\nschedule: 0 3 * * *\n")
    for number in (1, 2):
        text = FLEET.replace("nobody", "app").replace("a: b", f"a: b{number}")
        (include / "fleets" / f"app-{number}.yaml").write_text(f"{text}rollout: with_bake\n")
    (include / "fleets" / "lost.yaml").write_text(FLEET)
    every: Any = registered(include)["bake__app"]
    assert {"replace_app-1.plan", "replace_app-2.plan"} <= set(every.task_ids)

    read = list[Path]()
    load = load_module._load_file

    def loaded(kind: Any, file: Path) -> Any:
        read.append(file)
        return load(kind, file)

    monkeypatch.setattr(load_module, "_load_file", loaded)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "bake__app")
    dags = registered(include)
    own: Any = dags["bake__app"]
    assert list(dags) == ["bake__app"]
    assert [file.name for file in read if file.parent.name == "recipes"] == ["app.yaml"]
    assert own.task_ids == every.task_ids
    assert own.timetable.serialize() == every.timetable.serialize()


def test_options_are_those_of_housekeeping_and_revoke(include: Path) -> None:
    channel = {"notifier": "smtp", "arguments": {"to": "x@y.z"}}
    dags = registered(include, schedule="0 7 * * *", owner="ops", notify=[channel])
    house, revoke, bake = (dags[name] for name in ("housekeeping", "revoke", "bake__web"))
    assert (house.timetable.summary, house.owner) == ("0 7 * * * UTC", "ops")  # type: ignore[attr-defined]
    assert (revoke.owner, bake.owner) == ("ops", "web-team")  # type: ignore[attr-defined]
    assert house.has_on_failure_callback  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="notifier"):
        registered(include, notify=[{"notifer": "smtp"}])
    with pytest.raises(ValueError, match=r"never comes.*'0 0 31 2 \*'.*five cron fields"):
        registered(include, schedule="0 0 31 2 *")


def test_a_broken_file_stops_no_other(include: Path) -> None:
    (include / "recipes" / "broken.yaml").write_text("base: 7\n")
    (include / "fleets" / "far.yaml").write_text(FLEET)
    assert set(registered(include, flows=["bake", "rollout"])) == BAKES | ROLLOUTS


def test_a_secret_in_the_open_is_a_mistake_that_takes_no_dag_away(include: Path) -> None:
    file = include / "fleets" / "own.yaml"
    plain = "template:\n  machine_type: e2-small\n  metadata:\n    db-password: hunter2\n"
    file.write_text("recipe: web\nmembers: {instances: [own-1], zones: [us-central1-a]}\n" + plain)
    assert set(registered(include, flows=["rollout"])) >= {"roll_out__own"}
    with pytest.raises(ValueError, match=r"own\.yaml:\d+: template\.metadata\.db-password") as told:
        raise_for_broken_files(include, folders=["fleets"])
    assert "write secret://NAME; if it is no secret, say `not_secret: [db-password]`" in str(
        told.value
    )
    assert "hunter2" not in str(told.value)
    file.write_text(file.read_text() + "not_secret: [db-password]\n")
    raise_for_broken_files(include)


def test_a_secret_among_vars_is_a_mistake_that_takes_no_dag_away(include: Path) -> None:
    (include / "recipes" / "own.yaml").write_text(
        "base: debian-cloud/debian-12\nscripts: web\nvars: {db_password: hunter2}\n"
    )
    assert set(registered(include, flows=["bake"])) >= {"bake__own"}
    with pytest.raises(ValueError, match=r"own\.yaml:3: vars\.db_password") as told:
        raise_for_broken_files(include, folders=["recipes"])
    assert "hunter2" not in str(told.value)


def test_mistakes_are_raised_by_the_folder(include: Path) -> None:
    raise_for_broken_files(include)
    (include / "fleets" / "far.yaml").write_text(FLEET)
    raise_for_broken_files(include, folders=["recipes"])
    with pytest.raises(ValueError, match=r"far\.yaml:1: recipe"):
        raise_for_broken_files(include, folders=["fleets"])
    (include / "recipes" / "broken.yaml").write_text("base: 7\n")
    with pytest.raises(ValueError, match=r"(?s)broken\.yaml:1: base.*far\.yaml:1: recipe"):
        raise_for_broken_files(include)


def test_importing_the_factory_does_not_import_airflow() -> None:
    code = "import sys, bakehouse.dag_factory; sys.exit('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_parse_runs_no_bash_and_a_validation_does(
    include: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "true  # a text that no other test has, since answers are kept by it\n"
    (include / "startup_scripts/web/smoke_test.sh").write_text(script)
    read = list[str]()

    def ask(_: str, text: str) -> tuple[()]:
        read.append(text)
        return ()

    monkeypatch.setattr(shell_syntax, "_ask", ask)
    raise_for_broken_files(include)
    assert read == []
    assert all_mistakes(include) == []
    assert script in read
