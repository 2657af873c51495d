"""Why a repository cannot give what it was asked for; each message says what to do about it."""

from __future__ import annotations


class SourceError(ValueError):
    """What was asked for cannot be read."""


class RepositoryMissing(SourceError):
    """No git repository there, or none that answers."""


class UnknownRef(SourceError):
    """The repository has no such branch, tag or commit, or none of that age."""


class ShallowRepository(SourceError):
    """The history that would answer was cut off by a shallow clone."""


class CommitGone(SourceError):
    """A commit that was there is not to be had any more: the branch was rewritten (force-push)."""


class NotInCommit(SourceError):
    """The commit has no such file."""


def commit_gone(sha: str, repository: str) -> CommitGone:
    """The error for a commit that an earlier task has seen."""
    return CommitGone(
        f"commit {sha[:12]} is not in {repository} any more, its branch was rewritten (a"
        " force-push?): clear resolve_commit and downstream to bake what is there now"
    )
