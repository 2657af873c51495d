"""OpenTofu and Google's provider, unchanged: a second plan has no difference.

Each resource of `terraform_resources` is created, changed in place and destroyed. All are applied
at once; what the plan says of each is a test of its own.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .google_by_name import google_by_name
from .terraform import Terraform, either

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .gce import Gce

SOURCE = Path(__file__).parent / "terraform_resources"
BLOCK = re.compile(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
RESOURCES = {
    f"{kind}.{name}": body
    for path in sorted(SOURCE.glob("*.tf"))
    for kind, name, body in BLOCK.findall(path.read_text())
}
CHANGED = [address for address, body in RESOURCES.items() if "var.changed" in body]
AFTER = "-var=changed=true"
LISTS = (
    *("aggregated/instances", "aggregated/disks", "aggregated/addresses", "aggregated/routers"),
    *("aggregated/instanceGroupManagers", "aggregated/instanceGroups", "aggregated/autoscalers"),
    *("aggregated/instanceTemplates", "aggregated/resourcePolicies", "aggregated/healthChecks"),
    *("global/images", "global/snapshots", "global/routes", "global/firewalls", "global/networks"),
    *("aggregated/subnetworks", "aggregated/reservations"),
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Run:
    """What the plans have said, by the address of the resource, and the errors of what was done."""

    created: dict[str, dict[str, Any]]
    change: dict[str, dict[str, Any]]
    changed: dict[str, dict[str, Any]]
    errors: dict[str, str]
    left: list[str]


def names(gce: Gce) -> set[str]:
    """All that the project has, by link."""
    found: set[str] = set()
    for path in LISTS:
        items = gce.get(path).get("items", [])
        scopes = items.values() if isinstance(items, dict) else [{"items": items}]
        for scope in scopes:
            for values in scope.values():
                found |= {one["selfLink"] for one in values if "selfLink" in one}
    return found


@pytest.fixture(scope="module")
def run(instant: Gce, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("terraform")
    # the provider asks Google itself for the blocks of a reservation
    with google_by_name(instant.base, tmp_path_factory.mktemp("proxy")) as environment:
        terraform = Terraform(folder, either(), instant.base, environment)
        for path in SOURCE.glob("*.tf"):
            shutil.copy(path, folder)
        yield _run(terraform, instant)


def _run(terraform: Terraform, instant: Gce) -> Run:
    before = names(instant)
    errors = {"create": terraform.apply()}
    created = terraform.plan()
    change = terraform.plan(AFTER)
    errors["change"] = terraform.apply(AFTER)
    changed = terraform.plan(AFTER)
    errors["destroy"] = terraform.destroy(AFTER)
    left = [*terraform.state(), *sorted(names(instant) - before)]
    return Run(created, change, changed, errors, left)


def test_all_resources_are_created_changed_and_destroyed(run: Run) -> None:
    assert run.errors == {"create": "", "change": "", "destroy": ""}
    assert set(run.created) == set(RESOURCES)


@pytest.mark.parametrize("address", RESOURCES)
def test_a_second_plan_has_no_difference(run: Run, address: str) -> None:
    assert difference(run.created[address]) == {}


@pytest.mark.parametrize("address", CHANGED)
def test_after_a_change_in_place_a_plan_has_no_difference(run: Run, address: str) -> None:
    assert run.change[address]["actions"] == ["update"]
    assert difference(run.changed[address]) == {}


def test_nothing_is_left_when_all_is_destroyed(run: Run) -> None:
    assert run.left == []


def difference(change: dict[str, Any]) -> dict[str, Any]:
    """What a plan would change: each field with its value before and after."""
    if change["actions"] == ["no-op"]:
        return {}
    before, after = change["before"] or {}, change["after"] or {}
    fields = {
        key: (before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }
    return {"actions": change["actions"], **fields}
