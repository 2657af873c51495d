"""From `pip install bakehouse` and `bakehouse init` to a promoted image, without a checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from tests.support.paths import PROJECT

from bakehouse.recipe.guest_scripts import guest_scripts
from devstack.gce_api import Compute
from devstack.serving import GCE_PROJECT, serving
from devstack.testbed import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Installed

pytestmark = pytest.mark.timeout(300)

PLUGINS = PROJECT / "plugins"
IN_PROCESS = Path(__file__).with_name("in_process.py")
GIT_BUNDLE = Path(__file__).with_name("git_bundle.py")
DAGS = ["bake__web", "check_setup", "housekeeping", "revoke", "roll_out__web"]


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[tuple[Compute, str]]:
    """A localgce with instant machines, and its URL."""
    with serving(tmp_path) as url:
        client = Compute(url, GCE_PROJECT)
        yield client, url
        client.close()


def airflow(installed: Installed, project: Path, *dag_id: str, **settings: str) -> Any:
    """What in_process.py says of the project; a DAG id is run. The settings are variables."""
    home = installed.folder / "airflow"
    answer = project.parent / "answer.json"
    done = installed.run(
        "python",
        IN_PROCESS,
        project / "dags",
        answer,
        *dag_id,
        check=False,
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(project / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(project / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db?timeout=60",
        AIRFLOW__BAKEHOUSE__FIRST_LOOK="0",
        AIRFLOW_VAR_BAKEHOUSE_LEDGER=f"file://{project.parent}/ledger",
        **settings,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(answer.read_text())


def bake(installed: Installed, project: Path, url: str, host: str, **settings: str) -> Any:
    google = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
    google |= {"poll_interval": 0.2, "reads_per_minute": 60000}
    return airflow(
        installed,
        project,
        "bake__web",
        AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT=json.dumps(
            {"conn_type": "google_cloud_platform", "extra": google}
        ),
        AIRFLOW_CONN_BAKEHOUSE_REPO=json.dumps({"conn_type": "git", "host": host}),
        **settings,
    )


def commit_all(project: Path) -> str:
    """Commit everything in a folder -> the commit."""
    command = ["git", "-C", str(project), "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*command, *arguments], check=True)
    return git(project, "rev-parse", "HEAD").strip()


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(installed: Installed) -> None:
    assert installed.wheel is not None
    names = ZipFile(installed.wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bakehouse"}
    assert sum(name.startswith("bakehouse/guest/") for name in names) == len(guest_scripts())
    assert "bakehouse/init_template/gitignore" in names
    assert "bakehouse/cloud/permissions.yaml" in names
    files = [file for file in (PLUGINS / "bakehouse/cookbook").rglob("*") if file.is_file()]
    in_tree = {str(file.relative_to(PLUGINS)) for file in files if file.suffix != ".pyc"}
    assert {name for name in names if name.startswith("bakehouse/cookbook/")} == in_tree
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_new_project_is_valid_and_a_folder_with_files_is_refused(
    installed: Installed, project: Path
) -> None:
    valid = installed.run("bakehouse", "validate", "--project", project)
    assert valid.stdout == "1 recipes: web\n1 fleets: web\n"
    refused = installed.run("bakehouse", "init", project, check=False)
    assert refused.returncode == 1
    assert refused.stderr == f"{project} is not an empty folder: choose another one\n"


@pytest.mark.long
def test_airflow_has_the_plugin_and_every_dag_of_a_new_project(
    installed: Installed, project: Path
) -> None:
    found = airflow(installed, project)
    assert found["package"].startswith(str(installed.folder))
    assert (found["dags"], found["import_errors"]) == (DAGS, {})
    assert found["plugins"].count("bakehouse") == 1
    assert found["plugin_errors"] == {}


@pytest.mark.long
def test_a_new_project_bakes(
    installed: Installed, project: Path, compute: tuple[Compute, str]
) -> None:
    client, url = compute
    commit_all(project)
    found = bake(installed, project, url, host=".")
    assert found["state"] == "success", found
    assert [image["family"] for image in client.images()] == ["web"]


@pytest.mark.long
def test_include_may_lie_anywhere_in_the_repository(
    installed: Installed, project: Path, compute: tuple[Compute, str]
) -> None:
    client, url = compute
    (project / "platform").mkdir()
    shutil.move(project / "include", project / "platform" / "include")
    for file in (project / "dags").glob("*.py"):
        file.write_text(file.read_text().replace('/ "include"', '/ "platform" / "include"'))
    commit_all(project)
    found = bake(installed, project, url, host="platform")
    assert (found["state"], found["import_errors"]) == ("success", {}), found
    assert [image["family"] for image in client.images()] == ["web"]


@pytest.mark.long
def test_include_may_lie_below_dags_with_airflows_own_timetables(
    installed: Installed, project: Path, compute: tuple[Compute, str]
) -> None:
    """As on a managed Airflow, which maps `dags/` and loads no timetable of a plugin."""
    client, url = compute
    shutil.move(project / "include", project / "dags" / "include")
    for file in (project / "dags").glob("*.py"):
        file.write_text(file.read_text().replace("parent.parent", "parent"))
    with (project / "dags/include/recipes/web.yaml").open("a") as recipe:
        recipe.write("schedule: 0 3 * * *\n")
    commit_all(project)
    found = bake(installed, project, url, host="dags", AIRFLOW__BAKEHOUSE__TIMETABLE="builtin")
    assert (found["state"], found["import_errors"]) == ("success", {}), found
    assert [image["family"] for image in client.images()] == ["web"]


@pytest.mark.long
def test_a_run_of_the_commit_before_bakes_from_its_git_bundle(
    installed: Installed, project: Path, compute: tuple[Compute, str], tmp_path: Path
) -> None:
    """The DAG is that of its commit; recipe and scripts are those that the bake itself finds."""
    client, url = compute
    repository = tmp_path / "repository"
    for name in ("dags", "include"):
        shutil.copytree(project / name, repository / "images" / name)
    before = commit_all(repository)
    recipes = repository / "images/include/recipes"
    (recipes / "api.yaml").write_text((recipes / "web.yaml").read_text() + "scripts: web\n")
    newest = commit_all(repository)
    branch = git(repository, "rev-parse", "--abbrev-ref", "HEAD").strip()
    given = (str(repository), branch, "images/dags", before)
    checked_out = installed.run(
        "python",
        GIT_BUNDLE,
        *given,
        AIRFLOW_HOME=str(installed.folder / "airflow"),
        # else below /tmp, and shared by whoever has a bundle of this name
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH=str(tmp_path / "bundles"),
    )
    dags = Path(checked_out.stdout.splitlines()[-1])
    assert dags.parts[-2:] == ("images", "dags")
    assert before in dags.parts
    found = bake(installed, dags.parent, url, host=f"{repository}/images")
    assert (found["state"], found["dags"]) == ("success", DAGS), found
    (image,) = client.images()
    assert image["labels"]["git-sha"] == newest != before
