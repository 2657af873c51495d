"""Packages as of a day: what apt is given while the recipe installs, and what the image keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakehouse.recipe.model import Recipe
from bakehouse.recipe.render import RenderError, builder_metadata, render

from .conftest import COMMIT, NONCE, Machine, facts, recipe_files

DAY = "20261120T000000Z"
ARCHIVE = "http://127.0.0.1:9/archive"
LIST = "etc/apt/sources.list.d/bakehouse-snapshot.list"
SEEN = "seen"  # what lay in the sources while the recipe was installing


def bake(
    machine: Machine,
    snapshot: str | None,
    more: dict[str, str] | None = None,
    *,
    keep_lists: bool = False,
) -> None:
    install = (
        "#!/bin/bash\nset -e\ncd $BAKEHOUSE_ROOT\n"
        f"(ls etc/apt/sources.list etc/apt/sources.list.d; cat {LIST}) >{SEEN} 2>/dev/null || :\n"
        "echo mine >etc/apt/sources.list.d/own.list\n"
    )
    files = recipe_files("app", {"install.sh.j2": install, **(more or {})})
    image = {"keep_package_lists": keep_lists}
    recipe = Recipe.model_validate({"name": "app", "base": "a/b", "smoke": "none", "image": image})
    rendered = render(recipe, COMMIT, files, snapshot=snapshot)
    machine.attributes.update(builder_metadata(rendered, facts(rendered), NONCE, ARCHIVE))
    done = machine.run(rendered.bake_script)
    assert machine.result["result"] == "ok", (done.stdout, done.stderr)


@pytest.fixture
def debian(machine: Machine) -> Machine:
    files = {
        "etc/apt/sources.list": "deb http://deb.debian.org/debian bookworm main\n",
        "etc/apt/sources.list.d/google.list": "deb http://packages.example x main\n",
    }
    for path, text in files.items():
        (machine.root / path).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / path).write_text(text)
    return machine


def test_the_recipe_installs_from_that_day_only(debian: Machine) -> None:
    bake(debian, DAY)
    seen = (debian.root / SEEN).read_text()
    assert "google.list" not in seen
    assert seen.split("snapshot.list\n", 1)[1].splitlines() == [
        f"deb [check-valid-until=no] {ARCHIVE}/debian/{DAY} bookworm main",
        f"deb [check-valid-until=no] {ARCHIVE}/debian/{DAY} bookworm-updates main",
        f"deb [check-valid-until=no] {ARCHIVE}/debian-security/{DAY} bookworm-security main",
    ]


@pytest.mark.parametrize("day", [None, DAY])
def test_the_lists_of_a_past_day_are_not_kept(debian: Machine, day: str | None) -> None:
    lists = debian.root / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    (lists / "x_InRelease").touch()
    bake(debian, day, keep_lists=True)
    assert (lists / "x_InRelease").exists() is (day is None)


def test_the_image_has_the_sources_of_its_base_and_of_the_recipe(debian: Machine) -> None:
    bake(debian, DAY)
    names = sorted(p.name for p in (debian.root / "etc/apt/sources.list.d").iterdir())
    assert names == ["google.list", "own.list"]
    assert "deb.debian.org" in (debian.root / "etc/apt/sources.list").read_text()


PREPARE = """cd "$BAKEHOUSE_ROOT/etc/apt"
sed -i s/deb.debian.org/mirror.example/ sources.list
echo theirs >sources.list.d/added.list
"""


def test_what_prepare_adds_is_its_own_affair_and_what_it_mends_is_in_the_image(
    debian: Machine,
) -> None:
    bake(debian, DAY, {"prepare.sh.j2": PREPARE})
    seen = (debian.root / SEEN).read_text()
    assert "added.list" in seen
    assert "google.list" not in seen
    names = sorted(p.name for p in (debian.root / "etc/apt/sources.list.d").iterdir())
    assert names == ["added.list", "google.list", "own.list"]
    assert "mirror.example" in (debian.root / "etc/apt/sources.list").read_text()


def test_without_a_day_nothing_is_touched(debian: Machine) -> None:
    bake(debian, None)
    assert "google.list" in (debian.root / SEEN).read_text()
    assert not (debian.root / LIST).exists()


def test_where_the_archive_is_changes_nothing_of_what_is_in_the_image() -> None:
    recipe = Recipe.model_validate({"name": "app", "base": "a/b", "smoke": "none"})
    files = recipe_files("app", {"install.sh.j2": "true\n"})
    today, then = (render(recipe, COMMIT, files, snapshot=day) for day in (None, DAY))
    assert today.key_material() != then.key_material()
    assert ARCHIVE not in str(then.key_material())


def test_a_commit_whose_bake_script_knows_no_snapshot_is_refused() -> None:
    recipe = Recipe.model_validate({"name": "app", "base": "a/b", "smoke": "none"})
    files = recipe_files("app", {"install.sh.j2": "true\n"})
    path = "bake.sh.j2"
    text = files[path].data.decode().replace("{{ snapshot | sh }}", "''")
    files[path] = files[path]._replace(data=text.encode())
    with pytest.raises(RenderError, match="does not support snapshots"):
        render(recipe, COMMIT, files, snapshot=DAY)
    assert Path(path).name in files
