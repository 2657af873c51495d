"""What differs between two images: values, and the address of a commit."""

from __future__ import annotations

import pytest

from bakehouse.history.comparison import changes
from bakehouse.pages.airflow_sources import commit_page, pattern_of


def test_values_that_only_one_side_has_are_changes_too() -> None:
    told = changes({"a": "1", "b": "2"}, {"b": "2", "c": "3"})
    assert [(one.name, one.old, one.new) for one in told] == [("a", "1", None), ("c", None, "3")]


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
