"""The repository of the `git` connection, and what a plan's commit says, read once more.

Rendered scripts are never handed on: whoever needs them reads them at the plan's commit again,
and the content key proves that nothing has changed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from airflow.sdk import BaseHook

from bakehouse.bake.plan import BakePlan
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.commit import Commit
from bakehouse.recipe.content_key import content_key
from bakehouse.recipe.git.errors import RepositoryMissing
from bakehouse.recipe.git.open import is_remote, open_repository
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.model import Recipe, Scalar
from bakehouse.recipe.render import Rendered, render

PROJECT_ROOT = Path(__file__).resolve().parents[3]  # the folder that holds plugins/ and dags/


@contextmanager
def repository(conn_id: str) -> Generator[Repository]:
    """The repository of a connection: its host is a URL, or a path relative to the project.

    What is wrong with repository, commit or recipe leaves as PermanentError; a remote that does
    not answer as TransientError.
    """
    host = BaseHook.get_connection(conn_id).host or "."
    remote = is_remote(host)
    try:
        if remote:
            with _remote(conn_id) as found:
                yield found
        else:
            with open_repository(PROJECT_ROOT / host) as found:
                yield found
    except RepositoryMissing as missing:
        raise (TransientError if remote else PermanentError)(str(missing)) from missing
    except ValueError as wrong:  # SourceError, Mistakes, RenderError, TooBig
        raise PermanentError(str(wrong)) from wrong


@contextmanager
def _remote(conn_id: str) -> Generator[Repository]:
    from airflow.providers.git.hooks.git import GitHook

    hook = GitHook(git_conn_id=conn_id)
    with hook.configure_hook_env(), open_repository(str(hook.repo_url), hook.env) as found:
        yield found


def rendered_at(
    found: Repository,
    recipe: str,
    commit: Commit,
    override: dict[str, Scalar],
    snapshot: str | None = None,
) -> Rendered:
    """Recipe and scripts of a commit, rendered with the run's vars and day."""
    at_commit = recipe_at(found, commit.sha, recipe)
    return render(at_commit, commit, scripts_at(found, commit.sha, at_commit), override, snapshot)


def recipe_for(conn_id: str, plan: BakePlan) -> Recipe:
    """The recipe as the plan's commit has it."""
    with repository(conn_id) as found:
        return recipe_at(found, plan.commit.sha, plan.recipe)


def rendered_for(conn_id: str, plan: BakePlan) -> Rendered:
    """The same for a plan, with the proof that it is what was planned."""
    with repository(conn_id) as found:
        rendered = rendered_at(found, plan.recipe, plan.commit, plan.vars, plan.snapshot)
    key = content_key(rendered, rendered.recipe.builder, plan.base_image.id)
    if key != plan.content_key:
        raise PermanentError(
            f"commit {plan.short_sha} gives content key {key}, the plan says {plan.content_key}:"
            " this worker runs another version of Bakehouse; clear plan_bake and downstream"
        )
    return rendered
