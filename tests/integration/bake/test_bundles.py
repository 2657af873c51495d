"""A bake reads git twice, for the commit and for its plan; what follows takes the stored bundle."""

from __future__ import annotations

import json
import logging
import os
import urllib.parse
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.recipe.test_remote import recorded_git, transfers

from bakehouse.core.errors import PermanentError
from bakehouse.history.location import ledger_url

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

RUNS = count(1)


@pytest.fixture
def git(compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # ruff: ignore[unused-function-argument]  requested for its effect
    """The commands that were started; the repository is a remote one."""
    connection = json.loads(os.environ["AIRFLOW_CONN_BAKEHOUSE_REPO"])
    connection["host"] = f"file://{connection['host']}"
    monkeypatch.setenv("AIRFLOW_CONN_BAKEHOUSE_REPO", json.dumps(connection))
    return recorded_git(tmp_path, monkeypatch)


def walk(page: str) -> Walk:
    return Walk("loaf", f"manual__bundle_{next(RUNS)}", vars={"page": page}, force=True)


def bundle_of(run: Walk) -> Path:
    ledger = Path(urllib.parse.urlparse(ledger_url()).path)
    return ledger / f"bundles/loaf/{run.handed['plan_bake']['content_key']}.json"


def test_a_whole_bake_fetches_twice_and_only_before_its_first_machine(git: Path) -> None:
    run = walk("once")
    run.try_("resolve_commit")
    assert len(transfers(git)) == 1
    run.try_("plan_bake")
    assert len(transfers(git)) == 2
    git.write_text("")
    run.through("promote_image", "need_bake")
    run.tear_down()
    assert git.read_text() == "", "not one git process"


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_a_plan_that_bakes_nothing_stores_nothing() -> None:
    walk("there already").through("promote_image")
    again = Walk("loaf", f"manual__bundle_{next(RUNS)}", vars={"page": "there already"})
    again.through("plan_bake")
    bundle_of(again).unlink()  # that of the first bake
    again.try_("plan_bake")
    assert again.handed["plan_bake"]["bake"] is False
    assert not bundle_of(again).exists()


@pytest.mark.long
def test_a_bundle_that_is_gone_is_made_again_from_the_commit(
    git: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = walk("gone")
    run.through("need_bake")
    before = bundle_of(run).read_bytes()
    bundle_of(run).unlink()
    git.write_text("")
    with caplog.at_level(logging.WARNING):
        run.try_("create_builder")
    assert "did not exist any more and was rendered again from" in caplog.text
    assert bundle_of(run).read_bytes() == before
    assert len(transfers(git)) == 1
    run.through("promote_image", "wait_for_shutdown")
    run.tear_down()


@pytest.mark.usefixtures("compute")
def test_a_damaged_bundle_ends_the_task_and_a_new_plan_mends_it() -> None:
    run = walk("damaged")
    run.through("need_bake")
    bundle_of(run).write_text("{}")
    with pytest.raises(PermanentError, match="clear plan_bake and downstream"):
        run.try_("create_builder")
    run.clear("plan_bake", "need_bake", "create_builder")
    run.through("create_builder", "plan_bake")
    run.tear_down()


@pytest.mark.usefixtures("compute")
def test_a_bundle_of_other_scripts_under_this_name_is_refused() -> None:
    run, other = walk("this"), walk("other")
    run.through("need_bake")
    other.through("plan_bake")
    bundle_of(run).write_bytes(bundle_of(other).read_bytes())
    with pytest.raises(PermanentError, match=r"has the key .*clear plan_bake and downstream"):
        run.try_("create_builder")
    run.tear_down()


@pytest.mark.usefixtures("compute")
def test_a_commit_that_renders_to_other_content_now_is_not_baked() -> None:
    run = walk("another version")
    run.through("need_bake")
    bundle_of(run).unlink()
    run.handed["plan_bake"]["vars"] = {"page": "as another version would render it"}
    with pytest.raises(PermanentError, match=r"has content key .*clear plan_bake"):
        run.try_("create_builder")
    run.tear_down()
