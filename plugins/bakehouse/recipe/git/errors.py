"""Errors of reading a repository; each message has a remedy."""

from __future__ import annotations


class SourceError(ValueError):
    """A commit or file cannot be read."""


class RepositoryMissing(SourceError):
    """There is no git repository, or it cannot be reached."""


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
