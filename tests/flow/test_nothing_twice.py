"""A night without news on a real scheduler; the archive of the image's packages is on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.apt import Apt, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.testbed import Testbed

DAG = "bake__same"
MOST_CALLS = 6  # to Compute Engine, of a run that bakes nothing
RECIPE = """base: debian-cloud/debian-12
scripts: web
vars:
  page: the same
  instant_sources: {url}/debian bookworm main
smoke: {{metadata: {{greeting: hello}}}}
"""


@pytest.fixture(scope="module")
def apt() -> Iterator[Apt]:
    with serving() as served:
        served.publish("debian", "bookworm", {"bash": "5.2.15", "libc6": "2.36"})
        yield served


@pytest.fixture(scope="module")
def same(stack_of_session: Testbed, apt: Apt) -> Testbed:
    text = RECIPE.format(url=apt.url)
    stack_of_session.add_recipe("same", {"include/recipes/same.yaml": text})
    return stack_of_session


@pytest.fixture
def bed(bed: Testbed, same: Testbed) -> Testbed:  # ruff: ignore[unused-function-argument]  requested for its effect
    return bed


def test_a_night_with_nothing_new_makes_six_calls_at_most_and_no_machine(
    bed: Testbed, apt: Apt
) -> None:
    baked = bed.bake(DAG)
    assert baked.state == "success", bed.explain(baked)
    image = bed.compute.newest_of("same")
    bed.compute.forget()
    apt.forget()
    night = bed.bake(DAG)
    assert night.state == "success", bed.explain(night)
    asked = requests(bed)
    print(f"a run with nothing new: {len(asked)} calls: {', '.join(asked)}")
    assert len(asked) <= MOST_CALLS
    assert not [method for method in asked if method.endswith(".insert")]
    states = bed.airflow.states(DAG, night.run_id)
    assert (states["need_bake"], states["create_builder"]) == ("success", "skipped")
    assert states["delete_builder"] == "success"
    plan = bed.airflow.xcom(DAG, night.run_id, "plan_bake")
    assert (plan["existing_image"], plan["updates"]["indexes"]) == (image["name"], 1)
    assert [path.rpartition("/")[2] for path in apt.asked] == ["InRelease", "Packages.xz"]
    log = bed.log(night, "need_bake")
    assert f"nothing to bake: a promoted image has the same content, {image['name']}" in log
    assert "no updates in 1 index" in log
    assert bed.left() == []


def requests(bed: Testbed) -> list[str]:
    told = bed.compute.requests()
    asked: list[dict[str, Any]] = told["requests"] if isinstance(told, dict) else told
    return [request["method"] for request in asked]
