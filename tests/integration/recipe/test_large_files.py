"""Files that Git LFS keeps: their content reaches the builder, or their path is told."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.git_repository import INSTALL, RECIPE, SCRIPTS, GitRepository, app_repository
from tests.support.programs import put_program

from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.git.errors import NotInCommit, Unreachable
from bakehouse.recipe.git.large_files import fetch
from bakehouse.recipe.git.open import open_repository
from bakehouse.recipe.git.work_tree import work_tree
from bakehouse.recipe.lfs import LargeFileMissing, Pointer, pointer_in
from bakehouse.recipe.mistakes import Mistakes

if TYPE_CHECKING:
    from pathlib import Path

AGENT = f"{SCRIPTS}/app/agent.deb"
CONTENT = b"\x7f agent\r\n\0"
OID = hashlib.sha256(CONTENT).hexdigest()


def pointer_of(content: bytes) -> bytes:
    oid = hashlib.sha256(content).hexdigest()
    spec = "https://git-lfs.github.com/spec/v1"
    return f"version {spec}\noid sha256:{oid}\nsize {len(content)}\n".encode()


@pytest.fixture
def work(tmp_path: Path) -> GitRepository:
    """A repository whose commit has a pointer, as after a push from a machine with git-lfs."""
    work = app_repository(tmp_path / "work")
    work.write(".gitattributes", "*.deb filter=lfs diff=lfs merge=lfs -text\n")
    work.write(AGENT, pointer_of(CONTENT), 0o755)
    work.commit()
    return work


def keep(repository: GitRepository, content: bytes, oid: str = OID) -> None:
    repository.write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", content)


def baked(where: Path | str, sha: str) -> bytes:
    with open_repository(where) as repository:
        return scripts_at(repository, sha, recipe_at(repository, sha, "app"))["app/agent.deb"].data


@pytest.fixture(params=["git-lfs", "a stub"])
def git_lfs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """git-lfs itself (devstack/packages.txt), and a stub that copies from file:// as it does."""
    if request.param == "git-lfs":
        return "git-lfs"
    script = "url=$(git config remote.origin.url)\noid=$(sed -n 's/^oid sha256://p')\n"
    script += "cat ${url#file://}/.git/lfs/objects/*/*/$oid"
    put_program(tmp_path, monkeypatch, "git-lfs", script)
    return "stub"


@pytest.mark.usefixtures("git_lfs")
def test_the_content_is_fetched_from_the_remote(work: GitRepository, tmp_path: Path) -> None:
    keep(work, CONTENT)
    assert baked(work.url, work.head) == CONTENT
    clone = tmp_path / "clone"
    work.git("clone", "--quiet", work.url, str(clone))
    assert baked(clone, work.head) == CONTENT
    assert not (clone / ".git/lfs/objects").exists(), "nothing is written into a clone"


def test_the_content_that_a_clone_has_needs_no_git_lfs(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    keep(work, CONTENT)
    assert baked(work.folder, work.head) == CONTENT
    with work_tree(work.folder / "include") as snapshot:
        pointer = pointer_in(pointer_of(CONTENT))
        assert pointer is not None
        assert snapshot.source.large(pointer) == CONTENT


def test_a_parse_of_the_dag_files_asks_no_server(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.git("remote", "add", "origin", "https://lfs.example/web.git")
    monkeypatch.setattr("bakehouse.recipe.git.local.fetch", lambda *_: pytest.fail("fetched"))
    with work_tree(work.folder / "include", fetch=False) as snapshot:
        pointer = pointer_in(pointer_of(CONTENT))
        assert pointer is not None
        assert snapshot.source.large(pointer) == pointer.text


def test_content_that_is_damaged_in_the_clone_is_not_used(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    keep(work, b"other")
    with pytest.raises(Mistakes, match=r"app/agent\.deb:1: is kept in Git LFS"):
        baked(work.folder, work.head)


@pytest.mark.parametrize("form", ["path", "url"])
def test_without_git_lfs_the_path_is_told(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "git-lfs" else which(name))
    if form == "path":
        work.git("remote", "add", "origin", work.url)
    with pytest.raises(Mistakes) as told:
        baked(work.folder if form == "path" else work.url, work.head)
    (mistake,) = (one for one in told.value.mistakes if one.file == AGENT)
    assert "is kept in Git LFS (10 bytes), and git-lfs is not installed here" in mistake.problem
    assert "Install git-lfs" in mistake.remedy


@pytest.mark.usefixtures("git_lfs")
def test_what_the_server_does_not_have_is_told_with_its_path(work: GitRepository) -> None:
    with pytest.raises((Mistakes, Unreachable)) as told:
        baked(work.url, work.head)
    assert "LFS server" in str(told.value)


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("cat", LargeFileMissing, "other content than the pointer names"),
        ("echo 'dial tcp: i/o timeout' >&2; exit 2", Unreachable, "does not answer: dial tcp"),
        ("echo 'batch response: error: 503' >&2; exit 2", Unreachable, "does not answer"),
        ("echo '[404] Object does not exist' >&2; exit 2", LargeFileMissing, "does not give it"),
        ("echo 'Authentication required' >&2; exit 2", LargeFileMissing, "Authentication required"),
    ],
)
def test_why_a_server_gives_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    error: type[Exception],
    words: str,
) -> None:
    put_program(tmp_path, monkeypatch, "git-lfs", script)
    pointer = pointer_in(pointer_of(CONTENT))
    assert pointer is not None
    with pytest.raises(error) as told:
        fetch(pointer, "https://robot:s3cret@example.org/x.git", {})
    assert words in str(told.value)
    assert "s3cret" not in str(told.value)


