"""A commit and its files as values, and the folders of recipes and scripts. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

RECIPES = "include/recipes"
SCRIPTS = "include/startup_scripts"
GUEST = "guest"  # a folder below SCRIPTS whose files replace Bakehouse's own


class Commit(BaseModel):
    """A commit; `dirty` are uncommitted files of the work tree, logged and never baked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha: str
    ref: str
    subject: str
    author_time: AwareDatetime
    author: str
    dirty: tuple[str, ...] = ()


class GitFile(NamedTuple):
    """One file of a commit; `mode` as in git: 0o100644, 0o100755, 0o120000 (a link)."""

    mode: int
    data: bytes
