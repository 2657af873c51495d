"""Commits and files from git: right commit, clear outcome, work tree untouched."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.commit import GitFile
from bakehouse.recipe.git.errors import (
    NotInCommit,
    RepositoryMissing,
    ShallowRepository,
    SourceError,
    UnknownRef,
)
from bakehouse.recipe.git.open import open_repository
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import Mistakes

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Work:
    """A repository with a work tree; one commit a day, at noon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.day = 0
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        when = f"{int((START + timedelta(days=self.day)).timestamp())} +0000"
        who = {"NAME": "A", "EMAIL": "a@example.org", "DATE": when}
        env = {f"GIT_{role}_{key}": v for role in ("AUTHOR", "COMMITTER") for key, v in who.items()}
        done = subprocess.run(
            ("git", "-c", "protocol.file.allow=always", *arguments),
            cwd=self.folder,
            env={**os.environ, **env, "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, path: str, text: str) -> str:
        self.write(path, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Write {path}")
        self.day += 1
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


Open = Callable[[], Repository]


@pytest.fixture(params=["path", "url"])
def opened(work: Work, request: pytest.FixtureRequest) -> Open:
    """The repository as a local path and as a remote."""
    url = work.folder if request.param == "path" else f"file://{work.folder}"
    return lambda: open_repository(url)


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def test_the_newest_commit_not_later(work: Work, opened: Open) -> None:
    shas = [work.commit("a", str(n)) for n in range(3)]
    with opened() as repository:
        assert repository.resolve("HEAD", at(9)).sha == shas[2]
        assert repository.resolve("main", at(1.5)).sha == shas[1]
        assert repository.resolve("main", at(1)).sha == shas[1]  # that very second is not later
        assert repository.resolve("HEAD~1", at(0.5)).sha == shas[0]
        assert repository.resolve("HEAD").sha == shas[2]


def test_only_the_first_parents_count(work: Work, opened: Open) -> None:
    first = work.commit("a", "1")
    work.git("checkout", "--quiet", "-b", "topic")
    work.commit("b", "1")
    work.git("checkout", "--quiet", "main")
    work.day += 3
    work.git("merge", "--quiet", "--no-ff", "topic", "--message", "Merge")
    with opened() as repository:
        assert repository.resolve("main", at(2)).sha == first


def test_an_exact_hash_is_itself_whatever_the_time(work: Work, opened: Open) -> None:
    work.commit("a", "1")
    sha = work.commit("a", "2")
    with opened() as repository:
        assert repository.resolve(sha, at(-5)).sha == sha
        assert repository.resolve(sha[:10], at(-5)).sha == sha


def test_a_branch_that_looks_like_a_hash_is_a_branch(work: Work, opened: Open) -> None:
    first = work.commit("a", "1")
    tip = work.commit("a", "2")
    for name in (tip[0], tip[:8]):
        work.git("branch", name)
    with opened() as repository:
        assert repository.resolve(tip[0], at(0.5)).sha == first
        assert repository.resolve(tip[:8], at(0.5)).sha == first


def test_a_commit_tells_who_and_what(work: Work, opened: Open) -> None:
    sha = work.commit("a", "1")
    work.git("tag", "--annotate", "v1", "--message", "one")
    with opened() as repository:
        commit = repository.resolve("v1", at(1))
    assert (commit.sha, commit.ref, commit.subject) == (sha, "v1", "Write a")
    assert (commit.author, commit.author_time) == ("A <a@example.org>", at(0))


@pytest.mark.parametrize("ref", ["nowhere", "f" * 40, "", "--all", "a b", "main:x", "HEAD~9"])
def test_an_unknown_ref(work: Work, opened: Open, ref: str) -> None:
    work.commit("a", "1")
    with opened() as repository, pytest.raises(UnknownRef):
        repository.resolve(ref, at(9))


def test_a_ref_without_a_commit_that_old(work: Work, opened: Open) -> None:
    work.commit("a", "1")
    with (
        opened() as repository,
        pytest.raises(UnknownRef, match="as early as 2026-10-31"),
    ):
        repository.resolve("main", at(-1))


@pytest.mark.usefixtures("work")
def test_a_repository_without_commits(opened: Open) -> None:
    with opened() as repository, pytest.raises(UnknownRef):
        repository.resolve("HEAD", at(1))


@pytest.mark.parametrize("where", ["/nowhere", "file:///nowhere", "https://127.0.0.1:1/x.git"])
def test_a_missing_repository(where: str) -> None:
    with pytest.raises(RepositoryMissing), open_repository(where) as repository:
        repository.resolve("HEAD")


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryMissing, match="not a git repository"):
        open_repository(tmp_path, {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})


def test_a_shallow_clone_says_so(work: Work, tmp_path: Path) -> None:
    for n in range(3):
        work.commit("a", str(n))
    shallow = tmp_path / "shallow"
    work.git("clone", "--quiet", "--depth=1", f"file://{work.folder}", str(shallow))
    with open_repository(shallow) as repository:
        assert repository.resolve("HEAD", at(9))
        with pytest.raises(ShallowRepository, match="unshallow"):
            repository.resolve("HEAD", at(0.5))
        with pytest.raises(ShallowRepository, match="unshallow"):
            repository.resolve("HEAD~2", at(9))


def test_a_commit_that_no_branch_reaches_any_more(work: Work, opened: Open) -> None:
    """After a force-push: gone from the branch, told as unknown where the server keeps it back."""
    work.commit("a", "1")
    lost = work.commit("a", "2")
    work.git("reset", "--quiet", "--hard", "HEAD~1")
    with opened() as repository:
        try:
            told = repository.resolve(lost).sha
        except SourceError as unknown:
            told = str(unknown)
    assert lost in told


def test_files_are_the_commits_and_not_the_work_trees(work: Work, opened: Open) -> None:
    work.write("scripts/bin/run", "#!/bin/sh\n")
    (work.folder / "scripts/bin/run").chmod(0o755)
    (work.folder / "scripts/link").symlink_to("bin/run")
    sha = work.commit("scripts/ä b.txt", "old\n")
    work.write("scripts/ä b.txt", "changed, not committed\n")
    work.write("scripts/new", "")
    with opened() as repository:
        files = repository.files(sha, "scripts")
        assert repository.read(sha, "scripts/ä b.txt") == b"old\n"
    assert {path: file.mode for path, file in files.items()} == {
        "bin/run": 0o100755,
        "link": 0o120000,
        "ä b.txt": 0o100644,
    }
    assert files["link"].data == b"bin/run"


def test_dirty_files_are_listed_and_nothing_is_touched(work: Work) -> None:
    work.write("b", "1")
    work.commit("a", "1")
    work.write("a", "2")
    work.write("new/file", "")
    (work.folder / "b").unlink()
    before = _everything(work.folder)
    with open_repository(work.folder) as repository:
        commit = repository.resolve("HEAD", at(9))
        repository.files(commit.sha, ".")
    assert commit.dirty == ("a", "b", "new/")
    assert _everything(work.folder) == before


def test_a_folder_inside_a_repository(work: Work) -> None:
    sha = work.commit("project/include/a", "1")
    work.write("project/x", "")
    work.write("elsewhere", "")
    with open_repository(work.folder / "project") as repository:
        assert repository.read(sha, "include/a") == b"1"
        assert set(repository.files(sha, "include")) == {"a"}
        assert repository.resolve("HEAD").dirty == ("x",)


def test_what_a_commit_does_not_have(work: Work, opened: Open) -> None:
    sha = work.commit("a", "1")
    with opened() as repository:
        with pytest.raises(NotInCommit, match=r"no include/recipes/web\.yaml"):
            recipe_at(repository, sha, "web")
        with pytest.raises(NotInCommit):
            repository.files(sha, "scripts")


def test_recipe_and_scripts_of_a_commit(work: Work, opened: Open) -> None:
    work.write("include/startup_scripts/web/install.sh.j2", "")
    work.write("include/startup_scripts/other/install.sh.j2", "")
    sha = work.commit("include/recipes/web.yaml", "base: a/b\n")
    later = work.commit("include/recipes/web.yaml", "bas: a/b\n")
    with opened() as repository:
        recipe = recipe_at(repository, sha, "web")
        scripts = scripts_at(repository, sha, recipe)
        assert scripts == {**guest_scripts(), "web/install.sh.j2": GitFile(0o100644, b"")}
        with pytest.raises(NotInCommit, match="no include/startup_scripts/none"):
            scripts_at(repository, sha, recipe.model_copy(update={"scripts": "none"}))
        with pytest.raises(Mistakes, match="Did you mean base"):
            recipe_at(repository, later, "web")


def test_a_file_of_the_commit_replaces_bakehouses_own_of_the_same_name(
    work: Work, opened: Open
) -> None:
    work.write("include/startup_scripts/bake.sh.j2", "mine")
    work.write("include/startup_scripts/guest/render.py", "mine")
    work.write("include/startup_scripts/web/install.sh.j2", "")
    sha = work.commit("include/recipes/web.yaml", "base: a/b\n")
    with opened() as repository:
        scripts = scripts_at(repository, sha, recipe_at(repository, sha, "web"))
    replaced = {path for path in guest_scripts() if scripts[path].data == b"mine"}
    assert replaced == {"bake.sh.j2", "guest/render.py"}
    assert all(scripts[path] == guest_scripts()[path] for path in set(guest_scripts()) - replaced)


def test_a_remote_leaves_nothing_behind(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    work.commit("a", "1")
    with open_repository(f"file://{work.folder}") as repository:
        repository.resolve("HEAD")
    assert not list(tmp_path.glob("bakehouse-git-*"))


def _everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
