"""Reads what two images are made of, and compares: manifests, recipe and scripts."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from bakehouse.history.comparison import changed_vars, with_security
from bakehouse.pages.answers import Comparison, ScriptDiff
from bakehouse.pages.comparison import differing_values

if TYPE_CHECKING:
    from bakehouse.history.bake_events import BakeEvent
    from bakehouse.history.comparison import Files, ValueChange
    from bakehouse.history.manifest import Manifest
    from bakehouse.pages.history_source import Snapshot

MOST_LINES = 4000  # of the diff of the scripts

log = logging.getLogger(__name__)


def compare(snapshot: Snapshot, old: str, new: str) -> Comparison:
    """Compare two images that the ledger knows.

    What cannot be read is said in the answer, and the rest is shown.
    """
    from bakehouse.history.diff import diff_images
    from bakehouse.history.manifest_store import ManifestNotFound

    model = snapshot.model
    packages, problem = None, ""
    try:
        found = diff_images(old, _manifest(old), new, _manifest(new))
        packages = with_security(found, model.fixes)
    except ManifestNotFound as missing:
        log.info("two images are compared without their packages: %s", missing)
        problem = "the manifest of one of them is missing, or cannot be read"
    except OSError as unreadable:
        problem = f"the manifests cannot be read: {type(unreadable).__name__}"
    scripts, vars_ = _sources(model.bakes[old], model.bakes[new])
    return Comparison(
        source=snapshot.source,
        old=old,
        new=new,
        packages=packages,
        packages_problem=problem,
        security=tuple(one.name for one in packages.upgraded if one.security) if packages else (),
        values=differing_values(model.by_name[old], model.by_name[new]),
        vars=vars_,
        scripts=scripts,
    )


def _sources(old: BakeEvent, new: BakeEvent) -> tuple[ScriptDiff, tuple[ValueChange, ...]]:
    from bakehouse.history.text_diff import text_diff

    shas = {"old_sha": old.git_sha, "new_sha": new.git_sha}
    try:
        files = _files(old.recipe, old.git_sha, new.recipe, new.git_sha)
    except Exception as unread:  # of git or a secrets backend; it may name what is secret
        log.warning("the sources of two images cannot be compared: %s", unread)
        problem = "one of the commits is not in the repository any more, or it cannot be read"
        if old.recipe != new.recipe:
            problem = f"they are images of two recipes, {old.recipe} and {new.recipe}"
        return ScriptDiff(**shas, problem=problem), changed_vars(old, new, None)
    return ScriptDiff(**shas, text=text_diff(*files, MOST_LINES)), changed_vars(old, new, files)


@lru_cache(maxsize=64)
def _manifest(image: str) -> Manifest:
    from bakehouse.history.location import ledger_url
    from bakehouse.history.manifest_store import read_manifest

    return read_manifest(ledger_url(), image)


@lru_cache(maxsize=32)
def _files(old_recipe: str, old_sha: str, new_recipe: str, new_sha: str) -> tuple[Files, Files]:
    from bakehouse.bake.recipe_source import GIT, RecipeSource
    from bakehouse.history.recipe_files import RecipeCommit, files_of_both

    with RecipeSource(GIT).repository() as repository:
        return files_of_both(
            repository, RecipeCommit(old_recipe, old_sha), RecipeCommit(new_recipe, new_sha)
        )
