"""On real machines: a managed group moves onto an image, and back from one that it cannot boot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.flow.group import Group
from tests.support.ledger import of_kind, read_ledger
from tests.vm.test_second_try_and_render import RECIPE, SERVER

from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent
from bakehouse.rollout.rollout_states import RolloutState
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

pytestmark = pytest.mark.usefixtures("as_it_was")

BAKE, ROLL_OUT = "bake__web", "roll_out__grouped"
HOUR = 3600.0
SIZE = 2
FLEET = f"""\
recipe: web
strategy: mig
rollout: manual
members: {{group: web, zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 10m
"""
COLOR = 'server {\n  listen 8443;\n  location = /color { return 200 "{{ color }}"; }\n}\n'


def baked(bed: Testbed, page: str) -> str:
    run = bed.bake(BAKE, HOUR, roll_out=False, vars={"page": page})
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])


@pytest.fixture(scope="module")
def images(stack_of_session: Testbed) -> tuple[str, str]:
    """One that boots anywhere, and one whose files need the attribute `color`."""
    bed = stack_of_session
    bed.write("include/fleets/grouped.yaml", FLEET)
    bed.commit("A managed group")
    bed.parse_until(BAKE, lambda: ROLL_OUT in bed.airflow.dags(), ROLL_OUT)
    old = baked(bed, "old")
    recipe = (bed.project / RECIPE).read_text()
    smoke = "    greeting: Hello from the smoke test\n"
    assert smoke in recipe
    bed.write(RECIPE, recipe.replace(smoke, f"{smoke}    color: red\n"))
    bed.write(SERVER, COLOR)
    bed.commit("Serve a color")
    return old, baked(bed, "new")


@pytest.fixture
def group(bed: Testbed) -> Iterator[Group]:
    yield (found := Group(bed.compute))
    found.delete()


def reports(bed: Testbed, group: Group) -> dict[str, str]:
    """The image that each instance reports itself healthy on."""
    found: dict[str, str] = {}
    for name in group.instances():
        path = f"{HERE}/instances/{name}/getGuestAttributes"
        try:
            said = bed.compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        except RuntimeError:  # it has said nothing yet
            continue
        report: dict[str, Any] = json.loads(said["queryValue"]["items"][0]["value"])
        if report["state"] == "healthy":
            found[name] = str(report["image"])
    return found


def created(bed: Testbed, group: Group, image: str, color: str) -> None:
    group.create(image, size=SIZE, color=color)
    wait_until(
        lambda: list(reports(bed, group).values()) == [image] * SIZE, HOUR, "the group", every=1.0
    )


def rolled(bed: Testbed, image: str) -> Run:
    return bed.airflow.wait(ROLL_OUT, bed.airflow.trigger(ROLL_OUT, {"image": image}), HOUR)


def test_a_group_moves_onto_an_image_and_each_instance_says_so(
    bed: Testbed, group: Group, images: tuple[str, str]
) -> None:
    old, new = images
    created(bed, group, old, color="red")
    run = rolled(bed, new)
    assert run.state == "success", bed.explain(run)
    assert set(group.instances().values()) == {new}
    assert list(reports(bed, group).values()) == [new] * SIZE
    assert group.status()["isStable"]
    events = read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    replaced = of_kind(MemberReplacedEvent, events)
    assert {event.detail.member for event in replaced} == set(group.instances())


def test_a_group_whose_canary_does_not_get_healthy_goes_back_and_the_others_stay(
    bed: Testbed, group: Group, images: tuple[str, str]
) -> None:
    old, new = images
    created(bed, group, old, color="")
    before, ids = group.versions(), group.ids()
    run = rolled(bed, new)
    assert run.state == "failed"
    assert (group.versions(), set(group.instances().values())) == (before, {old})
    assert len(ids & group.ids()) == SIZE - 1, "only the canary was replaced"
    assert list(reports(bed, group).values()) == [old] * SIZE
    events = read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    (ended,) = of_kind(RolloutEndedEvent, events)
    assert ended.detail.state == RolloutState.ROLLED_BACK
