"""Open a local or remote repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.recipe.git.local import LocalRepository
from bakehouse.recipe.git.remote import RemoteRepository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bakehouse.recipe.git.repository import Repository


def open_repository(url_or_path: str | Path, env: Mapping[str, str] | None = None) -> Repository:
    """Open a repository. Raises RepositoryMissing for a path without one.

    A local path, also of a folder inside a work tree, is read in place. A remote repository is
    fetched from when something is read.
    """
    name = str(url_or_path)
    if is_remote(name):
        return RemoteRepository(name, env or {})
    return LocalRepository(name, env or {})


def is_remote(name: str) -> bool:
    """Whether git takes it for remote: a URL, or host:path without a slash before the colon."""
    return "://" in name or re.match(r"[^/]+:", name) is not None
