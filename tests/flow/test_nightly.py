"""Every night, on a click and for the past, on a real scheduler."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON
from tests.support.ledger import dates_by_image, read_ledger
from tests.support.nights import HOUR, NIGHTLY

from bakehouse.schedule.jitter import offset_of
from devstack.airflow_api import Airflow, AirflowError
from devstack.waiting import wait_until

from .backfill import backfill, going_on

if TYPE_CHECKING:
    from devstack.testbed import Testbed

DAG = "bake__past"
DAYS = ("2026-11-12", "2026-11-13")
RECIPE = "include/recipes/past.yaml"
TEXT = """base: debian-cloud/debian-12
scripts: web
vars: {{page: {page}}}
smoke: {{metadata: {{greeting: hello}}}}
schedule: "{cron}"
jitter: {jitter}
snapshot: debian
"""


def recipe_text(page: str, cron: str = NIGHTLY, jitter: str = "20m") -> str:
    """A recipe with nights."""
    return TEXT.format(page=page, cron=cron, jitter=jitter)


@pytest.fixture(scope="module")
def past(stack_of_session: Testbed) -> Testbed:
    """The recipe `past`, and a branch `past` with a commit of the 10th and one of the 12th."""
    bed = stack_of_session
    bed.add_recipe("past", {RECIPE: recipe_text("today")})
    first = commit_of(bed, "first", datetime(2026, 11, 10, 12, tzinfo=UTC))
    second = commit_of(bed, "second", datetime(2026, 11, 12, 12, tzinfo=UTC), first)
    git(bed, "branch", "past", second)
    bed.write(RECIPE, recipe_text("today"))
    git(bed, "add", RECIPE)
    return bed


@pytest.fixture
def bed(bed: Testbed, past: Testbed) -> Testbed:  # ruff: ignore[unused-function-argument]  requested for its effect
    return bed


@pytest.mark.ci
def test_a_night_is_due_later_by_the_recipes_own_offset_and_none_is_caught_up_with(
    bed: Testbed,
) -> None:
    told = bed.airflow.call("GET", f"/dags/{DAG}")
    due = datetime.fromisoformat(told["next_dagrun_run_after"])
    night = datetime.fromisoformat(told["next_dagrun_data_interval_end"])
    assert due - night == offset_of("past", timedelta(minutes=20)) > timedelta(0)
    assert (night.hour, night.minute) == (HOUR, 0)
    assert due > datetime.now(UTC) - timedelta(minutes=2)
    assert bed.airflow.runs(DAG) == []


@pytest.mark.ci
def test_a_night_that_comes_is_baked_once_by_the_commit_of_its_time(bed: Testbed) -> None:
    """Every minute is its night, so that nobody has to wait for one."""
    text = recipe_text("tonight", "* * * * *", "5s")
    sha = bed.add_recipe("tonight", {"include/recipes/tonight.yaml": text})
    dag, found = "bake__tonight", dict[str, Any]()

    def baked() -> bool:
        runs = bed.airflow.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
        assert sum(run["state"] == "running" for run in runs) <= 1
        found.update(next((run for run in runs if run["state"] == "success"), {}))
        return bool(found)

    wait_until(baked, RUN, "a night to come and to be baked", every=1.0)
    wait_until(lambda: paused_at_rest(bed.airflow, dag), SOON, "a moment between two nights")
    assert found["run_type"] == "scheduled"
    due, night = (datetime.fromisoformat(found[k]) for k in ("run_after", "data_interval_end"))
    assert (night.second, due - night) == (0, offset_of("tonight", timedelta(seconds=5)))
    plan = bed.airflow.xcom(dag, found["dag_run_id"], "plan_bake")
    assert (plan["commit"]["sha"], plan["snapshot"]) == (sha, None)
    assert bed.compute.newest_of("tonight")["labels"]["git-ref"] == "head"
    assert bed.left() == []


def paused_at_rest(airflow: Airflow, dag: str) -> bool:
    """Pause the DAG unless a run of it is under way: nobody would finish that one."""
    airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": True})
    runs = airflow.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
    if all(run["state"] in {"success", "failed"} for run in runs):
        return True
    airflow.unpause(dag)
    return False


@pytest.mark.ci
@pytest.mark.parametrize(
    "answers",
    [
        {"git_ref": "a b"},
        {"zone": "mars-north1-a"},
        {"spot": "perhaps"},
        {"snapshot_date": "yesterday"},
        {"keep_builder": "yes"},
        {"vars": {"pgae": "x"}},
    ],
)
def test_a_bad_value_in_the_form_is_refused_before_there_is_a_run(
    bed: Testbed, answers: dict[str, Any]
) -> None:
    before = bed.airflow.runs(DAG)
    with pytest.raises(AirflowError, match=f"400 .*{next(iter(answers))}"):
        bed.airflow.trigger(DAG, answers)
    assert bed.airflow.runs(DAG) == before


@pytest.mark.ci
def test_a_backfill_rebuilds_the_history_once(bed: Testbed) -> None:
    """Two nights, both at once, each with its commit and its packages."""
    newest = {i["name"] for i in bed.compute.images() if "family" in i}
    nights: dict[str, Any] = {"max_active_runs": 2, "dag_run_conf": {"git_ref": "past"}}
    backfill(bed.airflow, DAG, *DAYS, **nights)
    runs = finished(bed.airflow, 2)
    assert {run["state"] for run in runs} == {"success"}, runs
    plans = [bed.airflow.xcom(DAG, run["dag_run_id"], "plan_bake") for run in runs]
    assert [p["commit"]["subject"] for p in plans] == ["first", "second"]
    assert [p["snapshot"] for p in plans] == [f"202611{day}T000000Z" for day in (12, 13)]
    assert only_backfilled(bed, DAG) == 2
    images = history(bed)
    assert sorted(i["name"] for i in images) == sorted(p["image_name"] for p in plans)
    assert {i["labels"]["bakehouse-state"] for i in images} == {"history"}
    assert {i["name"] for i in bed.compute.images() if "family" in i} == newest
    for run in runs:
        states = bed.airflow.states(DAG, run["dag_run_id"])
        assert states["publish_image"] == "skipped"
    covered = dates_by_image(read_ledger(bed.stack.layout.airflow_home / "ledger"))
    assert sorted(str(d) for i in images for d in covered[i["name"]]) == [
        "2026-11-12",
        "2026-11-13",
    ]
    bed.compute.forget()
    backfill(bed.airflow, DAG, *DAYS, **nights, reprocess_behavior="completed")
    again = finished(bed.airflow, 2)
    assert {run["state"] for run in again} == {"success"}, again
    assert history(bed) == images, "twice changes nothing"
    told = bed.compute.requests()
    asked = told["requests"] if isinstance(told, dict) else told
    assert not [r["method"] for r in asked if r["method"].endswith(".insert")]
    assert bed.left() == []


def only_backfilled(bed: Testbed, dag_id: str) -> int:
    """The number of runs, once Airflow has counted them in: all are the backfill's, and no more."""
    parsed = bed.airflow.call("GET", f"/dags/{dag_id}")["last_parsed_time"]
    bed.parse_until(
        dag_id,
        lambda: bed.airflow.call("GET", f"/dags/{dag_id}")["last_parsed_time"] > parsed,
        "the DAG to be parsed again",
    )
    told = bed.airflow.call("GET", f"/dags/{dag_id}")
    assert datetime.fromisoformat(told["next_dagrun_run_after"]) > datetime.now(UTC)
    runs = bed.airflow.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 50})["dag_runs"]
    assert {run["run_type"] for run in runs} == {"backfill"}, runs
    return len(runs)


