"""The code does on Google Cloud what it does on one machine: the connection alone differs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = PROJECT / "plugins" / "bakehouse"
# `bakehouse build`, `run`, `test` and `shell` start a localgce of their own: local is what they are
LOCAL = {"local", "cli/local.py"}


def names_and_texts(path: Path) -> Iterator[str]:
    """The identifiers and the texts of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_only_local_builds_and_links_to_pages_know_that_there_is_a_localgce() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not LOCAL & {str(path.relative_to(PACKAGE)), path.relative_to(PACKAGE).parts[0]}
        for text in names_and_texts(path)
        if "localgce" in text.lower() and "\n" not in text
    }
    assert found == {"cloud/console_pages.py"}


def test_the_clients_alone_read_the_endpoint_of_the_connection() -> None:
    asking = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not LOCAL & {str(path.relative_to(PACKAGE)), path.relative_to(PACKAGE).parts[0]}
        for text in names_and_texts(path)
        if text == "api_endpoint"
    }
    assert asking == {"cloud/calls.py", "config/settings_values.py"}
