"""The pre-commit hooks, ours and those for projects, run commands that exist."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import typer.main
import yaml
from tests.support.paths import PROJECT

from bakehouse.cli import app


def hooks(file: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((PROJECT / file).read_text("utf-8"))
    if isinstance(found, dict):
        assert [repo["repo"] for repo in found["repos"]] == ["local"], "nothing is downloaded"
        found = found["repos"][0]["hooks"]
    assert isinstance(found, list)
    return found


def bakehouse_commands() -> set[str]:
    return set(getattr(typer.main.get_command(app), "commands", {}))


def test_own_hooks_use_the_tools_that_the_setup_installs() -> None:
    required = (PROJECT / "requirements-dev.txt").read_text("utf-8").split()
    for hook in hooks(".pre-commit-config.yaml"):
        program, *arguments = hook["entry"].split()
        assert hook["language"] == "system"
        if program == ".venv/bin/python":
            assert arguments[:2] == ["-m", "bakehouse.cli"]
            assert arguments[2] in bakehouse_commands()
        else:
            assert program.removeprefix(".venv/bin/") in required


def test_hook_for_projects_runs_a_command_of_the_package() -> None:
    (hook,) = hooks(".pre-commit-hooks.yaml")
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    program, command = hook["entry"].split()
    assert hook["id"] == "bakehouse-validate"
    assert scripts[program] == "bakehouse.cli:app"
    assert command in bakehouse_commands()


def test_hook_for_projects_runs_once_for_changes_below_include() -> None:
    (hook,) = hooks(".pre-commit-hooks.yaml")
    assert hook["pass_filenames"] is False
    assert re.search(hook["files"], "include/recipes/web.yaml")
    assert not re.search(hook["files"], "dags/bakehouse_dags.py")
