"""Reads what two images are made of, and compares: manifests, recipe and scripts."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from bakehouse.history.comparison import changes, with_security
from bakehouse.pages.answers import Comparison, ScriptDiff
from bakehouse.pages.comparison import differing_values

if TYPE_CHECKING:
    from bakehouse.bake.recipe_source import Sources
    from bakehouse.history.bake_events import BakeEvent
    from bakehouse.history.comparison import ValueChange
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
        before, after = _at_commit(old), _at_commit(new)
    except Exception as unread:  # of git, a secrets backend, or a recipe of another version
        log.warning("the sources of two images cannot be compared: %s", unread)
        problem = "one of the commits is not in the repository any more, or it cannot be read"
        return ScriptDiff(**shas, problem=problem), ()
    old_text, new_text = (
        {path: file.data for path, file in one.files.items() if not path.startswith("guest/")}
        for one in (before, after)
    )
    had, has = (
        {name: str(value) for name, value in one.recipe.vars.items()} for one in (before, after)
    )
    return ScriptDiff(**shas, text=text_diff(old_text, new_text, MOST_LINES)), changes(had, has)


@lru_cache(maxsize=64)
def _manifest(image: str) -> Manifest:
    from bakehouse.history.location import ledger_url
    from bakehouse.history.manifest_store import read_manifest

    return read_manifest(ledger_url(), image)


def _at_commit(bake: BakeEvent) -> Sources:
    return _read(bake.recipe, bake.git_sha, bake.detail.commit.model_dump_json())


@lru_cache(maxsize=64)
def _read(recipe: str, _sha: str, commit: str) -> Sources:
    from bakehouse.bake.recipe_source import GIT, RecipeSource
    from bakehouse.recipe.commit import Commit

    return RecipeSource(GIT).read(recipe, Commit.model_validate_json(commit))
