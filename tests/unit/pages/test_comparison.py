"""What differs between two images: files as git shows it, values, and the address of a commit."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakehouse.history.diff import diff_images
from bakehouse.history.manifest import Manifest, Package
from bakehouse.pages.airflow_sources import commit_page, pattern_of
from bakehouse.pages.comparison import changes, security_names, unified_diff

FILES = st.dictionaries(
    st.sampled_from(["a", "b", "web/c.sh"]),
    st.lists(st.sampled_from(["x", "y", "", "<b>"]), max_size=5).map(
        lambda lines: "\n".join(lines).encode()
    ),
)


def test_added_changed_and_removed_files_are_shown() -> None:
    told = unified_diff({"gone": b"a\n", "web/x": b"1\n2\n"}, {"new": b"b\n", "web/x": b"1\n3\n"})
    assert told.splitlines() == [
        *("--- a/gone", "+++ /dev/null", "@@ -1 +0,0 @@", "-a"),
        *("--- /dev/null", "+++ b/new", "@@ -0,0 +1 @@", "+b"),
        *("--- a/web/x", "+++ b/web/x", "@@ -1,2 +1,2 @@", " 1", "-2", "+3"),
    ]


def test_a_binary_file_is_named_only() -> None:
    told = unified_diff({"jar": b"\0a"}, {"jar": b"\0b"})
    assert told == "Binary files a/jar and b/jar differ"


@settings(max_examples=20)
@given(before=FILES, after=FILES)
def test_git_applies_every_diff(
    before: dict[str, bytes], after: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = {path: data for path, data in before.items() if data}
    after = {path: data for path, data in after.items() if data}
    folder = tmp_path_factory.mktemp("diff")
    for path, data in before.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    told = unified_diff(before, after)
    if told:
        command = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(command, input=f"{told}\n".encode(), cwd=folder, check=True)
    left = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    assert left == after


def test_values_that_only_one_side_has_are_changes_too() -> None:
    told = changes({"a": "1", "b": "2"}, {"b": "2", "c": "3"})
    assert [(one.name, one.old, one.new) for one in told] == [("a", "1", None), ("c", None, "3")]


def test_an_upgrade_is_marked_if_its_version_is_a_security_update() -> None:
    old, new = (
        Manifest((Package("jq", v, "amd64"), Package("openssl", v, "amd64"))) for v in ("1", "2")
    )
    diff = diff_images("old", old, "new", new)
    assert security_names(diff, frozenset({("openssl", "2"), ("jq", "3")})) == ("openssl",)


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("https://github.com/acme/images.git", "https://github.com/acme/images/commit/abcdef1"),
        ("https://jo:secret@git.example.com/a/b", "https://git.example.com/a/b/commit/abcdef1"),
        ("git@gitlab.com:a/b.git", "https://gitlab.com/a/b/-/commit/abcdef1"),
        ("ssh://git@github.com/a/b", "https://github.com/a/b/commit/abcdef1"),
        (".", None),
        ("/srv/git/images", None),
        ("file:///srv/git/images", None),
    ],
)
def test_the_page_of_a_commit_is_known_from_its_repository(
    repository: str, page: str | None
) -> None:
    assert commit_page(pattern_of(repository), "abcdef1") == page


@pytest.mark.parametrize("pattern", ["javascript:alert(1)//{sha}", "", "data:text/html,{sha}"])
def test_what_is_no_web_page_is_no_link(pattern: str) -> None:
    assert commit_page(pattern, "abcdef1") is None


def test_what_is_no_hash_gets_no_link() -> None:
    assert commit_page("https://g/{sha}", '"><script>') is None
