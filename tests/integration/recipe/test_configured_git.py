"""git as it is configured in the wild: nothing changes what is read, and nothing is run."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.deadlines import SOON
from tests.support.git_repository import INSTALL, RECIPE, SCRIPTS, GitRepository, app_repository
from tests.support.programs import put_program

from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.git import command
from bakehouse.recipe.git.command import Git, GitFailed
from bakehouse.recipe.git.errors import (
    AccessRefused,
    RepositoryMissing,
    SourceError,
    UnknownRef,
    Unreachable,
    Unsupported,
)
from bakehouse.recipe.git.open import open_repository
from bakehouse.recipe.git.work_tree import work_tree
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.recipe.git.repository import Repository

NOW = datetime(2026, 12, 23, 12, 0, tzinfo=UTC)
THEN = "1798000000 +0000"  # 2026-12-23 04:26:40


@pytest.fixture
def work(tmp_path: Path) -> GitRepository:
    return app_repository(tmp_path / "work")


@pytest.fixture(params=["path", "url"])
def where(work: GitRepository, request: pytest.FixtureRequest) -> str:
    return str(work.folder) if request.param == "path" else work.url


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A program that leaves a trace when somebody runs it; nobody may have at the end."""
    program, trace = tmp_path / "canary", tmp_path / "trace"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >>{trace}\ncat\nexit 0\n')
    program.chmod(0o755)
    yield program
    assert not trace.exists(), trace.read_text()


def everything(repository: Repository, sha: str) -> dict[str, bytes]:
    found = scripts_at(repository, sha, recipe_at(repository, sha, "app"))
    return {path: file.data for path, file in found.items() if path.startswith("app/")}


STRANGE = {
    "log.showSignature": "true",
    "color.ui": "always",
    "color.status": "always",
    "column.ui": "always",
    "core.abbrev": "4",
    "core.quotePath": "true",
    "core.autocrlf": "true",
    "core.eol": "crlf",
    "core.ignoreCase": "true",
    "core.precomposeUnicode": "true",
    "core.pager": "false",
    "core.commitGraph": "true",
    "log.date": "relative",
    "log.mailmap": "true",
    "log.follow": "true",
    "i18n.logOutputEncoding": "utf-16",
    "i18n.commitEncoding": "latin-1",
    "status.short": "true",
    "status.branch": "true",
    "status.showStash": "true",
    "status.relativePaths": "true",
    "status.showUntrackedFiles": "no",
    "status.submoduleSummary": "true",
    "status.aheadBehind": "true",
    "format.pretty": "oneline",
    "diff.noprefix": "true",
    "diff.renames": "copies",
    "grep.patternType": "perl",
    "alias.rev-parse": "!false",
    "alias.ls-tree": "!false",
    "advice.detachedHead": "true",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "true",
    "core.logAllRefUpdates": "always",
}


@pytest.mark.parametrize("scope", ["worker", "repository", "environment"])
def test_no_setting_changes_what_is_read(
    work: GitRepository,
    where: str,
    scope: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work.write(f"{SCRIPTS}/app/ä b", "x\r\n", 0o755)
    sha = work.commit("Größe", THEN)
    work.write("new/file", "x")
    with open_repository(where) as repository:
        before = repository.resolve("HEAD", NOW), everything(repository, sha)
    if scope == "environment":
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(STRANGE)))
        for number, (key, value) in enumerate(STRANGE.items()):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    else:
        file = tmp_path / "config" if scope == "worker" else work.folder / ".git/config"
        for key, value in STRANGE.items():
            work.git("config", "--file", str(file), key, value)
        if scope == "worker":
            monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    with open_repository(where) as repository:
        assert (repository.resolve("HEAD", NOW), everything(repository, sha)) == before