@pytest.mark.parametrize("layered", [False, True])
def test_a_backfill_starts_nothing_but_its_dates(bed: Testbed, layered: bool) -> None:
    """Of a recipe that has never run on schedule, with a fleet that is rolled out with each bake.

    Backwards, the last date in the future, one again, and while the DAG is paused.
    """
    name = "upper" if layered else "lonely"
    recipe = recipe_text(name).replace(
        "base: debian-cloud/debian-12",
        "base: {recipe: past}" if layered else "base: debian-cloud/debian-12",
    )
    fleet = f"recipe: {name}\nmembers: {{instances: [{name}-1], zones: [us-central1-a]}}\n"
    fleet += f"rollout: {'follow' if layered else 'with_bake'}\n"
    bed.write(f"include/fleets/{name}.yaml", fleet)
    bed.add_recipe(name, {f"include/recipes/{name}.yaml": recipe.replace("snapshot: debian\n", "")})
    dag, fleets = f"bake__{name}", f"roll_out__{name}"
    bed.parse_until("roll_out__web", lambda: fleets in bed.airflow.dags(), fleets)
    first, last = (datetime.now(UTC) + timedelta(days=number) for number in (-2, 1))
    dates = (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}")
    asked: dict[str, Any] = {"run_backwards": True, "max_active_runs": 2}
    asked["dag_run_conf"] = {"git_ref": bed.head}
    backfill(bed.airflow, dag, *dates, **asked)
    wait_until(lambda: all_ended(bed, dag), RUN, "the backfill to end", every=1.0)
    count = only_backfilled(bed, dag)
    assert count in {2, 3}, "as many nights as have been, none of the future"
    for run_id in bed.airflow.runs(dag):
        states = bed.airflow.states(dag, run_id)
        moved = {task: state for task, state in states.items() if task.startswith("replace_inst")}
        assert set(moved.values()) == (set() if layered else {"skipped"}), moved
    bed.airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": True})
    wait_until(lambda: not going_on(bed.airflow, dag), SOON, "the backfill to be over")
    body = {
        "dag_id": dag,
        "from_date": f"{dates[0]}T00:00:00Z",
        "to_date": f"{dates[0]}T23:00:00Z",
        "reprocess_behavior": "completed",
        "dag_run_conf": asked["dag_run_conf"],
    }
    bed.airflow.call("POST", "/backfills", json=body)
    assert only_backfilled(bed, dag) >= count
    bed.airflow.unpause(dag)
    wait_until(lambda: all_ended(bed, dag), RUN, "the second backfill to end", every=1.0)
    assert only_backfilled(bed, dag) >= count
    assert bed.airflow.runs(fleets) == []
    assert bed.left() == []


