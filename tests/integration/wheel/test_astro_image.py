"""The image that Astro builds: exactly its files, and every DAG of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from pathspec import PathSpec
from tests.support.paths import PROJECT

from .conftest import git
from .test_wheel import DAGS, airflow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .conftest import Installed

pytestmark = pytest.mark.timeout(300)

OURS = {
    *("bake__jre", "bake__kafka", "bake__web", "roll_out__kafka", "roll_out__web"),
    *("finalise__kafka", "check_setup", "housekeeping", "revoke"),
}


def image_files(project: Path, names: Iterable[str]) -> list[str]:
    """What `COPY . .` of the runtime's ONBUILD takes, by .dockerignore.

    Its patterns begin at the top of the project, as those of .gitignore with a slash in front do.
    """
    lines = (project / ".dockerignore").read_text().splitlines()
    patterns = [f"/{line}" for line in lines if line and not line.startswith(("#", "!"))]
    assert not any(line.startswith("!") for line in lines)
    ignored = PathSpec.from_lines("gitignore", patterns)
    return [name for name in names if not ignored.match_file(name)]


def lay_out(project: Path, image: Path, names: Iterable[str]) -> None:
    for name in image_files(project, names):
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, image / name)


def instructions(dockerfile: Path) -> list[str]:
    lines = dockerfile.read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def test_the_image_of_this_repository_has_every_dag(
    dependencies: Installed, tmp_path: Path
) -> None:
    assert instructions(PROJECT / "Dockerfile") == ["FROM"], "only its ONBUILD copies"
    tracked = git("ls-files", "-z").split("\0")
    lay_out(PROJECT, tmp_path / "image", filter(None, tracked))
    left = {path.name for path in (tmp_path / "image").iterdir()}
    assert left & {"tests", "devstack", "localgce", "docs", ".venv"} == set()
    found = airflow(dependencies, tmp_path / "image")
    assert found["package"].startswith(str(tmp_path / "image/plugins"))
    assert (set(found["dags"]), found["import_errors"]) == (OURS, {})
    assert found["plugins"].count("bakehouse") == 1
    assert found["plugin_errors"] == {}


@pytest.mark.long
def test_the_image_of_a_new_project_has_every_dag(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    assert instructions(project / "Dockerfile") == ["FROM"]
    (project / ".venv").mkdir()
    (project / ".venv/pyvenv.cfg").write_text("home = /usr\n")
    names = [str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()]
    lay_out(project, tmp_path / "image", names)
    assert not (tmp_path / "image/.venv").exists()
    found = airflow(installed, tmp_path / "image")
    assert (found["dags"], found["import_errors"]) == (DAGS, {})
