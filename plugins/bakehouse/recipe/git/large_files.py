"""Get what Git LFS keeps outside of a repository, without its configuration."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bakehouse.recipe.git.command import FETCH_SECONDS, Git, GitFailed
from bakehouse.recipe.git.errors import Unreachable, without_password
from bakehouse.recipe.lfs import MAX_BYTES, LargeFileMissing, Pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_ANSWER = re.compile(
    r"dial tcp|connection re|no answer within|timeout|timed out|temporary failure|error: 5\d\d"
    r"|server error|no such host|could not resolve|network is unreachable|EOF",
    re.IGNORECASE,
)


def stored(pointer: Pointer, git_folder: Path) -> bytes | None:
    """Return the content that a clone has fetched before, if it is whole."""
    if pointer.size > MAX_BYTES:
        return None
    oid = pointer.oid
    file = git_folder / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return data if pointer.holds(data) else None


def fetch(pointer: Pointer, url: str, env: Mapping[str, str]) -> bytes:
    """Fetch the content from the LFS server of a remote. Raises LargeFileMissing, Unreachable.

    Neither .lfsconfig nor the configuration of a clone is read: they may name programs, and servers
    that would be shown the credentials.
    """
    if pointer.size > MAX_BYTES:
        raise LargeFileMissing(f"it has {pointer.size:,} bytes, more than fit a builder's metadata")
    if shutil.which("git-lfs") is None:
        raise LargeFileMissing("git-lfs is not installed here")
    with TemporaryDirectory(prefix="bakehouse-lfs-") as folder:
        try:
            outside = Git(Path(folder), env)
            outside.text("init", "--quiet", "--bare", "--template=", folder)
            outside.text("config", "remote.origin.url", url)
            outside.text("config", "lfs.transfer.maxretries", "2")
            data = outside.bytes("lfs", "smudge", stdin=pointer.text, seconds=FETCH_SECONDS)
        except GitFailed as failed:
            where = without_password(url)
            reason = str(failed).replace(url, where)
            if _NO_ANSWER.search(failed.output):
                message = f"the LFS server of {where} does not answer: {reason}"
                raise Unreachable(message) from failed
            message = f"the LFS server of {where} does not give it: {reason}"
            raise LargeFileMissing(message) from failed
    if not pointer.holds(data):
        raise LargeFileMissing("git-lfs gave other content than the pointer names")
    return data
