"""The recipe `shop` of the flow tests, with two images and some fleets of two members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.flow.fleet import ZONE

if TYPE_CHECKING:
    from devstack.testbed import Testbed

BAKE = "bake__shop"

# The new image shows a page that needs the attribute `color`: who lacks it does not get healthy.
RECIPE = """\
base: debian-cloud/debian-12
vars: {page: old}
services: [nginx]
smoke: {metadata: {greeting: hello, color: blue}}
"""
PAGE = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"
GROUP = f"""\
recipe: shop
strategy: mig
members: {{group: web, zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 2h
"""


def names(fleet: str) -> list[str]:
    """The members of a fleet, in the order of its stages."""
    return [f"{fleet}-1", f"{fleet}-2"]


def members_of(fleet: str, more: str = "") -> str:
    """The text of a fleet's file."""
    return (
        f"recipe: shop\nmembers: {{instances: [{', '.join(names(fleet))}], zones: [{ZONE}]}}\n"
        f"stages: [1, 100%]\nhealth_deadline: 2h\n{more}"
    )


FLEETS = {
    "shop": members_of("shop"),
    "asked": members_of("asked", "approval: {after: [1]}\n"),
    "unanswered": members_of(
        "unanswered", "approval: {after: [1], timeout: 15s, on_timeout: halt}\n"
    ),
    "grouped": GROUP,
}
NAMES = names("shop")


def dag(fleet: str) -> str:
    """The DAG that rolls a fleet out."""
    return f"roll_out__{fleet}"


def bake_two(bed: Testbed) -> tuple[str, str]:
    """The names of an older image and of a newer one; the fleets are declared then."""
    bed.write("include/startup_scripts/shop/templates/var/www/html/color.html.j2", PAGE)
    for name, text in FLEETS.items():
        bed.write(f"include/fleets/{name}.yaml", text)
    bed.add_web("shop", RECIPE)
    found = []
    for page in ("old", "new"):
        run = bed.bake(BAKE, vars={"page": page}, roll_out=False)
        assert run.state == "success", bed.explain(run)
        found.append(str(bed.airflow.xcom(BAKE, run.run_id, "plan_bake")["image_name"]))
    wanted = {dag(fleet) for fleet in FLEETS}
    bed.parse_until(dag("web"), lambda: wanted <= set(bed.airflow.dags()), f"{wanted} to be parsed")
    return found[0], found[1]
