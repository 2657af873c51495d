"""The guides that come from other tools show files that are tested, whole and as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from tests.support.paths import PROJECT

from bakehouse.fleet.load import load_fleet
from bakehouse.recipe.load import load_recipe

DOCS = PROJECT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = ("from-packer.md", "from-terraform.md", "from-image-builder.md")
SHOWN = re.compile(r"^\[`([^`]+)`\]\(examples/([^)]+)\):\n\n```\w+\n(.*?)^```$", re.DOTALL | re.M)


def shown(page: str) -> dict[str, str]:
    """The files that a page shows, by path below the examples."""
    found = SHOWN.findall((DOCS / page).read_text("utf-8"))
    assert all(name == path for name, path, _ in found)
    return {path: text for _, path, text in found}


def read(path: str) -> dict[str, Any]:
    parsed: dict[str, Any] = hcl2.loads((EXAMPLES / path).read_text("utf-8"))
    return parsed


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_files_as_they_are(page: str) -> None:
    files = shown(page)
    assert files
    assert files == {path: (EXAMPLES / path).read_text("utf-8") for path in files}


def test_every_example_is_shown_somewhere() -> None:
    there = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert there == {path for page in PAGES for path in shown(page)}


def test_the_recipe_and_the_fleet_of_the_pages_are_valid() -> None:
    include = EXAMPLES / "bakehouse/include"
    recipe = load_recipe((include / "recipes/web.yaml").read_text(), "include/recipes/web.yaml")
    fleet = load_fleet((include / "fleets/web.yaml").read_text(), "include/fleets/web.yaml")
    assert fleet.recipe == recipe.name
    snippet = re.search(r"```yaml\n(  recipe: web\n.*?)  ```", (DOCS / PAGES[1]).read_text(), re.S)
    assert snippet is not None
    assert load_fleet(snippet[1].replace("\n  ", "\n")[2:], "web.yaml").template is None


def test_terraform_leaves_the_boot_disk_and_the_orders_to_rollouts() -> None:
    text = (EXAMPLES / "terraform/main.tf").read_text("utf-8")
    (instance,) = (
        body["web"] if "web" in body else body['"web"']
        for block in read("terraform/main.tf")["resource"]
        for kind, body in block.items()
        if "google_compute_instance" in kind
    )
    assert "lifecycle" in instance
    ignored = re.search(r"ignore_changes = \[(.*?)\n    \]", text, re.DOTALL)
    assert ignored is not None
    names = re.findall(r"^\s*([^#\s,]+),", ignored[1], re.MULTILINE)
    assert names == ["boot_disk", 'metadata["bakehouse-order"]']


def test_the_image_of_packer_is_that_of_the_recipe() -> None:
    text = (EXAMPLES / "packer/web.pkr.hcl").read_text("utf-8")
    assert read("packer/web.pkr.hcl")["build"]
    recipe = yaml.safe_load((EXAMPLES / "bakehouse/include/recipes/web.yaml").read_text())
    project, family = recipe["base"].split("/")
    assert f'source_image_project_id = ["{project}"]' in text
    assert f'source_image_family     = "{family}"' in text
    assert Path(EXAMPLES / "packer/web.conf").exists()


def test_the_component_of_image_builder_is_a_component() -> None:
    component = yaml.safe_load((EXAMPLES / "image-builder/component.yaml").read_text("utf-8"))
    assert [phase["name"] for phase in component["phases"]] == ["build", "test"]
