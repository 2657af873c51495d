"""What is fetched of a remote: no more than is read, or all where a server can do no less."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.programs import put_program

from bakehouse.recipe.git.errors import CommitGone, UnknownRef
from bakehouse.recipe.git.open import open_repository

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
BIG = 300_000  # bytes that do not compress
OLD_PROTOCOL = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "protocol.version",
    "GIT_CONFIG_VALUE_0": "0",
}


class Served:
    """A repository behind file://, which git serves by the same program as over ssh and HTTP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}"
        self.shas: list[str] = []
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
        for day in range(3):
            self.commit(day)

    def git(self, *arguments: str, day: int = 0) -> str:
        when = f"{int((START + timedelta(days=day)).timestamp())} +0000"
        who = {"NAME": "A", "EMAIL": "a@example.org", "DATE": when}
        env = {f"GIT_{role}_{key}": v for role in ("AUTHOR", "COMMITTER") for key, v in who.items()}
        return subprocess.run(
            ("git", *arguments),
            cwd=self.folder,
            env={**os.environ, **env, "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def commit(self, day: int) -> None:
        for path, data in (
            ("include/recipes/web.yaml", f"# {day}\nbase: a/b\n".encode()),
            ("include/startup_scripts/web/install.sh.j2", f"echo {day}\n".encode()),
            ("include/startup_scripts/bake.sh.j2", b"true\n"),
            ("video.bin", os.urandom(BIG)),
        ):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(data)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Day {day}", day=day)
        self.shas.append(self.git("rev-parse", "HEAD"))


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "served")


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that repositories are fetched into."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The git commands that were started, one a line."""
    return recorded_git(tmp_path, monkeypatch)


def recorded_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = folder / "commands"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True)
    log.touch()
    script = f'echo "$@" >>{log}\nexec {real.stdout.strip()} "$@"'
    put_program(folder, monkeypatch, "git", script)
    return log


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def transfers(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if " fetch " in line or " clone " in line]


@pytest.mark.parametrize("ref", ["HEAD", "main", "refs/heads/main", "v1", "newest"])
def test_the_newest_commit_comes_without_history_and_files(
    served: Served, fetched: Path, commands: Path, ref: str
) -> None:
    served.git("tag", "--annotate", "v1", "--message", "one")
    with open_repository(served.url) as repository:
        name = served.shas[-1] if ref == "newest" else ref
        assert repository.resolve(name, START + timedelta(days=9)).sha == served.shas[-1]
        assert len(transfers(commands)) == 1
        assert b"# 2" in repository.read(served.shas[-1], "include/recipes/web.yaml")
        assert len(transfers(commands)) == 1, "git itself asks for the one file"
        assert size(fetched) < BIG
    assert not list(fetched.iterdir())


def test_an_older_commit_is_found_among_commits_without_files(
    served: Served, fetched: Path
) -> None:
    with open_repository(served.url) as repository:
        assert repository.resolve("main", START + timedelta(days=1.5)).sha == served.shas[1]
        assert repository.resolve("HEAD~2").sha == served.shas[0]
        assert repository.resolve(served.shas[0][:9]).sha == served.shas[0]
        assert b"# 1" in repository.read(served.shas[1], "include/recipes/web.yaml")
        assert size(fetched) < BIG


@pytest.mark.parametrize("day", [0, 2])
def test_a_known_commit_comes_alone_and_once(
    served: Served, fetched: Path, commands: Path, day: int
) -> None:
    sha = served.shas[day]
    with open_repository(served.url) as repository:
        assert f"# {day}".encode() in repository.read(sha, "include/recipes/web.yaml")
        files = repository.files(sha, "include/startup_scripts")
        assert files["web/install.sh.j2"].data == f"echo {day}\n".encode()
        assert len(transfers(commands)) == 1
        assert BIG < size(fetched) < 2 * BIG, "of three commits one"


def test_a_server_without_filters_gives_the_same(served: Served) -> None:
    served.git("config", "uploadpack.allowFilter", "false")
    with open_repository(served.url) as repository:
        assert repository.resolve("main").sha == served.shas[2]
        assert repository.resolve("main", START + timedelta(days=1.5)).sha == served.shas[1]
        assert b"# 1" in repository.read(served.shas[1], "include/recipes/web.yaml")
        assert repository.files(served.shas[1], "include/startup_scripts")


def test_a_server_that_gives_no_hashes_gives_everything(served: Served, commands: Path) -> None:
    with open_repository(served.url, OLD_PROTOCOL) as repository:
        assert b"# 0" in repository.read(served.shas[0], "include/recipes/web.yaml")
        assert repository.files(served.shas[0], "include/startup_scripts")
        assert repository.resolve(served.shas[1]).sha == served.shas[1]
    assert any(" clone " in line for line in transfers(commands))


def test_a_hash_that_no_branch_reaches_is_gone_where_the_server_keeps_it_back(
    served: Served,
) -> None:
    lost = served.shas[-1]
    served.git("reset", "--quiet", "--hard", "HEAD~1")
    with open_repository(served.url, OLD_PROTOCOL) as repository:
        with pytest.raises(CommitGone, match="force-push"):
            repository.read(lost, "include/recipes/web.yaml")
        with pytest.raises(UnknownRef, match=lost):
            repository.resolve(lost)


@pytest.mark.parametrize("ref", ["+main", "^main", "main^{/Day 0}", "@{-1}", "pull/1/head"])
def test_only_branches_tags_and_revisions_of_them_are_refs(served: Served, ref: str) -> None:
    """Names that mean more to git fetch than to git rev-parse, and refs that a clone lacks."""
    served.git("update-ref", "refs/pull/1/head", "HEAD~1")
    with open_repository(served.url) as repository, pytest.raises(UnknownRef):
        repository.resolve(ref)


def test_of_a_branch_and_a_tag_with_one_name_the_tag_counts(served: Served) -> None:
    served.git("tag", "both", served.shas[0])
    served.git("branch", "both", served.shas[2])
    with open_repository(served.url) as remote, open_repository(served.folder) as local:
        assert remote.resolve("both").sha == local.resolve("both").sha == served.shas[0]


def test_nothing_of_a_repositorys_config_and_hooks_is_run(served: Served, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >>{ran}\nexit 1\n')
    program.chmod(0o755)
    served.git("config", "core.fsmonitor", str(program))
    hooks = served.folder / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (hooks / name).symlink_to(program)
    for where in (served.url, served.folder):
        with open_repository(where) as repository:
            sha = repository.resolve("HEAD", START + timedelta(days=1.5)).sha
            repository.files(sha, "include")
    assert not ran.exists()


def test_a_partial_clone_on_this_disk_is_read_like_any_other(
    served: Served, tmp_path: Path
) -> None:
    partial = tmp_path / "partial"
    served.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", served.url, str(partial))
    with open_repository(partial) as repository:
        assert repository.resolve("HEAD", START + timedelta(days=1.5)).sha == served.shas[1]
        files = repository.files(served.shas[0], "include/startup_scripts")
    assert files["web/install.sh.j2"].data == b"echo 0\n"


def test_a_repository_on_this_disk_is_not_copied(
    served: Served, fetched: Path, commands: Path
) -> None:
    with open_repository(served.folder) as repository:
        sha = repository.resolve("main", START + timedelta(days=1.5)).sha
        assert repository.files(sha, "include/startup_scripts")
        assert not list(fetched.iterdir())
    assert transfers(commands) == []
