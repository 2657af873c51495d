"""Errors of reading a repository; each message has a remedy."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from bakehouse.recipe.commit import shown


class SourceError(ValueError):
    """A commit or file cannot be read."""


class RepositoryMissing(SourceError):
    """There is no git repository, or it cannot be reached."""


class Unreachable(RepositoryMissing):
    """The server does not answer now; another try may succeed."""


class AccessRefused(SourceError):
    """The server refuses the credentials, or is not the server that it was."""


class Unsupported(SourceError):
    """A repository of a kind that cannot be baked from."""


class UnknownRef(SourceError):
    """The repository has no such branch, tag or commit, or none of that age."""


class ShallowRepository(SourceError):
    """A shallow clone lacks the history that is needed."""


class CommitGone(SourceError):
    """An earlier commit does not exist any more: the branch was rewritten (force-push)."""


class NotInCommit(SourceError):
    """The commit has no such file."""


def commit_gone(sha: str, repository: str) -> CommitGone:
    """Return the error for a commit that an earlier task has used."""
    return CommitGone(
        f"commit {sha[:12]} is not in {repository} any more, its branch was rewritten (a"
        " force-push?): clear resolve_commit and downstream to bake the current commit"
    )


def not_in(sha: str, repository: str, path: str, problem: str = "") -> NotInCommit:
    """Return the error for a path that the commit does not have, or not as a file."""
    if problem:
        return NotInCommit(
            f"{shown(path)} at commit {sha[:12]} of {repository} {problem}: commit the file itself"
        )
    return NotInCommit(
        f"commit {sha[:12]} of {repository} has no {shown(path)}: commit it, or bake a commit"
        " with it"
    )


_HOST_KEY = re.compile(r"host key|HOST IDENTIFICATION", re.IGNORECASE)
_CREDENTIALS = re.compile(
    r"authentication failed|could not read (username|password)|permission denied \(|access denied"
    r"|terminal prompts disabled|invalid credentials|returned error: 40[13]|no such identity"
    r"|http basic: ",
    re.IGNORECASE,
)
_OBJECT_FORMAT = re.compile(r"mismatched algorithms|object[- ]format", re.IGNORECASE)


def fetch_error(url: str, reason: str, output: str) -> SourceError:
    """Return what a failed fetch means: the server's key, the credentials, or no answer."""
    where = without_password(url)
    said = reason.replace(url, where)
    if _HOST_KEY.search(output):
        return AccessRefused(
            f"cannot fetch {where}: its host key is not the known one ({said}): if the server has a"
            " new key, add it to known_hosts of the git connection"
        )
    if _CREDENTIALS.search(output):
        return AccessRefused(
            f"cannot fetch {where}: the server refuses the credentials ({said}): correct login,"
            " password or key of the git connection"
        )
    if _OBJECT_FORMAT.search(output):
        return sha256_repository(where)
    if "not allowed" in output and "transport" in output:
        return Unsupported(f"cannot fetch {where}: {said}: use https, ssh, git or file")
    return Unreachable(f"cannot fetch {where}: {said}")


def sha256_repository(name: str) -> Unsupported:
    """Return the error for a repository whose hashes do not fit a label."""
    return Unsupported(
        f"{name} uses object format sha256: a hash of 64 characters does not fit a label of"
        " Compute Engine (63): bake from a repository with object format sha1"
    )


def without_password(url: str) -> str:
    """Return a URL as a log may show it."""
    try:
        parts = urlsplit(url)
        if not parts.password:
            return url
    except ValueError:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))
