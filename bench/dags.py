"""`make bench-dags`: each figure as one line of JSON, `{"name", "value", "unit", "goal"}`.

- `dags_parse_seconds`, for 10, 100, 500 and 5,000 recipes (`recipes` says which): the processor
  time that a fresh process takes, once it has imported Airflow, until DagBag has the DAGs of
  dags/bake.py: the modules that the file imports, YAML, pydantic, operators, forms. The DAG
  processor pays this for every look at it. Not in it, each a figure of its own: Airflow's import
  (`airflow_import_seconds`), and turning the DAGs into what the processor stores
  (`dags_serialize_seconds`).
- `dags_parse_growth`: seconds per recipe with 500 over with 10, of a second parse in the same
  process: imports are paid once, and would make anything look as if it grew less.
- `dags_parse_growth_of_5000`: the same, with 5,000 over with 500.
- `task_parse_growth`: the processor time in which a worker gets the DAG of its task, with 500
  recipes over with 10, which `task_parse_seconds` has.
- `dags_memory_megabytes`: what parsing and serializing adds to a process.
- `run_over_task_time`: a plain bake on the instant stack, a real Airflow: from its trigger until
  the run has succeeded, over the sum of its tasks' own times, waits included. The SLA watcher is as
  long as the run and is left out; what runs at the same time counts once for each.

The recipes are `web`'s own with other names, vars and schedules. Each parse figure is the least of
three processes (5,000: of one): another program on the machine can only add to one. Airflow's limit
of `dagbag_import_timeout`, which is of the wall clock, is off. Names given as arguments select
figures. A figure that cannot be measured says why as `error`, and the others follow. Ends with 1
when one misses its goal or has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from devstack.testbed import testbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).resolve().parent.parent
PARSE = Path(__file__).parent / "parse.py"
SIZES = (10, 100, 500)
MANY = 5_000
SECONDS_OF_500 = 3.0
GROWTH = 1.1
TRIES = 3
RUN_DEADLINE = 300.0  # seconds

Line = dict[str, Any]


def dags_parse_seconds() -> Iterator[Line]:
    """Imports and DAGs; a goal stands for 500."""
    for size in (*SIZES, MANY):
        took = parse(size)
        goal = SECONDS_OF_500 if size == 500 else None
        yield line("s", took["parse"], goal, recipes=size)


def dags_parse_growth() -> Iterator[Line]:
    """Of a recipe among 500 over one among 10."""
    few, many = parse(10), parse(500)
    yield line("ratio", (many["again"] / 500) / (few["again"] / 10), GROWTH)


def dags_parse_growth_of_5000() -> Iterator[Line]:
    """Of a recipe among 5,000 over one among 500."""
    few, many = parse(500), parse(MANY)
    yield line("ratio", (many["again"] / MANY) / (few["again"] / 500), GROWTH)


def task_parse_seconds() -> Iterator[Line]:
    """What each start of a task pays, beside imports."""
    for size in (*SIZES, MANY):
        yield line("s", parse(size)["task"], recipes=size)


def task_parse_growth() -> Iterator[Line]:
    """The number of recipes should not count."""
    yield line("ratio", parse(500)["task"] / parse(10)["task"])


def dags_memory_megabytes() -> Iterator[Line]:
    """Of the process that the DAG processor forks for the file."""
    for size in (*SIZES, MANY):
        yield line("MB", parse(size)["megabytes"], recipes=size)


def dags_serialize_seconds() -> Iterator[Line]:
    """What the processor pays after the parse."""
    for size in SIZES:
        yield line("s", parse(size)["serialize"], recipes=size)


def airflow_import_seconds() -> Iterator[Line]:
    """What it pays before, once in its life."""
    yield line("s", min(parse(size)["airflow"] for size in SIZES))


def run_over_task_time() -> Iterator[Line]:
    """One bake without a rollout; the first of the stack, so nothing is warm."""
    with (
        TemporaryDirectory(prefix="bench-dags-") as folder,
        redirect_stdout(sys.stderr),
        testbed(PROJECT, Path(folder), "instant") as bed,
    ):
        begun = time.time()
        run_id = bed.airflow.trigger("bake__web", {"roll_out": False})
        run = bed.airflow.wait("bake__web", run_id, RUN_DEADLINE)
        if run.state != "success" or run.end is None:
            raise SystemExit(f"{run_id} ended {run.state}")
        tasks = bed.airflow.tasks("bake__web", run_id)
        own = sum(task.seconds or 0.0 for task in tasks if task.task_id != "sla_watch")
    yield line("ratio", (run.end.timestamp() - begun) / own)


FIGURES: dict[str, Callable[[], Iterator[Line]]] = {
    figure.__name__: figure
    for figure in (
        dags_parse_seconds,
        dags_parse_growth,
        dags_parse_growth_of_5000,
        task_parse_seconds,
        task_parse_growth,
        dags_memory_megabytes,
        dags_serialize_seconds,
        airflow_import_seconds,
        run_over_task_time,
    )
}


def line(unit: str, value: float, goal: float | None = None, **more: Any) -> Line:
    """A figure without its name; `goal` is the most that it may be."""
    return {**more, "value": round(value, 3), "unit": unit, "goal": goal and f"<= {goal:g}"}


@cache
def parse(recipes: int) -> dict[str, float]:
    """What bench/parse.py says of a project with so many recipes: the least of each of TRIES."""
    with TemporaryDirectory(prefix="bench-dags-") as folder:
        project = Path(folder) / "project"
        make_project(project, recipes)
        found = [parse_once(project) for _ in range(1 if recipes == MANY else TRIES)]
    if {one["number"] for one in found} != {recipes}:
        raise SystemExit(f"{found[0]['number']} DAGs of {recipes} recipes")
    return {name: min(one[name] for one in found) for name in found[0]}


def make_project(project: Path, recipes: int) -> None:
    """This one's dags/ and fleets, with recipes like `web`, of which the fleet runs the first."""
    shutil.copytree(PROJECT / "dags", project / "dags")
    include = project / "include"
    shutil.copytree(PROJECT / "include" / "fleets", include / "fleets")
    for fleet in (include / "fleets").glob("*.yaml"):
        text = fleet.read_text(encoding="utf-8")
        fleet.write_text(text.replace("recipe: web", "recipe: web-0"), encoding="utf-8")
    (include / "recipes").mkdir()
    web = (PROJECT / "include" / "recipes" / "web.yaml").read_text(encoding="utf-8")
    for number in range(recipes):
        text = web.replace("Baked by", f"{number}, baked by")
        text = text.replace("0 3 * * *", f"{number % 60} {number % 24} * * *")
        (include / "recipes" / f"web-{number}.yaml").write_text(text, encoding="utf-8")


def parse_once(project: Path) -> dict[str, float]:
    """In a fresh interpreter, with an empty AIRFLOW_HOME and this tree's plugins."""
    plugins = str(PROJECT / "plugins")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(project / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
        "AIRFLOW__CORE__PLUGINS_FOLDER": plugins,
        "PYTHONPATH": plugins,
    }
    command = [sys.executable, str(PARSE), str(project / "dags" / "bake.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return took


def main(names: list[str]) -> int:
    """Measure; the exit status."""
    status = 0
    for name in names or FIGURES:
        try:
            for figure in FIGURES[name]():
                print(json.dumps({"name": name, **figure}), flush=True)
                most = figure["goal"]
                status = status or int(most is not None and figure["value"] > float(most[3:]))
        except (Exception, SystemExit) as failed:  # the others follow
            print(json.dumps({"name": name, "error": str(failed)}), flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
