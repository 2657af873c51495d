"""Airflow's own command line, in the environment of the running stack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from bakehouse.cli.app import app, fail, project_folder

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=PASSED_ON, add_help_option=False)
def airflow(context: typer.Context) -> None:
    """Run a command of Airflow, such as `bakehouse airflow dags list`, on the stack of `make up`.

    Without a stack it is the Airflow of this shell's environment.
    """
    from bakehouse.config.running_stack import stack_environment

    program = Path(sys.executable).with_name("airflow")
    if not program.is_file():
        raise fail(f"{program} does not exist: install apache-airflow beside bakehouse", 2)
    stack = stack_environment(project_folder(None))
    if stack is None and not any(name.startswith("AIRFLOW") for name in os.environ):
        raise fail(
            "no Airflow: `make up` starts one here; for another one set AIRFLOW_HOME and the like"
        )
    os.execve(program, [str(program), *context.args], {**os.environ, **(stack or {})})