def test_a_signed_commit_has_its_hash(work: GitRepository, tmp_path: Path, where: str) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    work.git("config", "gpg.format", "ssh")
    work.git("config", "user.signingkey", f"{key}.pub")
    work.git("config", "log.showSignature", "true")
    work.git("add", "--all")
    work.git("commit", "--quiet", "-S", "--message", "signed", GIT_COMMITTER_DATE=THEN)
    with open_repository(where) as repository:
        for not_after in (None, NOW):
            assert repository.resolve("HEAD", not_after).sha == work.head
            assert repository.resolve("HEAD", not_after).subject == "signed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nowhere"),
        ("GIT_WORK_TREE", "/nowhere"),
        ("GIT_COMMON_DIR", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere"),
        ("GIT_NAMESPACE", "other"),
        ("GIT_REPLACE_REF_BASE", "refs/heads/"),
        ("GIT_GRAFT_FILE", "/nowhere"),
        ("GIT_SHALLOW_FILE", "/nowhere"),
        ("GIT_CONFIG", "/nowhere"),
        ("GIT_CONFIG_PARAMETERS", "'core.abbrev=4'"),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_DEFAULT_REF_FORMAT", "reftable"),
        ("GIT_LITERAL_PATHSPECS", "0"),
        ("GIT_ICASE_PATHSPECS", "1"),
        ("GIT_PAGER", "false"),
        ("GIT_EXTERNAL_DIFF", "false"),
        ("GIT_EDITOR", "false"),
        ("GIT_TRACE", "1"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
        ("GIT_ATTR_SOURCE", "HEAD~9"),
        ("GIT_TEMPLATE_DIR", "/nowhere"),
        ("GIT_REF_PARANOIA", "1"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
        ("TZ", "Pacific/Kiritimati"),
    ],
)
def test_no_variable_of_the_worker_changes_what_is_read(
    work: GitRepository, where: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = work.commit("One", THEN)
    monkeypatch.setenv(name, value)
    with open_repository(where) as repository:
        commit = repository.resolve("HEAD", NOW)
        assert (commit.sha, commit.author_time, commit.dirty) == (
            sha,
            datetime.fromtimestamp(1798000000, UTC),
            (),
        )
        assert everything(repository, sha) == {"app/install.sh.j2": b"true\n"}


PROGRAMS = {
    "core.fsmonitor": "{}",
    "core.sshCommand": "{}",
    "core.gitProxy": "{}",
    "core.askPass": "{}",
    "core.editor": "{}",
    "core.pager": "{}",
    "core.alternateRefsCommand": "{}",
    "core.hooksPath": "{dir}",
    "credential.helper": "!{}",
    "diff.external": "{}",
    "diff.evil.textconv": "{}",
    "diff.evil.command": "{}",
    "filter.evil.clean": "{}",
    "filter.evil.smudge": "{}",
    "filter.evil.process": "{}",
    "filter.evil.required": "true",
    "filter.lfs.clean": "{}",
    "filter.lfs.smudge": "{}",
    "filter.lfs.process": "{}",
    "merge.evil.driver": "{}",
    "gpg.program": "{}",
    "gpg.ssh.program": "{}",
    "alias.status": "!{}",
    "alias.cat-file": "!{}",
    "uploadpack.packObjectsHook": "{}",
    "remote.origin.uploadpack": "{}",
    "remote.origin.proxy": "{}",
    "protocol.ext.allow": "always",
    "protocol.allow": "always",
    "interactive.diffFilter": "{}",
    "pager.status": "{}",
    "sequence.editor": "{}",
    "trace2.eventTarget": "{dir}",
    "lfs.customtransfer.evil.path": "{}",
    "lfs.standalonetransferagent": "evil",
    "lfs.extension.evil.clean": "{}",
    "lfs.extension.evil.smudge": "{}",
    "submodule.evil.update": "!{}",
    "maintenance.strategy": "incremental",
}
HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor")


def arm(repository: GitRepository, canary: Path) -> None:
    """Name the canary wherever a repository's configuration and attributes can name a program."""
    hooks = canary.parent / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        if not (hooks / name).exists():
            (hooks / name).symlink_to(canary)
    (repository.folder / ".git/hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        (repository.folder / ".git/hooks" / name).symlink_to(canary)
    included = repository.folder / ".git/included"
    for key, value in PROGRAMS.items():
        text = value.replace("{dir}", str(hooks)).replace("{}", str(canary))
        repository.git("config", "--file", str(included), key, text)
    attributes = repository.folder / ".git/info/attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("other/** filter=evil diff=evil merge=evil\n")
    config = repository.folder / ".git/config"
    config.write_text(config.read_text() + f"[include]\n\tpath = {included}\n")


def test_what_a_repository_names_would_be_run_by_git_itself(
    work: GitRepository, canary: Path
) -> None:
    """Else the tests below would show nothing."""
    work.write("other/file", "x")
    work.commit("One", THEN)
    arm(work, canary)
    trace = canary.parent / "trace"
    for arguments in (("status",), ("add", "other"), ("checkout", "--force", "HEAD")):
        later = time.time() + 9
        os.utime(work.folder / "other/file", (later, later))
        subprocess.run(["git", *arguments], cwd=work.folder, capture_output=True, check=False)
        assert trace.exists(), arguments
        trace.unlink()


@pytest.mark.parametrize("form", ["path", "url"])
def test_nothing_that_a_repository_names_is_run(
    work: GitRepository, canary: Path, form: str
) -> None:
    work.write("other/file", "x")
    sha = work.commit("One", THEN)
    arm(work, canary)
    later = time.time() + 9
    os.utime(work.folder / "other/file", (later, later))  # status has to compare the content
    work.write(f"{SCRIPTS}/app/new", "x")
    where = str(work.folder) if form == "path" else work.url
    with open_repository(where) as repository:
        assert repository.resolve("HEAD", NOW).sha == sha
        assert set(everything(repository, sha)) == {"app/install.sh.j2"}
        repository.files(sha, "include")
        repository.snapshot(sha).source.filters([INSTALL])
    with work_tree(work.folder / "include") as snapshot:
        assert snapshot.entry(f"{SCRIPTS}/app/new") is not None
        snapshot.source.filters([INSTALL])


@pytest.mark.parametrize(
    "url",
    ["ext::{} %S", "fd::3", "evil::x", "--upload-pack={}", "git://127.0.0.1:1/x", "ssh://-x{}/y"],
)
def test_a_partial_clone_never_runs_what_its_origin_names(
    work: GitRepository, canary: Path, tmp_path: Path, url: str
) -> None:
    sha = work.commit()
    partial = partial_clone(work, tmp_path / "partial")
    partial.git("config", "remote.origin.url", url.replace("{}", str(canary)))
    if url.startswith("evil"):
        partial.git("config", "remote.origin.vcs", "evil")
    arm(partial, canary)
    with (
        pytest.raises((SourceError, Unreachable), match="partial clone"),
        open_repository(partial.folder) as repository,
    ):
        recipe_at(repository, sha, "app")


def test_a_url_that_starts_a_program_is_refused(canary: Path) -> None:
    with (
        pytest.raises(Unsupported, match="not allowed"),
        open_repository(f"ext::{canary} %S://") as repository,
    ):
        repository.resolve("HEAD")


def test_neither_index_nor_objects_of_a_work_tree_change(work: GitRepository) -> None:
    work.commit()
    work.write(f"{SCRIPTS}/app/new", "x")
    before = traces(work.folder)
    with work_tree(work.folder / "include") as snapshot:
        assert snapshot.entry(f"{SCRIPTS}/app/new") is not None
    assert traces(work.folder) == before


def traces(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["replace", "graft", "graft of parents"])
def test_replaced_objects_and_grafts_change_nothing(work: GitRepository, kind: str) -> None:
    first = work.commit("First", THEN)
    work.write(INSTALL, "echo 2\n")
    second = work.commit("Second", "1798000100 +0000")
    if kind == "replace":
        work.git("replace", second, first)
        blob = work.git("rev-parse", f"{second}:{INSTALL}")
        work.git("replace", blob, work.git("rev-parse", f"{first}:{INSTALL}"))
    elif kind == "graft":
        work.git("replace", "--graft", second)
    else:
        (work.folder / ".git/info").mkdir(exist_ok=True)
        (work.folder / ".git/info/grafts").write_text(f"{second}\n")
    with open_repository(work.folder) as repository:
        commit = repository.resolve("HEAD", NOW)
        assert (commit.sha, commit.subject) == (second, "Second")
        assert everything(repository, second)["app/install.sh.j2"] == b"echo 2\n"
        assert repository.resolve("HEAD", datetime.fromtimestamp(1798000050, UTC)).sha == first


DATES = [
    ("4102444800 +0000", "2100-01-01T00:00:00+00:00"),
    ("253402300800 +0000", "9999-12-31T23:59:59.999999+00:00"),
    ("18446744073709551614 +0000", "9999-12-31T23:59:59.999999+00:00"),
    ("1798000000 +2600", "2026-12-23T04:26:40+00:00"),
    ("1798000000 -0000", "2026-12-23T04:26:40+00:00"),
    ("-5000 +0000", "1969-12-31T22:36:40+00:00"),
    ("0 +0000", "1970-01-01T00:00:00+00:00"),
]


@pytest.mark.parametrize(("when", "shown"), DATES)
def test_every_date_that_git_stores_can_be_baked_from(
    work: GitRepository, where: str, when: str, shown: str
) -> None:
    first = work.commit("First", THEN)
    odd = work.commit_object(f"author A <a@b.c> {when}\ncommitter A <a@b.c> {when}".encode())
    late = shown > NOW.isoformat()
    with open_repository(where) as repository:
        assert repository.resolve(odd, NOW).author_time.isoformat() == shown
        assert repository.resolve("main").sha == odd
        found = repository.resolve("main", NOW)
    assert found.sha == (first if late else odd)
    assert [(one.sha, one.committed.isoformat()) for one in found.passed_over] == (
        [(odd, shown)] if late else []
    )
    assert type(found).model_validate(found.model_dump(mode="json")) == found


def test_a_tag_that_was_asked_for_is_that_tags_commit(work: GitRepository, where: str) -> None:
    first = work.commit("First", THEN)
    fix = work.commit("the fix", f"{int(NOW.timestamp()) + 900} +0000")
    work.git("tag", "v2.1")
    work.git("tag", "--annotate", "v2.2", "--message", "x")
    work.git("tag", "--annotate", "v2.3", "--message", "of a tag", "v2.2")
    described = work.git("describe", "--long", "v2.2")
    names = ("v2.1", "v2.2", "v2.3", "tags/v2.1", "refs/tags/v2.2", "v2.2^{commit}", described, fix)
    with open_repository(where) as repository:
        for name in names:
            commit = repository.resolve(name, NOW)
            assert (commit.sha, commit.passed_over) == (fix, ()), name
        assert repository.resolve("v2.1~1", NOW).sha == first
        for branch in ("HEAD", "main", "heads/main", "refs/heads/main"):
            found = repository.resolve(branch, NOW)
            assert found.sha == first
            assert [one.sha for one in found.passed_over] == [fix]


def test_the_newest_of_many_that_were_passed_over_are_named(
    work: GitRepository, where: str
) -> None:
    first = work.commit("First", THEN)
    for number in range(70):  # more than are read at a time
        work.git(
            "commit", "--quiet", "--allow-empty", "-m", "x", GIT_COMMITTER_DATE=f"{later(number)}"
        )
    with open_repository(where) as repository:
        found = repository.resolve("main", NOW)
    assert found.sha == first
    shas = [one.sha for one in found.passed_over]
    assert shas == work.git("rev-list", "--max-count=5", "main").split()


def later(number: int) -> str:
    return f"{int((NOW + timedelta(days=1, minutes=number)).timestamp())} +0000"


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("--upload-pack=touch x", "is not a branch"),
        ("-h", "is not a branch"),
        ("^main", "is not a branch"),
        ("+main", "is not a branch"),
        (":/First", "is not a branch"),
        (":0:include", "is not a branch"),
        ("main:include", "is not a branch"),
        ("main\n", "is not a branch"),
        ("main\0x", "is not a branch"),
        ("main..other", "is a range"),
        ("main...other", "is a range"),
        ("@{-1}", "is a range, a search or a place in a reflog"),
        ("main@{1}", "is a range, a search or a place in a reflog"),
        ("main@{yesterday}", "is a range, a search or a place in a reflog"),
        ("@{u}", "is a range, a search or a place in a reflog"),
        ("main^{/First}", "is a range, a search or a place in a reflog"),
        ("main^@", "is a range"),
        ("main^!", "is a range"),
        ("main^-", "is a range"),
        ("main~99", "has no branch, tag or commit main~99"),
        ("nowhere", "has no branch, tag or commit nowhere"),
        ("BLOB", "is a blob: name a branch, tag or commit"),
        ("TREE", "is a tree: name a branch, tag or commit"),
        ("a-blob", "is a blob: name a branch, tag or commit"),
    ],
)
def test_what_is_no_ref_is_told_as_that(
    work: GitRepository, where: str, ref: str, words: str
) -> None:
    work.commit("First", THEN)
    work.git("branch", "other")
    work.git("tag", "a-blob", f"HEAD:{RECIPE}")
    asked = {"BLOB": f"HEAD:{RECIPE}", "TREE": "HEAD^{tree}"}
    name = work.git("rev-parse", asked[ref]) if ref in asked else ref
    with open_repository(where) as repository, pytest.raises(UnknownRef) as told:
        repository.resolve(name, NOW)
    assert words in str(told.value)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=20), st.text("main@{}~^.:/-+0123*[]\\ HEAD", max_size=12)))
def test_a_ref_is_a_commit_or_an_error_with_a_remedy(
    shared_work: tuple[GitRepository, frozenset[str]], ref: str
) -> None:
    work, commits = shared_work
    with open_repository(work.folder) as repository:
        try:
            found = repository.resolve(ref, NOW).sha
        except SourceError:
            return
    assert found in commits


@pytest.fixture(scope="module")
def shared_work(tmp_path_factory: pytest.TempPathFactory) -> tuple[GitRepository, frozenset[str]]:
    work = app_repository(tmp_path_factory.mktemp("refs") / "work")
    return work, frozenset([work.commit("First", THEN), work.commit("Second", THEN)])


def test_a_branch_or_tag_of_any_name_that_git_allows(work: GitRepository, where: str) -> None:
    sha = work.commit("First", THEN)
    names = [
        "feature/ü-1",
        "a'b",
        'a"b',
        "a$b`c`;d&e|f",
        "日本",
        "x" * 200,
        "HEADS",
        "a@b",
        "1.0-rc",
    ]
    for name in names:
        work.git("branch", name)
    with open_repository(where) as repository:
        assert [repository.resolve(name, NOW).sha for name in names] == [sha] * len(names)


def test_a_repository_with_sha256_is_refused_with_the_reason(tmp_path: Path) -> None:
    work = app_repository(tmp_path / "work", "--object-format=sha256")
    work.commit()
    for where in (str(work.folder), work.url):
        with (
            pytest.raises(Unsupported, match=r"sha256.*does not fit a label"),
            open_repository(where) as repository,
        ):
            repository.resolve("HEAD")


def test_a_repository_that_this_git_cannot_read_is_told_with_gits_version(
    work: GitRepository,
) -> None:
    work.commit()
    work.git("config", "core.repositoryFormatVersion", "1")
    work.git("config", "extensions.refStorageOfTomorrow", "reftree")
    with pytest.raises(RepositoryMissing, match=r"git version .* cannot read .*newer git"):
        open_repository(work.folder)


@pytest.mark.parametrize("kind", ["bare", "worktree", "alternates", "packed", "mirror", "detached"])
def test_every_kind_of_clone_is_read_like_any_other(
    work: GitRepository, tmp_path: Path, kind: str
) -> None:
    sha = work.commit("First", THEN)
    clone = tmp_path / "clone"
    if kind == "worktree":
        work.git("worktree", "add", "--quiet", str(clone), "HEAD", "--detach")
    elif kind == "packed":
        clone = work.folder
        work.git("gc", "--quiet", "--prune=now")
        work.git("pack-refs", "--all")
    elif kind == "detached":
        clone = work.folder
        work.git("checkout", "--quiet", "--detach")
    else:
        how = {"bare": "--bare", "mirror": "--mirror", "alternates": "--shared"}[kind]
        work.git("clone", "--quiet", how, str(work.folder), str(clone))
    with open_repository(clone) as repository:
        assert repository.resolve("HEAD", NOW).sha == sha
        assert everything(repository, sha) == {"app/install.sh.j2": b"true\n"}


def test_a_folder_whose_name_is_odd_is_a_repository_like_any_other(tmp_path: Path) -> None:
    work = app_repository(tmp_path / 'a "b: ü\n' / "project ")
    sha = work.commit("First", THEN)
    with open_repository(f"{work.folder}") as repository:
        assert everything(repository, sha) == {"app/install.sh.j2": b"true\n"}
    inside = GitRepository(tmp_path / "outer")
    inside.write(f"in side /{RECIPE}", "base: a/b\n")
    inside.write(f"in side /{INSTALL}", "x")
    sha = inside.commit("First", THEN)
    with open_repository(inside.folder / "in side ") as repository:
        assert everything(repository, sha) == {"app/install.sh.j2": b"x"}


def partial_clone(work: GitRepository, folder: Path, what: str = "blob:none") -> GitRepository:
    work.git("config", "uploadpack.allowFilter", "true")
    work.git("clone", "--quiet", f"--filter={what}", "--no-checkout", work.url, str(folder))
    clone = object.__new__(GitRepository)
    clone.folder = folder
    return clone


@pytest.mark.parametrize("what", ["blob:none", "tree:0"])
def test_a_partial_clone_whose_origin_does_not_answer_is_told_as_that(
    work: GitRepository, tmp_path: Path, what: str
) -> None:
    sha = work.commit("First", THEN)
    partial = partial_clone(work, tmp_path / "partial", what)
    with open_repository(partial.folder) as repository:
        assert everything(repository, sha) == {"app/install.sh.j2": b"true\n"}
    work.folder.rename(tmp_path / "away")
    with open_repository(partial.folder) as repository:
        assert repository.resolve("HEAD", NOW).sha == sha
        for read in (
            lambda: repository.read(sha, RECIPE),
            lambda: repository.files(sha, SCRIPTS),
            lambda: everything(repository, sha),
        ):
            with pytest.raises(Unreachable) as told:
                read()
            assert "is a partial clone without the files of commit" in str(told.value)
            assert f"cannot fetch {work.url}" in str(told.value)


def test_a_partial_clone_without_origin_has_a_remedy(work: GitRepository, tmp_path: Path) -> None:
    sha = work.commit()
    partial = partial_clone(work, tmp_path / "partial")
    partial.git("config", "--unset", "remote.origin.url")
    with (
        open_repository(partial.folder) as repository,
        pytest.raises(SourceError, match="git remote add origin"),
    ):
        repository.read(sha, RECIPE)


def test_a_damaged_repository_is_told_as_that(work: GitRepository) -> None:
    sha = work.commit()
    blob = work.git("rev-parse", f"HEAD:{INSTALL}")
    (work.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with (
        open_repository(work.folder) as repository,
        pytest.raises(SourceError, match=r"damaged.*git fsck"),
    ):
        everything(repository, sha)


CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in /root/.ssh/known_hosts:1
Host key verification failed."""


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (CHANGED, AccessRefused, "host key is not the known one (Host key verification failed.)"),
        ("Host key verification failed.", AccessRefused, "known_hosts"),
        ("git@x: Permission denied (publickey).", AccessRefused, "refuses the credentials"),
        ("ssh: connect to host x port 22: Connection refused", Unreachable, "Connection refused"),
        ("ssh: connect to host x port 22: Connection timed out", Unreachable, "timed out"),
        ("ssh: Could not resolve hostname x: Name or service not known", Unreachable, "resolve"),
        ("kex_exchange_identification: Connection closed", Unreachable, "Connection closed"),
        ("ERROR: Repository not found.", Unreachable, "Repository not found"),
    ],
)
def test_a_server_that_gives_nothing_is_told_with_its_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[SourceError],
    words: str,
) -> None:
    put_program(tmp_path, monkeypatch, "ssh", f"cat >&2 <<'END'\n{said}\nEND\nexit 255")
    with (
        open_repository("ssh://git@example.org/x.git") as repository,
        pytest.raises(error) as told,
    ):
        repository.resolve("main")
    assert words in str(told.value)
    assert "ssh://git@example.org/x.git" in str(told.value)


def test_a_password_in_a_url_is_not_told() -> None:
    with (
        open_repository("https://robot:s3cret@127.0.0.1:1/x.git") as repository,
        pytest.raises(Unreachable) as told,
    ):
        repository.resolve("main")
    assert "s3cret" not in str(told.value)
    assert "https://robot:***@127.0.0.1:1/x.git" in str(told.value)


def test_a_server_that_hangs_ends_with_all_that_git_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that a child holds open must not keep the task either."""
    pid = tmp_path / "pid"
    put_program(tmp_path, monkeypatch, "ssh", f"echo $$ >{pid}\nexec sleep 1000")
    monkeypatch.setattr(command, "QUIT_SECONDS", 1.0)
    git = Git(tmp_path, {})
    with pytest.raises(GitFailed, match="no answer within 2 s"):
        git.text("ls-remote", "ssh://git@example.org/x.git", seconds=2)
    ssh = int(pid.read_text())
    wait_until(lambda: not is_running(ssh), SOON, "ssh to be gone")


def is_running(pid: int) -> bool:
    """Whether the process does anything; nobody may have waited for it yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
