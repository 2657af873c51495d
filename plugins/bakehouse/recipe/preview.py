"""What a recipe of a work tree renders to, for people who look before they bake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.core.nearest import did_you_mean
from bakehouse.guest.render import SECONDS, Entry, context, render_limited
from bakehouse.recipe.at_commit import scripts_in
from bakehouse.recipe.commit import RECIPES, Commit
from bakehouse.recipe.facts import BaseFacts, ImageFacts
from bakehouse.recipe.git.work_tree import work_tree
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.mistakes import Mistakes
from bakehouse.recipe.payload import TooBig
from bakehouse.recipe.render import Rendered, RenderError, render
from bakehouse.recipe.templates import TEMPLATES, Faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bakehouse.recipe.model import Recipe

_OF_THE_RECIPE = "recipe/"
_NOBODY = "preview"


class CannotPreview(ValueError):
    """The recipe does not exist, or has mistakes; the message has all of them, one a line."""


def own_scripts(include: Path, name: str) -> dict[str, str]:
    """Return the recipe's own scripts as the builder runs them, by name. Raises CannotPreview."""
    _, rendered = _rendered(include, name)
    files = {
        path.removeprefix(_OF_THE_RECIPE): file.data.decode("utf-8", "replace")
        for path, file in rendered.files.items()
        if path.startswith(_OF_THE_RECIPE) and path.endswith(".sh")
    }
    return {path: text for path, text in files.items() if not path.startswith(TEMPLATES)}


def boot_files(
    include: Path, name: str, metadata: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the files that an instance renders when it boots, by their path below /.

    Args:
        include: The project's include/.
        name: The recipe's name.
        metadata: Attributes of the instance, in place of those of the smoke test.

    Raises:
        CannotPreview: A template fails with this metadata, or the recipe has mistakes.
    """
    recipe, rendered = _rendered(include, name)
    prefix = f"{_OF_THE_RECIPE}{TEMPLATES}"
    entries = [
        Entry(path.removeprefix(prefix), file.mode, file.data)
        for path, file in sorted(rendered.files.items())
        if path.startswith(prefix)
    ]
    names = context(_instance(recipe, metadata or {}), {}, _facts(recipe).model_dump(mode="json"))
    done, wrong = render_limited(entries, names, SECONDS)
    if wrong:
        raise CannotPreview("\n".join(wrong))
    return {entry.path: entry.data.decode("utf-8", "replace") for entry in done}


def _rendered(include: Path, name: str) -> tuple[Recipe, Rendered]:
    file = include / "recipes" / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.yaml"))
        raise CannotPreview(f"{RECIPES}/{name}.yaml does not exist{did_you_mean(name, known)}")
    try:
        recipe = load_recipe(file.read_bytes(), f"{RECIPES}/{name}.yaml")
        with work_tree(include) as snapshot:
            scripts = scripts_in(snapshot, recipe.scripts)
            if scripts.mistakes:
                raise Mistakes(scripts.mistakes)
            return recipe, render(recipe, _COMMIT, scripts.files)
    except (Mistakes, RenderError, TooBig, Faults) as wrong:
        raise CannotPreview(str(wrong)) from None


def _instance(recipe: Recipe, metadata: Mapping[str, str]) -> dict[str, object]:
    """What the metadata server says of an instance, as far as it is known without one."""
    attributes = {**recipe.smoke.metadata, **metadata}
    return {"name": _NOBODY, "zone": recipe.builder.zones[0], "attributes": attributes}


def _facts(recipe: Recipe) -> ImageFacts:
    return ImageFacts(
        recipe=recipe.name,
        image=_NOBODY,
        git_sha=_COMMIT.sha,
        content_key=_NOBODY,
        base_image=BaseFacts(name=str(recipe.base), id="0"),
        vars=recipe.vars,
        services=recipe.services,
        run=_NOBODY,
    )


_COMMIT = Commit(
    sha="0" * 40,
    ref="HEAD",
    subject="the work tree",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="",
)
