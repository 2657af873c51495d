from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.connections import commit_all

from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.git.errors import NotInCommit
from bakehouse.recipe.git.work_tree_repository import NO_COMMIT, WorkTreeRepository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "include/recipes").mkdir(parents=True)
    (tmp_path / "include/startup_scripts/web").mkdir(parents=True)
    (tmp_path / "include/recipes/web.yaml").write_text("base: debian-cloud/debian-12\n")
    (tmp_path / "include/startup_scripts/web/install.sh.j2").write_text("true\n")
    return tmp_path


def test_uncommitted_files_are_read_and_the_commit_is_head(project: Path) -> None:
    commit_all(project, "A recipe")
    (project / "include/recipes/web.yaml").write_text(
        "base: debian-cloud/debian-12\ndescription: changed\n"
    )
    (project / "include/startup_scripts/web/health").write_text("true\n")

    with WorkTreeRepository(project) as tree:
        commit = tree.resolve("HEAD")
        recipe = recipe_at(tree, commit.sha, "web")
        files = scripts_at(tree, commit.sha, recipe)

    assert recipe.description == "changed"
    assert files["web/health"].data == b"true\n"
    assert commit.work_tree
    assert commit.subject == "A recipe"
    assert commit.dirty == ("include/recipes/web.yaml", "include/startup_scripts/web/health")


def test_a_clean_work_tree_is_the_commit(project: Path) -> None:
    commit_all(project, "A recipe")

    with WorkTreeRepository(project) as tree:
        commit = tree.resolve("HEAD")

    assert commit.work_tree
    assert commit.dirty == ()
    assert len(commit.sha) == 40


@pytest.mark.parametrize("has_git", [True, False])
def test_without_a_commit_or_without_git_the_hash_is_gits_own_for_none(
    project: Path, has_git: bool
) -> None:
    if has_git:
        (project / ".git").mkdir()

    with WorkTreeRepository(project) as tree:
        commit = tree.resolve("HEAD")
        recipe = recipe_at(tree, commit.sha, "web")

    assert commit.sha == NO_COMMIT
    assert recipe.name == "web"


def test_a_file_that_does_not_exist_is_named(project: Path) -> None:
    commit_all(project, "A recipe")
    with WorkTreeRepository(project) as tree, pytest.raises(NotInCommit, match=r"nope\.yaml"):
        recipe_at(tree, tree.resolve("HEAD").sha, "nope")
