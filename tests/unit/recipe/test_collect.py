"""Every file of a recipe's folder reaches the builder as the work tree has it, or is named."""

from __future__ import annotations

import io
import os
import tarfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakehouse.recipe.collect import Collected, collect
from bakehouse.recipe.commit import SCRIPTS, GitFile, shown
from bakehouse.recipe.git.work_tree import work_tree
from bakehouse.recipe.lfs import LargeFileMissing, Pointer
from bakehouse.recipe.payload import pack
from bakehouse.recipe.snapshot import LINK, SUBMODULE, Entry, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FILE, PROGRAM = 0o100644, 0o100755
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 3\n" % (b"0" * 64)


class Memory:
    """A repository as a dictionary; a text is a file, a tuple a mode and a content."""

    def __init__(self, prefix: str = "", **filters: str) -> None:
        self.name, self.prefix, self._filters = "the repository", prefix, filters
        self.names: dict[str, tuple[int, bytes]] = {}

    def tree(self, folder: str) -> Mapping[str, Entry]:
        below = f"{folder}/" if folder else ""
        return {p: Entry(mode, p) for p, (mode, _) in self.names.items() if p.startswith(below)}

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        return [self.names[path][1] for path in oids]

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        return {p: self._filters[Path(p).name] for p in paths if Path(p).name in self._filters}

    def large(self, pointer: Pointer) -> bytes:
        raise LargeFileMissing(f"nobody has {pointer.oid[:4]}")


def link(target: str) -> tuple[int, bytes]:
    return LINK, os.fsencode(target)


def collected(files: Mapping[str, Any], prefix: str = "", **filters: str) -> Collected:
    """The files of `app`; paths begin below SCRIPTS, or with / at the repository's top."""
    source = Memory(prefix, **filters)
    for path, what in files.items():
        full = path[1:] if path.startswith("/") else f"{prefix}{SCRIPTS}/{path}"
        data = what.encode() if isinstance(what, str) else what
        source.names[full] = data if isinstance(data, tuple) else (FILE, data)
    return collect(Snapshot(source), "app")


INSTALL = {"app/install.sh.j2": "true\n"}


def test_every_file_with_its_mode_and_bytes() -> None:
    odd: dict[str, bytes] = {
        "app/README.md": b"# x\n",
        "app/empty": b"",
        "app/a b": b"\0\xff\r\n",
        'app/"quotes"\n': b"x",
        "app/-rf": b"x",
        "app/K": b"1",
        "app/k": b"2",
        "app/\udcff\udcfe": b"x",
        "app/.gitignore": b"*",
        f"app/{'d' * 200}/{'n' * 255}": b"x",
        "app/café": b"NFC",
        "app/cafe\u0301": b"NFD",
    }
    found = collected({**INSTALL, **odd, "app/bin/run": (PROGRAM, b"#!/bin/sh\n")})
    assert found.mistakes == []
    assert found.files["app/bin/run"] == GitFile(PROGRAM, b"#!/bin/sh\n")
    assert {path: found.files[path].data for path in odd} == odd
    with tarfile.open(fileobj=io.BytesIO(pack(found.files))) as tar:
        assert sorted(tar.getnames()) == sorted(found.files)


@pytest.mark.parametrize(
    ("path", "target", "files"),
    [
        ("app/lib.sh", "../shared/lib.sh", {}),
        ("app/install.sh.j2", "../shared/lib.sh", {}),
        ("app/smoke_test.sh", "common.sh", {"app/common.sh": "lib"}),
        ("app/health", "bin/health", {"app/bin/health": "lib"}),
        ("app/lib.sh", "../chain", {"chain": link("shared/lib.sh")}),
        ("app/lib.sh", "../../../lib.sh", {"/lib.sh": "lib"}),
        ("app/lib.sh", "../app/other.sh", {"app/other.sh": "lib"}),  # the builder has no app/
        ("app/lib.sh", "../alias/lib.sh", {"alias": link("shared")}),
        ("app/templates/etc/a.j2", "b.j2", {"app/templates/etc/b.j2": "lib"}),
        ("app/templates/etc/a", "b.j2", {"app/templates/etc/b.j2": "lib"}),
        ("app/templates/etc/a", "../../files/a", {"app/files/a": "lib"}),
        ("app/copy", "install.sh.j2", {"app/install.sh.j2": "lib"}),  # there it is install.sh
        ("app/README.md", "../../../README.md", {"/README.md": "lib"}),
    ],
)
def test_a_link_means_the_file_it_points_to(path: str, target: str, files: dict[str, Any]) -> None:
    found = collected({"shared/lib.sh": "lib", **files, path: link(target)})
    assert found.mistakes == []
    assert found.files[path] == GitFile(FILE, b"lib")


