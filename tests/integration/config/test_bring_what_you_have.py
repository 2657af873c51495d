"""The project that the guides show beside other tools is one that `bakehouse validate` accepts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.support.paths import PROJECT

from bakehouse.config.project import all_mistakes
from bakehouse.recipe.mistakes import as_text

if TYPE_CHECKING:
    from pathlib import Path


def test_the_recipe_with_its_scripts_and_the_fleet_have_no_mistake(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "docs/examples/bakehouse", tmp_path / "project")
    assert as_text(all_mistakes(tmp_path / "project/include")) == ""
