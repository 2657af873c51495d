"""--help of each command line is answered without what only the commands need."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import typer.main
from typer.core import TyperGroup

PROGRAMS = {
    "bakehouse": "bakehouse.cli",
    "devstack": "devstack.cli",
    "localgce": "localgce.cli",
}
HEAVY = frozenset(
    {
        "airflow",
        "asyncio",
        "concurrent.futures",
        "fsspec",
        "googleapiclient",
        "httpx",
        "importlib.metadata",
        "jinja2",
        "pydantic",
        "requests",
        "rich",
        "sqlalchemy",
        "sqlite3",
        "ssl",
        "yaml",
    }
)
CALL = """
import importlib, io, json, sys
from contextlib import redirect_stdout, suppress

module, lines = sys.argv[1], json.loads(sys.argv[2])
before, app = set(sys.modules), importlib.import_module(module).app
found = {}
for line in lines:
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        app([*line, "--help"])
    found[" ".join(line)] = [shown.getvalue(), sorted(set(sys.modules) - before)]
print(json.dumps(found))
"""


def commands_of(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        below = (*path, name)
        if isinstance(command, TyperGroup):
            found += commands_of(command, below)
        elif command.add_help_option:  # that of `bakehouse airflow` is Airflow's own
            found.append(below)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_of_every_command_imports_nothing_heavy(program: str) -> None:
    module = PROGRAMS[program]
    group = typer.main.get_command(importlib.import_module(module).app)
    assert isinstance(group, TyperGroup)
    lines = commands_of(group)
    assert len(lines) > 4
    done = subprocess.run(
        [sys.executable, "-c", CALL, module, json.dumps(lines)],
        capture_output=True,
        text=True,
        check=True,
        timeout=250,
    )
    for line, (shown, imported) in json.loads(done.stdout).items():
        assert shown.startswith("Usage: "), line
        assert "--help" in shown, line
        assert HEAVY.isdisjoint(imported), f"{program} {line} --help"


def test_each_command_is_listed_with_its_whole_summary() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bakehouse.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    words = " ".join(done.stdout.split())
    assert "Run a command of Airflow, such as `bakehouse airflow dags list`, on the stack" in words
    assert "..." not in done.stdout.partition("Commands:")[2]