def test_a_link_has_the_mode_of_its_target() -> None:
    found = collected({"app/run": link("../run"), "run": (PROGRAM, b"x")})
    assert found.files["app/run"] == GitFile(PROGRAM, b"x")


@pytest.mark.parametrize("target", ["lib.sh", "./sub/../lib.sh", "sub/deep", "sub", "/etc/motd"])
def test_a_link_that_stays_inside_the_folder_or_means_the_machine_stays_a_link(target: str) -> None:
    files = {"app/lib.sh": "x", "app/sub/deep/file": "x"}
    found = collected({**files, "app/link": link(target)})
    assert found.mistakes == []
    assert found.files["app/link"] == GitFile(LINK, target.encode())


def test_a_linked_folder_is_all_that_lies_in_it() -> None:
    shared: dict[str, Any] = {
        "shared/a": "1",
        "shared/sub/b": (PROGRAM, b"2"),
        "shared/sub/c": link("../a"),
    }
    found = collected({**INSTALL, **shared, "app/lib": link("../shared")})
    assert found.mistakes == []
    assert found.files["app/lib/a"] == GitFile(FILE, b"1")
    assert found.files["app/lib/sub/b"] == GitFile(PROGRAM, b"2")
    assert found.files["app/lib/sub/c"] == GitFile(FILE, b"1")
    whole = collected({"web/install.sh.j2": "x", "app": link("web")})
    assert whole.files["app/install.sh.j2"] == GitFile(FILE, b"x")


def test_a_project_below_the_repositorys_top_may_link_to_what_lies_beside_it() -> None:
    files: dict[str, Any] = {
        "/common/lib.sh": "lib",
        "app/lib.sh": link("../../../../common/lib.sh"),
    }
    found = collected({**INSTALL, **files}, prefix="infra/")
    assert found.files["app/lib.sh"] == GitFile(FILE, b"lib")
    moved: dict[str, Any] = {
        "/real/app/install.sh.j2": "{% include 'web/install.sh.j2' %}",
        "/real/web/install.sh.j2": "x",
        f"/{SCRIPTS}": link("../real"),
        "/include/x": "x",
    }
    assert "web/install.sh.j2" in collected(moved).files


@pytest.mark.parametrize(
    ("files", "path", "words"),
    [
        ({"app/a": link("gone")}, "app/a", "leads to include/startup_scripts/app/gone, which does"),
        ({"app/a": link("../gone/b")}, "app/a", "which does not exist"),
        ({"app/a": link("a")}, "app/a", "leads back to itself"),
        ({"app/a": link("b"), "app/b": link("a")}, "app/b", "leads back to itself"),
        ({"app/a": link("../../../../etc/passwd")}, "app/a", "leads out of the repository"),
        ({"app/a": link("")}, "app/a", "has no target"),
        ({"app/a": link("..")}, "app/a", "contains it"),
        ({"app/health": link("/usr/bin/true")}, "app/health", "leads to /usr/bin/true"),
        ({"app/a": link("file/b"), "app/file": "x"}, "app/a", "does not exist"),
        ({"app/a": link("file/."), "app/file": "x"}, "app/a", "does not exist"),
        ({"app/vendor": (SUBMODULE, b"")}, "app/vendor", "is a submodule"),
        ({"app/a": link("../sub/x"), "sub": (SUBMODULE, b"")}, "app/a", "leads into the submodule"),
        ({"app/lib": link("../s"), "s/v": (SUBMODULE, b"")}, "app/lib/v", "is a submodule"),
        ({"app/agent.deb": POINTER}, "app/agent.deb", "is kept in Git LFS (3 bytes), and nobody"),
        ({"app/key": b"\0GITCRYPT\0abc"}, "app/key", "is encrypted by git-crypt"),
        ({"app/secret": "x"}, "app/secret", "has the git attribute filter=sops"),
        ({f"app/{'ä' * 128}": "x"}, f"app/{'ä' * 128}", "has a name of more than 255 bytes"),
        ({f"app/{'x/' * 1800}y": "x"}, f"app/{'x/' * 1800}y", "has a path of more than 3,500"),
        ({"app/x/../../../etc/cron.d/x": "x"}, "app/x/../../../etc/cron.d/x", "no work tree"),
        ({"app/.GIT/config": "x"}, "app/.GIT/config", "no work tree can have"),
        ({"app/a\nb\udcff": link("gone")}, "app/a\\nb\\xff", "does not exist"),
        ({"app": link("gone")}, "app", "which does not exist"),
        ({"app/install.sh.j2": link("../x.sh")}, "app/install.sh.j2", "does not exist"),
    ],
)
def test_what_cannot_reach_a_builder_is_named(files: dict[str, Any], path: str, words: str) -> None:
    found = collected({"other/x": "x", **files}, secret="sops")
    named = {mistake.file: str(mistake) for mistake in found.mistakes}
    assert words in named[f"{SCRIPTS}/{path}"]
    assert all("\n" not in text and text.encode() for text in named.values())
    assert path not in found.files or files.get(path, ("",))[0] != LINK


