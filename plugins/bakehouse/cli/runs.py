"""Commands about runs of the running Airflow: start one, read its logs."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder
from bakehouse.cli.output import JsonOption
from bakehouse.cli.values import key_values
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from bakehouse.config.airflow_client import AirflowClient
    from bakehouse.core.run_params import RunParams

ENDED = frozenset({"success", "failed"})
LOOK_EVERY = 3.0  # seconds, of `trigger --wait`
PARSED_WITHIN = 120.0  # seconds


@app.command()
def trigger(
    dag: Annotated[str, typer.Argument(help="such as bake__web, roll_out__web, housekeeping")],
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields of its form, such as force=true"),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="until it has ended; 1 if it failed")
    ] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Start a run of a DAG. Unknown fields and bad values are refused before there is a run."""
    from bakehouse.core.errors import PermanentError

    model = _form_of(dag)
    try:
        conf = _conf(given or [], model)
        model.of_run(conf, conf)
    except (PermanentError, ValueError) as refused:
        raise fail(refused) from None
    with _airflow(project) as airflow:
        _wait_until_known(airflow, dag, project_folder(project))
        run = airflow.trigger(dag, conf)
        if not as_json:
            typer.echo(f"{dag} {run['dag_run_id']}")
        if wait:
            run = _ended(airflow, dag, str(run["dag_run_id"]))
        if as_json:
            _print_json({name: run.get(name) for name in ("dag_id", "dag_run_id", "state", "conf")})
        elif wait:
            typer.echo(f"{run['state']}: `bakehouse logs {run['dag_run_id']}` has the logs")
    if wait and run["state"] != "success":
        raise typer.Exit(1)


@app.command()
def release(
    fleet: Annotated[str, typer.Argument(help="a fleet that a person has rolled back")],
    why: Annotated[list[str] | None, typer.Argument(help="the reason, for the ledger")] = None,
    project: ProjectOption = None,
) -> None:
    """Release a fleet's hold: the image that it was rolled back from may come again.

    It triggers `roll_out__FLEET` with `release`, which changes nothing else, and waits for its end.
    """
    given = ["release=true", *([f"why={' '.join(' '.join(why).split())}"] if why else [])]
    trigger(f"roll_out__{fleet}", given, wait=True, project=project)


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="a run's id, or a DAG's id for its newest run")],
    task: Annotated[str | None, typer.Option("--task", help="only this task")] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Print the logs of a run's tasks, in the order in which the tasks began."""
    with _airflow(project) as airflow:
        found = _run(airflow, run)
        tasks = airflow.tasks(found["dag_id"], found["dag_run_id"])
        if task is not None:
            tasks = [one for one in tasks if one["task_id"] == task] or _no_task(task, tasks)
        for one in tasks:
            if not as_json:
                typer.echo(f"── {_name(one)}: {one['state']}, try {one['try_number']}")
            lines = airflow.log(one)
            for line in lines if as_json else _of_the_task(lines):
                if as_json:
                    _print_line(one, line)
                elif text := str(line.get("event", "")).rstrip():
                    typer.echo(f"{_clock(line.get('timestamp'))}{text}")
    if not as_json:
        typer.echo(f"{found['dag_id']} {found['dag_run_id']}: {found['state']}")


@contextmanager
def _airflow(project: Path | None) -> Generator[AirflowClient]:
    """A client whose errors are one line and exit code 1."""
    from bakehouse.config.airflow_client import AirflowClient, AirflowRefused
    from bakehouse.config.running_stack import NoStack, server_of

    try:
        with AirflowClient(server_of(project_folder(project), os.environ)) as client:
            yield client
    except (NoStack, AirflowRefused) as refused:
        raise fail(refused) from None


_NAMED = frozenset({"bake", "roll_out", "finalise"})  # of a recipe or a fleet


