"""What a local build would bake: the recipe in the work tree, rendered, and its content key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.selection import is_ready, newest_local
from bakehouse.local.errors import LocalError
from bakehouse.recipe.at_commit import recipe_at, scripts_at
from bakehouse.recipe.base import BaseFamily, BaseRecipe
from bakehouse.recipe.bundle import Bundle
from bakehouse.recipe.commit import GUEST, RECIPES
from bakehouse.recipe.git.command import GitFailed
from bakehouse.recipe.git.work_tree_repository import WorkTreeRepository
from bakehouse.recipe.install_parts import parts_in
from bakehouse.recipe.mistakes import did_you_mean
from bakehouse.recipe.render import Rendered, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from bakehouse.local.client import Client
    from bakehouse.recipe.commit import Commit, GitFile
    from bakehouse.recipe.model import Recipe, Scalar


@dataclass(frozen=True)
class Content:
    """A recipe of the work tree."""

    recipe: Recipe
    commit: Commit
    rendered: Rendered
    guest: Mapping[str, GitFile]  # Bakehouse's scripts, as the project has them
    parts: tuple[str, ...]  # the rendered scripts of the install, in order

    @property
    def state(self) -> str:
        """The commit, and whether there is more than it, for people."""
        count = len(self.commit.dirty)
        more = f", dirty: {count} uncommitted change{'s'[: count != 1]}" if count else ""
        return f"{self.commit.sha[:7]}{more}"


def read_content(project: Path, name: str, override: Mapping[str, Scalar]) -> Content:
    """Read and render a recipe of the work tree. Raises LocalError with all its mistakes."""
    folder = project / RECIPES
    if not (folder / f"{name}.yaml").is_file():
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        raise LocalError(f"there is no recipe {name!r} in {RECIPES}/. {did_you_mean(name, known)}")
    try:
        with WorkTreeRepository(project) as tree:
            commit = tree.resolve("HEAD")
            recipe = recipe_at(tree, commit.sha, name)
            files = scripts_at(tree, commit.sha, recipe)
        rendered = render(recipe, commit, files, override)
    except (ValueError, GitFailed) as wrong:
        raise LocalError(str(wrong)) from wrong
    start = f"{recipe.scripts}/"
    own = [path.removeprefix(start) for path in files if path.startswith(start)]
    parts = tuple(part.removesuffix(".j2") for part in parts_in(own))
    guest = {p: f for p, f in files.items() if "/" not in p or p.startswith(f"{GUEST}/")}
    return Content(recipe, commit, rendered, guest, parts)


def unchanged_image(
    client: Client, content: Content, *, untested: bool = False
) -> dict[str, Any] | None:
    """Return the local image that has this content already, with the newest base there is."""
    base = _base_id(client, content.recipe)
    if base is None:
        return None
    key = Bundle(content.rendered, base).content_key
    images = local_images(client, content.recipe)
    found = newest_local(images, content.recipe.name, key, untested=untested)
    return dict(found) if found else None


def local_images(client: Client, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the images of the kind that the recipe makes."""
    return client.images("machineImages" if recipe.image.kind == MACHINE_IMAGE else "images")


def _base_id(client: Client, recipe: Recipe) -> str | None:
    base = recipe.base
    if isinstance(base, BaseRecipe):
        found: Mapping[str, Any] | None = newest_local(client.images(), base.recipe)
    elif isinstance(base, BaseFamily):
        found = client.newest_of_family(base.project, base.family)
    else:
        found = client.image(base.project, base.image)
    return str(found["id"]) if found and is_ready(found) else None
