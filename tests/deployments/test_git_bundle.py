"""DAGs from a git repository, as the official Helm chart runs them: GitDagBundle with `subdir`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.connections import commit_all
from tests.support.deadlines import RUN, SOON

from devstack.airflow_api import AirflowError
from devstack.testbed import git
from devstack.waiting import wait_until

from .conftest import connect, deployed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.wheel.conftest import Installed

    from devstack.airflow_api import Airflow

BUNDLE = "airflow.providers.git.bundles.git.GitDagBundle"
NEW = "description: The shape of the DAG is another one\nretries: {label_image: 9}\n"


def test_a_run_stays_at_its_commit_while_the_next_one_arrives(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (project / "include/fleets/web.yaml").unlink()
    # the repository of a team: the project is a folder in it
    (repository / "images").mkdir(parents=True)
    for name in ("dags", "include"):
        (project / name).rename(repository / "images" / name)
    connect(project, f"{repository}/images")
    (project / "dags").mkdir()
    commit_all(repository, "first")
    first = head(repository)
    bundle = {
        "name": "images",
        "classpath": BUNDLE,
        "kwargs": {
            "repo_url": str(repository),
            "tracking_ref": branch(repository),
            "subdir": "images/dags",
            "refresh_interval": 5,
        },
    }
    with deployed(
        installed,
        project,
        tmp_path / "state",
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
        # else below /tmp, and shared by whoever has a bundle of this name
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH=str(tmp_path / "bundles"),
    ) as up:
        up.airflow.wait_for_dag("bake__web", deadline=SOON)
        run = up.airflow.trigger("bake__web")
        try:
            up.airflow.wait_for_task("bake__web", run, "create_builder", ["success"], RUN)
        except AirflowError as over:
            raise AssertionError(up.airflow.explain("bake__web", run)) from over
        recipe = repository / "images/include/recipes/web.yaml"
        recipe.write_text(recipe.read_text().replace("description: A web server\n", NEW))
        commit_all(repository, "second")
        second = head(repository)
        wait_until(lambda: version_of_dag(up.airflow) == second, SOON, "the second commit")
        ended = up.airflow.wait("bake__web", run, RUN)
        assert ended.state == "success", up.airflow.explain("bake__web", run)
        assert version_of_run(up.airflow, run) == first
        (image,) = up.compute.images()
        assert image["labels"]["git-sha"] == first
        up.airflow.clear("bake__web", run, ["label_image"])
        again = up.airflow.wait("bake__web", run, RUN)
        assert again.state == "success", up.airflow.explain("bake__web", run)
        assert version_of_run(up.airflow, run) == first, "a cleared run stays at its commit too"


def version_of_dag(airflow: Airflow) -> str:
    """The commit that the DAG was parsed at last."""
    return str(airflow.call("GET", "/dags/bake__web/details")["bundle_version"])


def version_of_run(airflow: Airflow, run: str) -> str:
    """The commit that the run is pinned to."""
    return str(airflow.call("GET", f"/dags/bake__web/dagRuns/{run}")["bundle_version"])


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD").strip()


def branch(repository: Path) -> str:
    return git(repository, "rev-parse", "--abbrev-ref", "HEAD").strip()