def test_what_can_never_fit_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, monkeypatch, "git-lfs", f"touch {tmp_path}/ran")
    with pytest.raises(LargeFileMissing, match="12,345,678,901 bytes, more than fit"):
        fetch(Pointer("0" * 64, 12_345_678_901, b""), "https://example.org/x.git", {})
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("git_lfs")
def test_neither_lfsconfig_nor_the_clones_settings_are_read(
    work: GitRepository, tmp_path: Path
) -> None:
    """They may name a program, or a server that would be shown the credentials."""
    keep(work, CONTENT)
    program = tmp_path / "canary"
    program.write_text(f"#!/bin/sh\necho >>{tmp_path}/ran\n")
    program.chmod(0o755)
    work.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/evil\n")
    sha = work.commit()
    clone = tmp_path / "clone"
    work.git("clone", "--quiet", work.url, str(clone))
    for key, value in {
        "lfs.url": "http://127.0.0.1:1/evil",
        "lfs.standalonetransferagent": "evil",
        "lfs.customtransfer.evil.path": str(program),
        "lfs.extension.evil.smudge": str(program),
        "filter.lfs.smudge": str(program),
        "filter.lfs.process": str(program),
        "credential.helper": str(program),
    }.items():
        work.git("-C", str(clone), "config", key, value)
    assert baked(work.url, sha) == CONTENT
    assert baked(clone, sha) == CONTENT
    assert not (tmp_path / "ran").exists()


def test_a_recipe_that_git_lfs_keeps_is_read_or_told(
    work: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"base: debian-cloud/debian-12\n"
    work.write(RECIPE, pointer_of(text))
    sha = work.commit()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with (
        open_repository(work.folder) as repository,
        pytest.raises(NotInCommit, match=r"app\.yaml.*is kept in Git LFS"),
    ):
        recipe_at(repository, sha, "app")
    keep(work, text, hashlib.sha256(text).hexdigest())
    with open_repository(work.folder) as repository:
        assert recipe_at(repository, sha, "app").name == "app"


@pytest.mark.parametrize(
    ("text", "is_pointer"),
    [
        (pointer_of(b""), True),
        (pointer_of(b"x").replace(b"\n", b"\r\n"), True),
        (pointer_of(b"x").replace(b"git-lfs.github.com/spec", b"hawser.github.com/spec"), True),
        (pointer_of(b"x").replace(b"oid", b"ext-0-x sha256:0\noid"), True),
        (pointer_of(b"x") + b"x" * 1024, False),
        (b"# about pointers\n" + pointer_of(b"x"), False),
        (b"version https://git-lfs.github.com/spec/v1\n", False),
        (b"", False),
    ],
)
def test_what_a_pointer_is(text: bytes, is_pointer: bool) -> None:
    assert (pointer_in(text) is not None) is is_pointer


def test_the_install_script_itself_may_be_kept_there(work: GitRepository) -> None:
    script = b"echo from lfs\n"
    work.write(INSTALL, pointer_of(script))
    sha = work.commit()
    keep(work, script, hashlib.sha256(script).hexdigest())
    keep(work, CONTENT)
    with open_repository(work.folder) as repository:
        files = scripts_at(repository, sha, recipe_at(repository, sha, "app"))
    assert files["app/install.sh.j2"].data == script
