"""Recipes and scripts of a bake: read from git once, then from the stored bundle."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, conf

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.bundle import BadBundle, Bundle
from bakehouse.recipe.git.command import GitFailed
from bakehouse.recipe.git.errors import RepositoryMissing, Unreachable, without_password
from bakehouse.recipe.git.open import is_remote, open_repository
from bakehouse.recipe.git.work_tree_repository import WorkTreeRepository
from bakehouse.recipe.render import Rendered, render

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from bakehouse.bake.bundle_store import BundleStore
    from bakehouse.bake.plan import BakePlan
    from bakehouse.recipe.commit import Commit, GitFile
    from bakehouse.recipe.git.repository import Repository
    from bakehouse.recipe.model import Recipe, Scalar

GIT = "bakehouse_repo"  # the connection, unless an operator is given another
WORK_TREE = "work_tree"  # in its extra: bake what lies there, committed or not (local builds)
log = logging.getLogger(__name__)

REPLAN = "clear plan_bake and downstream"


def bundle_store() -> BundleStore:
    """Return the store beside the ledger; only tasks import the object store libraries."""
    from bakehouse.bake.bundle_store import BundleStore
    from bakehouse.history.location import ledger_url

    return BundleStore(ledger_url())


@dataclass(frozen=True)
class Sources:
    """A recipe and its scripts at a commit."""

    recipe: Recipe
    commit: Commit
    files: Mapping[str, GitFile]

    def render(self, override: Mapping[str, Scalar], snapshot: str | None) -> Rendered:
        """Render with the run's vars and date. Raises PermanentError."""
        try:
            return render(self.recipe, self.commit, self.files, override, snapshot)
        except ValueError as wrong:  # RenderError
            raise PermanentError(str(wrong)) from wrong


class RecipeSource:
    """The repository of a `git` connection, and the bundles rendered from it.

    A mistake in repository, commit or recipe is a PermanentError; a remote that does not answer is
    a TransientError.

    Args:
        conn_id: The connection; its host is a URL, or a path relative to the project.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    def resolve(self, recipe: str, ref: str, not_after: datetime) -> Commit:
        """Return the newest commit of the ref that is not later; it must contain the recipe."""
        with self.repository() as repository:
            commit = repository.resolve(ref, not_after)
            recipe_at(repository, commit.sha, recipe)
        return commit

    def newest(self, recipes: Iterable[str]) -> tuple[Commit, list[str]]:
        """Return the newest commit, and those of the recipes that cannot be read from it."""
        missing = []
        with self.repository() as repository:
            commit = repository.resolve("HEAD", datetime.now(UTC))
            for recipe in recipes:
                try:
                    recipe_at(repository, commit.sha, recipe)
                except ValueError:  # SourceError, Mistakes
                    missing.append(recipe)
        return commit, missing

    def read(self, recipe: str, commit: Commit) -> Sources:
        """Read the recipe and its scripts, with one fetch."""
        with self.repository() as repository:
            at_commit = recipe_at(repository, commit.sha, recipe)
            return Sources(at_commit, commit, scripts_at(repository, commit.sha, at_commit))

    def bundle_of(self, plan: BakePlan) -> Bundle:
        """Return the bundle of plan_bake; render it again from the commit if it was deleted."""
        store = bundle_store()
        try:
            bundle = store.get(plan.recipe, plan.content_key)
        except BadBundle as damaged:
            raise PermanentError(f"{damaged}: {REPLAN}") from damaged
        if bundle is None:
            log.warning(
                "bundle %s did not exist any more and was rendered again from %s",
                plan.content_key,
                plan.short_sha,
            )
            bundle = self._made_again(plan)
            store.put(bundle)
        return bundle

    def _made_again(self, plan: BakePlan) -> Bundle:
        rendered = self.read(plan.recipe, plan.commit).render(plan.vars, plan.snapshot)
        bundle = Bundle(rendered, plan.base_image.id)
        if bundle.content_key != plan.content_key:
            raise PermanentError(
                f"commit {plan.short_sha} has content key {bundle.content_key} instead of"
                f" {plan.content_key}: this worker runs another version of Bakehouse; {REPLAN}"
            )
        return bundle

    @contextmanager
    def repository(self) -> Generator[Repository]:
        """Open the repository; the errors that come of it are translated as above."""
        connection = BaseHook.get_connection(self._conn_id)
        host = connection.host or "."
        remote = is_remote(host)
        work_tree = bool(connection.extra_dejson.get(WORK_TREE))
        try:
            with self._remote() if remote else _opened(_local(host), work_tree) as repository:
                yield repository
        except Unreachable as silent:
            raise TransientError(str(silent)) from silent
        except RepositoryMissing as missing:
            raise (TransientError if remote else PermanentError)(str(missing)) from missing
        except GitFailed as failed:
            raise PermanentError(f"cannot read {without_password(host)}: {failed}") from failed
        except ValueError as wrong:  # SourceError, Mistakes
            raise PermanentError(str(wrong)) from wrong

    @contextmanager
    def _remote(self) -> Generator[Repository]:
        from airflow.providers.git.hooks.git import GitHook

        hook = GitHook(git_conn_id=self._conn_id)
        with hook.configure_hook_env(), open_repository(str(hook.repo_url), hook.env) as repository:
            yield repository


def _opened(path: Path, work_tree: bool) -> Repository:
    return WorkTreeRepository(path) if work_tree else open_repository(path)


def _local(host: str) -> Path:
    """Resolve a relative path from the folder that contains the DAGs folder."""
    return Path(conf.get("core", "dags_folder")).parent / host
