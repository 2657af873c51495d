"""Whichever kind of repository a name is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bakehouse.recipe.git.local import LocalRepository
from bakehouse.recipe.git.remote import RemoteRepository
from bakehouse.recipe.git.repository import Repository


def open_repository(url_or_path: str | Path, env: Mapping[str, str] | None = None) -> Repository:
    """A local path (also of a folder inside a work tree) is read where it is; nothing is copied.

    A remote one is asked when something is read: only then is it known what has to be fetched.
    Raises RepositoryMissing for a path that is none.
    """
    name = str(url_or_path)
    if is_remote(name):
        return RemoteRepository(name, env or {})
    return LocalRepository(name, env or {})


def is_remote(name: str) -> bool:
    """As git decides: a URL, or host:path with no slash before the colon."""
    return "://" in name or re.match(r"[^/]+:", name) is not None
