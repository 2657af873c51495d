from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.install_parts import parts_in, wrong_parts
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.render import Rendered, RenderError, WrongScripts, render

COMMIT = Commit(
    sha="c0ffee" * 6 + "c0ff",
    ref="main",
    subject="A",
    author_time=datetime(2026, 11, 23, tzinfo=UTC),
    author="A <a@example.org>",
)


def rendered(texts: dict[str, str]) -> Rendered:
    files = {f"app/{path}": GitFile(0o100644, text.encode()) for path, text in texts.items()}
    model = load_recipe(
        b"base: debian-cloud/debian-12\nvars: {name: a b}\n", "include/recipes/app.yaml"
    )
    files["app/health"] = GitFile(0o100755, b"true\n")
    return render(model, COMMIT, {**guest_scripts(), **files})


def test_parts_are_rendered_and_run_in_the_order_of_their_names() -> None:
    found = rendered(
        {
            "install.d/20-b.sh.j2": "echo two\n",
            "install.d/10-a.sh.j2": "echo {{ vars.name | sh }}\n",
            "install.d/10-B.sh.j2": "echo one\n",
        }
    )

    assert found.files["recipe/install.d/10-a.sh"].data == b"echo 'a b'\n"
    assert found.files["recipe/install.d/10-a.sh"].mode == 0o100755
    assert "recipe/install.d/10-a.sh.j2" not in found.files
    order = "'install.d/10-B.sh' 'install.d/10-a.sh' 'install.d/20-b.sh'"
    assert f"parts=({order})" in found.bake_script


def test_a_recipe_with_one_script_has_one_part() -> None:
    assert "parts=('install.sh')" in rendered({"install.sh.j2": "true\n"}).bake_script
    assert parts_in(["install.sh.j2", "health"]) == ("install.sh.j2",)


def test_a_recipe_without_an_install_is_refused() -> None:
    with pytest.raises(RenderError, match=r"install\.sh\.j2 or install\.d"):
        rendered({"health": "true\n"})


def test_two_installs_and_files_that_nothing_runs_are_mistakes() -> None:
    texts = {
        "install.sh.j2": "true\n",
        "install.d/10-a.sh.j2": "true\n",
        "install.d/b.sh.j2": "true\n",
        "install.d/20-c.sh": "true\n",
        "install.d/30-d/e.sh.j2": "true\n",
    }

    with pytest.raises(WrongScripts) as wrong:
        rendered(texts)

    told = [(one.file.rpartition("app/")[2], one.problem) for one in wrong.value.mistakes]
    assert told == [
        ("install.d/20-c.sh", "is no part of the install"),
        ("install.d/30-d/e.sh.j2", "is no part of the install"),
        ("install.d/b.sh.j2", "is no part of the install"),
        ("install.sh.j2", "is a second install beside install.d/"),
    ]
    assert wrong_parts(["install.d/10-a.sh.j2"], "app") == []


def test_a_value_that_is_not_quoted_is_found_in_a_part() -> None:
    with pytest.raises(WrongScripts, match=r"install\.d/10-a\.sh\.j2:1.*not quoted"):
        rendered({"install.d/10-a.sh.j2": "echo {{ vars.name }}\n"})


def test_a_bake_script_of_the_project_that_knows_no_parts_is_refused() -> None:
    files = {
        "app/install.d/10-a.sh.j2": GitFile(0o100644, b"true\n"),
        **guest_scripts(),
        "app/health": GitFile(0o100755, b"true\n"),
        "bake.sh.j2": GitFile(0o100644, b"true\n"),
    }
    model = load_recipe(b"base: debian-cloud/debian-12\n", "include/recipes/app.yaml")

    with pytest.raises(RenderError, match=r"does not run install\.d/"):
        render(model, COMMIT, files)
