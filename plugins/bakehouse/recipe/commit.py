"""A commit and its files as values, and the folders of recipes and scripts. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen

RECIPES = "include/recipes"
SCRIPTS = "include/startup_scripts"
GUEST = "guest"  # a folder below SCRIPTS whose files replace Bakehouse's own


class PassedOver(Frozen):
    """A newer commit of the ref that was passed over, since its date is later than the run's."""

    sha: str
    committed: AwareDatetime


class Commit(Frozen):
    """A commit; `dirty` are uncommitted files of the work tree.

    They are logged and not baked, except by a local build, which bakes the work tree itself:
    `work_tree` says so. `passed_over` has the newest commits of the ref that are later than the
    run's time.
    """

    sha: str
    ref: str
    subject: str
    author_time: AwareDatetime
    author: str
    dirty: tuple[str, ...] = ()
    work_tree: bool = False
    passed_over: tuple[PassedOver, ...] = ()


class GitFile(NamedTuple):
    """One file of a commit; `mode` as in git: 0o100644, 0o100755, 0o120000 (a link)."""

    mode: int
    data: bytes


def shown(path: str) -> str:
    """Return a path as one line of a message: git's names may hold any byte but NUL."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