def test_what_is_wrong_beside_the_folder_is_no_mistake_of_the_recipe() -> None:
    beside: dict[str, Any] = {
        "other/a": link("gone"),
        "other/b": POINTER,
        "other/v": (SUBMODULE, b""),
    }
    assert collected({**INSTALL, **beside}).mistakes == []


def test_of_other_folders_only_those_are_read_that_a_script_includes() -> None:
    """Also through what is included, and of a folder that is a link."""
    files: dict[str, Any] = {
        "app/install.sh.j2": "{% include 'shared/a' %}\n",
        "shared/a": "{% include 'alias/c' %}{% include 'app/own' %}\n",
        "app/own": "{% include ['gone/x', 'fourth/d'] %}",
        "shared/b": "b",
        "real/c": "c",
        "alias": link("real"),
        "fourth/d": "d",
        "other/install.sh.j2": "{% include 'fifth/e' %}",
        "fifth/e": "e",
    }
    found = collected(files)
    assert found.mistakes == []
    assert set(found.files) == {
        *("app/install.sh.j2", "app/own", "shared/a", "shared/b", "alias/c", "fourth/d")
    }


def test_links_that_multiply_end() -> None:
    levels = {f"s{n}/{name}": link(f"../s{n + 1}") for n in range(40) for name in "abc"}
    found = collected({**INSTALL, **levels, "s40/file": "x", "app/boom": link("../s0")})
    assert any("has more than" in mistake.problem for mistake in found.mistakes)


NAMES = st.sampled_from(["a", "b", "c.sh", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TOPS = st.sampled_from(["app", "shared"])
STEPS = st.sampled_from(["..", ".", "a", "b", "c.sh", "d", "app", "shared"])
TARGETS = st.lists(STEPS, min_size=1, max_size=5).map("/".join)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(TOPS, PATHS), max_size=8),
    st.lists(st.tuples(TOPS, PATHS, TARGETS), min_size=1, max_size=6),
)
def test_whatever_links_there_are_the_builder_reads_what_the_work_tree_has(
    files: list[tuple[str, str]], links: list[tuple[str, str, str]]
) -> None:
    with TemporaryDirectory() as folder:
        scripts = Path(folder) / "project" / SCRIPTS
        (scripts / "app").mkdir(parents=True)
        for number, (top, path) in enumerate(files):
            make(scripts / top / path, partial(Path.write_text, data=f"{number}"))
        for top, path, target in links:
            make(scripts / top / path, partial(Path.symlink_to, target=target))
        with work_tree(Path(folder) / "project" / "include") as snapshot:
            found = collect(snapshot, "app")
        builder = Path(folder) / "builder"
        unpacked = {p.removeprefix("app/"): f for p, f in found.files.items() if p[:4] == "app/"}
        with tarfile.open(fileobj=io.BytesIO(pack(unpacked))) as tar:
            tar.extractall(builder, filter="fully_trusted")
        told = {Path(m.file).relative_to(f"{SCRIPTS}/app") for m in found.mistakes}
        for where, below, names in os.walk(scripts / "app"):
            for name in (*names, *below):
                here = Path(where, name)
                own = here.relative_to(scripts / "app")
                if told & {own, *own.parents} or (told and here.is_dir()):
                    continue  # what is told may have been all that a folder has
                there = builder / own
                assert here.exists() == there.exists(), own
                assert here.is_dir() == there.is_dir(), own
                if here.is_file():
                    assert here.read_text() == there.read_text(), own


def make(file: Path, how: Callable[[Path], object]) -> None:
    """Make a file unless something is in its way."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(file):
            how(file)
    except OSError:
        pass


@given(st.binary(min_size=1, max_size=60).map(os.fsdecode))
def test_every_name_can_be_shown_on_one_line(name: str) -> None:
    assert shown(name).isprintable()
    shown(name).encode()