def _form_of(dag: str) -> type[RunParams]:
    from bakehouse.bake.params import BakeParams
    from bakehouse.core.nearest import did_you_mean
    from bakehouse.housekeeping.params import HousekeepingParams, RevokeParams
    from bakehouse.preflight.params import CheckSetupParams
    from bakehouse.rollout.params import FinaliseParams, RolloutParams

    forms: dict[str, type[RunParams]] = {
        "bake": BakeParams,
        "roll_out": RolloutParams,
        "finalise": FinaliseParams,
        "housekeeping": HousekeepingParams,
        "revoke": RevokeParams,
        "check_setup": CheckSetupParams,
    }
    kind = dag.partition("__")[0]
    if kind not in forms:
        names = ", ".join(f"{form}__NAME" if form in _NAMED else form for form in forms)
        raise fail(f"{dag!r} is no DAG of Bakehouse ({names}){did_you_mean(dag, forms)}")
    return forms[kind]


def _conf(given: list[str], model: type[RunParams]) -> dict[str, Any]:
    """KEY=VALUE, each value as YAML has it. Raises ValueError."""
    import yaml

    conf: dict[str, Any] = {}
    keys = f"its keys are {', '.join(model.model_fields)}"
    for key, text in key_values(given, remedy=keys).items():
        try:
            conf[key] = yaml.safe_load(text) if _is_structured(text) else text
        except yaml.YAMLError:
            raise ValueError(
                f"{key} {text!r} is not valid YAML: close its brackets, or quote it"
            ) from None
    return conf


def _is_structured(text: str) -> bool:
    """A list, an object, or a switch. All else is text: 1e3 and 007 may be names of images."""
    return text[:1] in {"[", "{"} or text in {"true", "false", "null"}


def _wait_until_known(airflow: AirflowClient, dag: str, project: Path) -> None:
    """Airflow reads a new file after some seconds: wait for the DAG of one that is there."""
    from bakehouse.core.nearest import did_you_mean

    until = time.monotonic() + PARSED_WITHIN
    while dag not in (known := airflow.dag_ids()):
        if not _has_file(project, dag) or time.monotonic() > until:
            raise fail(f"Airflow has no DAG {dag}{did_you_mean(dag, known)}")
        time.sleep(LOOK_EVERY)


def _has_file(project: Path, dag: str) -> bool:
    kind, _, name = dag.partition("__")
    folder = {"bake": "recipes", "roll_out": "fleets"}.get(kind)
    return folder is not None and (project / INCLUDE / folder / f"{name}.yaml").is_file()


def _ended(airflow: AirflowClient, dag: str, run_id: str) -> dict[str, Any]:
    while (run := airflow.run(dag, run_id))["state"] not in ENDED:
        time.sleep(LOOK_EVERY)
    return run


def _run(airflow: AirflowClient, wanted: str) -> dict[str, Any]:
    from bakehouse.core.nearest import did_you_mean

    known = airflow.dag_ids()
    found = airflow.runs(wanted) if wanted in known else airflow.runs(run_id=wanted)
    if not found:
        what = "has no run yet" if wanted in known else "is neither a run nor a DAG"
        ids = [*known, *(str(run["dag_run_id"]) for run in airflow.runs())]
        raise fail(f"{wanted} {what}{'' if wanted in known else did_you_mean(wanted, ids)}")
    return found[0]


def _no_task(task: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = sorted({str(one["task_id"]) for one in tasks})
    raise fail(f"no task {task} has begun in this run; these have: {', '.join(names) or 'none'}")


def _name(task: dict[str, Any]) -> str:
    index = task["map_index"]
    return f"{task['task_id']}[{index}]" if index >= 0 else str(task["task_id"])


def _of_the_task(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All but the marks that fold the log on Airflow's page, and the file that it is read from.

    Of a group of boot lines one line stays, with their number.
    """
    from bakehouse.cloud.boot_lines import Unfolded

    log = Unfolded()
    for line in lines:
        event = str(line.get("event", ""))
        shown = log.shown(event)
        if shown is not None and (shown != event or line.get("timestamp")):
            yield {**line, "event": shown}


def _clock(timestamp: object) -> str:
    from bakehouse.core.time import parse_timestamp

    return f"{parse_timestamp(timestamp):%H:%M:%SZ}  " if timestamp else ""


def _print_line(task: dict[str, Any], line: dict[str, Any]) -> None:
    _print_json({"task": _name(task), "try": task["try_number"], **line}, indent=None)


def _print_json(value: object, indent: int | None = 2) -> None:
    import json

    typer.echo(json.dumps(value, indent=indent, ensure_ascii=False))
