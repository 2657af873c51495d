"""An image whose page cannot start, on real machines: the line halts and the fleet goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from devstack import demo_fleet

if TYPE_CHECKING:
    from devstack.testbed import Testbed

pytestmark = pytest.mark.usefixtures("as_it_was")

PAGE = "include/startup_scripts/web/templates/var/www/html/bakehouse.json.j2"
RECIPE = "include/recipes/web.yaml"
DAG = "bake__web"
HOUR = 3600.0  # seconds
MEMBERS = ("web-1", "web-2")  # the canary, and one behind it


def spoil(bed: Testbed) -> str:
    """A page that wants a `motto`: the smoke VM has one, the fleet's instances have none."""
    page = (bed.project / PAGE).read_text()
    bed.write(PAGE, page.replace('"page":', '"motto": motto,\n  "page":'))
    recipe = (bed.project / RECIPE).read_text()
    assert "greeting: Hello" in recipe
    bed.write(RECIPE, recipe.replace("greeting: Hello", "motto: none\n    greeting: Hello"))
    return bed.commit("Show a motto")


def test_a_page_that_cannot_start_takes_the_fleet_back_to_the_image_it_had(
    bed: Testbed, web_image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_fleet, "MEMBERS", MEMBERS)
    old = web_image
    bed.declare_members(sorted(MEMBERS))
    demo_fleet.create(bed.compute, old["name"], "qemu")
    before = demo_fleet.observe(bed.compute, real=True)
    assert {seen.page["git_sha"] for seen in before.values()} == {old["labels"]["git-sha"]}

    first = demo_fleet.health_report(bed.compute, "web-2")

    sha = spoil(bed)
    run = bed.bake(DAG, deadline=HOUR, git_ref=sha)

    states = bed.airflow.states(DAG, run.run_id)
    assert run.state == "failed", states
    assert states["promote_image"] == "success", "the image itself passed its smoke test"
    assert "replace_instances.replace_2[0]" not in states, "nobody behind the canary was touched"
    marked = bed.airflow.xcom(DAG, run.run_id, "promote_image")["name"]
    assert bed.compute.image(marked)["labels"]["bakehouse-rolled-back"] == "web"
    assert bed.compute.newest_of("web")["name"] == old["name"], (
        "the image before is the newest again"
    )
    why = bed.log(run, "replace_instances.verdict")
    assert "web-1" in why
    assert "motto" in why, "the guest's own words say what is missing"

    last = demo_fleet.health_report(bed.compute, "web-2")
    assert last["boot_id"] == first["boot_id"], "it was not touched"
    assert (last["period"], last["restarts"]) == (15, 0)
    assert last["time"] > first["time"], "it has reported again"
    assert last["uptime"] > first["uptime"]

    after = demo_fleet.observe(bed.compute, real=True)
    assert after == before, "image, page, data, address, metadata: all as it was"
    assert demo_fleet.leftovers(bed.compute) == []