def all_ended(bed: Testbed, dag: str) -> bool:
    runs = bed.airflow.call("GET", f"/dags/{dag}/dagRuns", params={"limit": 50})["dag_runs"]
    return bool(runs) and all(run["state"] in {"success", "failed"} for run in runs)


def test_a_manual_run_before_the_first_night_starts_nothing_else(bed: Testbed) -> None:
    bed.add_recipe("early", {"include/recipes/early.yaml": recipe_text("early")})
    run = bed.bake("bake__early")
    assert run.state == "success", bed.explain(run)
    told = bed.airflow.call("GET", "/dags/bake__early")
    assert datetime.fromisoformat(told["next_dagrun_run_after"]) > datetime.now(UTC)
    assert bed.airflow.runs("bake__early") == [run.run_id]


def finished(airflow: Airflow, count: int) -> list[dict[str, Any]]:
    """The runs of the backfill, by their nights, once all of them have ended."""
    found: list[dict[str, Any]] = []

    def over() -> bool:
        path = f"/dags/{DAG}/dagRuns"
        runs = airflow.call("GET", path, params={"order_by": "logical_date", "limit": 50})
        found[:] = [r for r in runs["dag_runs"] if r["run_type"] == "backfill"]
        ended = [r for r in found if r["state"] in {"success", "failed"}]
        return len(found) == count == len(ended)

    wait_until(over, RUN, "the runs of the backfill to end", every=1.0)
    return found


def history(bed: Testbed) -> list[dict[str, Any]]:
    """Images of the recipe that stand for the past."""
    return [
        i for i in bed.compute.images() if i.get("labels", {}).get("bakehouse-recipe") == "past"
    ]


def commit_of(bed: Testbed, page: str, when: datetime, parent: str = "") -> str:
    """A commit of the tree as it is, with another page, made at that time; on no branch."""
    bed.write(RECIPE, recipe_text(page))
    git(bed, "add", RECIPE)
    tree = git(bed, "write-tree")
    parents = ["-p", parent] if parent else []
    return git(bed, "commit-tree", tree, *parents, "-m", page, at=when)


def git(bed: Testbed, *arguments: str, at: datetime | None = None) -> str:
    who = {"NAME": "Tester", "EMAIL": "tester@example.com"}
    if at:
        who["DATE"] = at.isoformat()
    env = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
    done = subprocess.run(
        ["git", "-c", f"safe.directory={bed.project}", "-C", str(bed.project), *arguments],
        env={**os.environ, **env},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
