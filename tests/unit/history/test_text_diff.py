"""The difference between the files of two folders, as git shows and applies it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from bakehouse.history.text_diff import text_diff

if TYPE_CHECKING:
    import pytest

FILES = st.dictionaries(
    st.sampled_from(["a", "b", "web/c.sh"]),
    st.lists(st.sampled_from(["x", "y", "", "<b>"]), max_size=5).map(
        lambda lines: "\n".join(lines).encode()
    ),
)


def test_added_changed_and_removed_files_are_shown() -> None:
    told = text_diff({"gone": b"a\n", "web/x": b"1\n2\n"}, {"new": b"b\n", "web/x": b"1\n3\n"})
    assert told.splitlines() == [
        *("--- a/gone", "+++ /dev/null", "@@ -1 +0,0 @@", "-a"),
        *("--- /dev/null", "+++ b/new", "@@ -0,0 +1 @@", "+b"),
        *("--- a/web/x", "+++ b/web/x", "@@ -1,2 +1,2 @@", " 1", "-2", "+3"),
    ]


def test_a_binary_file_is_named_only() -> None:
    told = text_diff({"jar": b"\0a"}, {"jar": b"\0b"})
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
    told = text_diff(before, after)
    if told:
        command = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(command, input=f"{told}\n".encode(), cwd=folder, check=True)
    left = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    assert left == after


def test_a_file_without_a_last_line_feed_says_so_and_only_line_feeds_end_a_line() -> None:
    told = text_diff({"x": b"1\x0b2\n"}, {"x": b"1\x0b3"})
    assert told.splitlines()[-1] == "\\ No newline at end of file"
    assert "-1\x0b2\n+1\x0b3\n" in told


def test_a_long_difference_is_cut_and_says_how_much_is_missing() -> None:
    told = text_diff({}, {"x": b"1\n2\n3\n"}, most=4)
    assert told.splitlines()[-1] == "... and 2 lines more"
    assert text_diff({}, {"x": b"1\n"}, most=4).splitlines()[-1] == "+1"
