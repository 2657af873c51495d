from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.integration.local.commands import Loop
from tests.support.connections import commit_all
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOBS = ("fail_install", "fail_check", "unhealthy", "hang")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    shutil.copytree(PROJECT / "include", folder / "include")
    shutil.copyfile(PROJECT / "airflow_settings.yaml", folder / "airflow_settings.yaml")
    recipe = folder / "include/recipes/web.yaml"
    knobs = "".join(f"  instant_{knob}: ''\n" for knob in KNOBS)
    recipe.write_text(recipe.read_text().replace("vars:\n", f"vars:\n{knobs}"))
    commit_all(folder, "A project")
    found = Loop(folder)
    yield found
    done = found("rm", "--all")
    assert done.returncode == 0, done.stderr
