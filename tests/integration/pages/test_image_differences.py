"""The page and `bakehouse diff` say the same of two images: vars, also of the form, and scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.events import bake, image
from tests.support.git_repository import GitRepository
from tests.support.manifests import BAKED, MANIFEST
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.history.ledger import Ledger
from bakehouse.history.manifest_store import write_manifest
from bakehouse.pages.history_source import HistorySource
from bakehouse.pages.image_differences import compare

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.pages.answers import Comparison

RECIPE, SCRIPT = "include/recipes/web.yaml", "include/startup_scripts/web/install.sh.j2"
OLD, NEW, OTHER = image(1), image(2), image(3, "api")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two commits of the recipe web, whose bakes were given vars; and an image of api."""
    repository = GitRepository(tmp_path / "project")
    repository.write("airflow_settings.yaml", "")
    commits = []
    for page in ("old", "new"):
        repository.write(
            RECIPE, f"base: debian-cloud/debian-12\nvars: {{page: {page}, port: 80}}\n"
        )
        repository.write(SCRIPT, f"echo {page}\n")
        commits.append(repository.commit())
    url = f"file://{tmp_path}/ledger"
    written = Ledger(url)
    for name, sha, port in ((OLD, commits[0], 81), (NEW, commits[1], 82), (OTHER, commits[1], 83)):
        written.write(bake(name, sha=sha, vars={"port": port}))
        write_manifest(url, BAKED.model_copy(update={"image": name}), MANIFEST)
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", url)
    monkeypatch.setenv(
        "AIRFLOW_CONN_BAKEHOUSE_REPO",
        json.dumps({"conn_type": "git", "host": str(repository.folder)}),
    )
    return url


def on_the_page(ledger: str, new: str) -> Comparison:
    return compare(HistorySource(Ledger(ledger).events).current(), OLD, new)


def test_the_page_and_the_command_say_the_same(ledger: str, tmp_path: Path) -> None:
    command = ["diff", OLD, NEW, "--json", "--ledger", ledger, "--project", f"{tmp_path}/project"]
    told = json.loads(CliRunner().invoke(app, command).stdout)
    shown = on_the_page(ledger, NEW).model_dump(mode="json")
    assert shown["vars"] == told["vars"]
    assert [(one["name"], one["old"], one["new"]) for one in shown["vars"]] == [
        ("page", "old", "new"),
        ("port", "81", "82"),
    ]
    assert shown["scripts"]["text"] == told["scripts"]
    assert "\n-echo old\n+echo new" in told["scripts"]


def test_of_two_recipes_only_the_vars_of_the_forms_are_compared(ledger: str) -> None:
    shown = on_the_page(ledger, OTHER)
    assert shown.scripts is not None
    assert shown.scripts.problem == "they are images of two recipes, web and api"
    assert [(one.name, one.old, one.new) for one in shown.vars] == [("port", "81", "83")]


def test_a_commit_that_is_not_there_is_said(ledger: str) -> None:
    Ledger(ledger).write(bake(image(4), sha="e" * 40))
    shown = on_the_page(ledger, image(4))
    assert shown.scripts is not None
    assert "is not in the repository any more" in shown.scripts.problem
    assert shown.packages_problem
