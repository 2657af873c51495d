"""On real machines: a member that hangs gets a fresh disk, and other metadata without a boot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.ledger import of_kind, read_ledger
from tests.support.paths import PROJECT

from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent
from devstack import demo_fleet
from devstack.airflow_api import TERMINAL_RUN
from devstack.availability import get_page
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

pytestmark = pytest.mark.usefixtures("as_it_was")

BAKE, ROLL_OUT = "bake__web", "roll_out__web"
GROUP = "replace_instances"
HOUR = 3600.0
MEMBERS = ("web-1", "web-2")
FLEET, RECIPE = "include/fleets/web.yaml", "include/recipes/web.yaml"
SERVER = "include/startup_scripts/web/templates/etc/nginx/conf.d/color.conf.j2"

# A second server, which says what it was started with. A reload keeps nginx's process.
COLOR = """\
# db_password = {{ db_password }}
server {
  listen 8443;
  location = /color { return 200 "{{ color }}"; }
  location = /process { alias /run/nginx.pid; }
}
"""
ON_CHANGE = "on_change: [{paths: [/etc/nginx/], reload: [nginx]}]\n"
FIRST, SECOND = "correct-horse-battery", "hunter-two-and-a-half"


def declare(bed: Testbed) -> None:
    """Two members with a color and a password, and an image whose config shows the color."""
    text = (PROJECT / FLEET).read_text()  # that of the testbed has no members
    text = re.sub(r"    - \{name: web-3.*\n", "", text)
    known = f"  metadata:\n    color: red\n    db_password: {FIRST}\n"
    text = text.replace("  metadata:\n", known, 1)
    text = re.sub(r"health_deadline: .*", "health_deadline: 5m", text)
    # a real one would be in Secret Manager: this one shows what the logs leave out
    bed.write(FLEET, f"{text}not_secret: [db_password]\n")
    recipe = (bed.project / RECIPE).read_text()
    smoke = "    greeting: Hello from the smoke test\n"
    assert smoke in recipe
    recipe = recipe.replace(smoke, f"{smoke}    color: red\n    db_password: none\n")
    bed.write(RECIPE, recipe + ON_CHANGE)
    bed.write(SERVER, COLOR)
    bed.commit("A color, a password and two members")

    def members_of_form() -> list[str]:
        found = bed.airflow.call("GET", f"/dags/{ROLL_OUT}/details")
        return list(found["params"]["members"]["schema"].get("items", {}).get("enum", []))

    bed.parse_until(ROLL_OUT, lambda: members_of_form() == list(MEMBERS), "the members")


def served(bed: Testbed, member: str, path: str) -> str:
    url = demo_fleet.page_urls(bed.compute)[member].rpartition(":")[0]
    return (get_page(f"{url}:8443/{path}") or "").strip()


def served_by_all(bed: Testbed, path: str) -> dict[str, str]:
    return {name: served(bed, name, path) for name in MEMBERS}


def boots(bed: Testbed) -> dict[str, str]:
    return {name: str(demo_fleet.health_report(bed.compute, name)["boot_id"]) for name in MEMBERS}


def metadata_of(bed: Testbed, member: str) -> dict[str, str]:
    path = f"zones/{demo_fleet.ZONE}/instances/{member}"
    items = bed.compute.call("GET", path)["metadata"]["items"]
    return {item["key"]: item["value"] for item in items}


def log_of(bed: Testbed, run: Run, task: str, index: int = 0) -> str:
    """The text of all tries of a mapped task."""
    tries = next(
        t.try_number
        for t in bed.airflow.tasks(run.dag_id, run.run_id)
        if (t.task_id, t.map_index) == (f"{GROUP}.{task}", index)
    )
    lines = [
        line
        for number in range(1, tries + 1)
        for line in bed.airflow.log(run.dag_id, run.run_id, f"{GROUP}.{task}", number, index)
    ]
    return "\n".join(line.text for line in lines)


@pytest.fixture(scope="module")
def fleet(stack_of_session: Testbed) -> Run:
    """A fleet that its first rollout has created, of which web-1 hung in its first boot."""
    bed = stack_of_session
    declare(bed)
    run_id = bed.airflow.trigger(BAKE, {"git_ref": bed.head})

    def runs() -> bool:
        if bed.airflow.run(BAKE, run_id).state in TERMINAL_RUN:
            raise AssertionError(bed.airflow.explain(BAKE, run_id))
        there = {vm["name"]: vm["status"] for vm in bed.compute.instances()}
        return there.get("web-1") == "RUNNING"

    wait_until(runs, HOUR, "web-1 to be created", every=1.0)
    bed.compute.fault(kind="freeze", instance="web-1")
    return bed.airflow.wait(BAKE, run_id, HOUR)


@pytest.fixture(autouse=True)
def members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_fleet, "MEMBERS", MEMBERS)


def test_a_member_whose_boot_hangs_is_tried_once_more_on_a_fresh_disk(
    bed: Testbed, fleet: Run
) -> None:
    assert fleet.state == "success", bed.explain(fleet)
    replaced = of_kind(
        MemberReplacedEvent, read_ledger(bed.stack.layout.airflow_home / "ledger", fleet.run_id)
    )
    outcomes = {event.detail.member: event.detail for event in replaced}
    assert set(outcomes) == set(MEMBERS)
    assert outcomes["web-1"].first_try == "no health report"
    assert outcomes["web-2"].first_try == ""
    told = log_of(bed, fleet, "replace_1")
    assert "it is tried once more, on the fresh disk web-1-" in told
    image = bed.compute.newest_of("web")
    assert "bakehouse-failed-in-web" not in image["labels"], "the image is not blamed"
    seen = demo_fleet.observe(bed.compute, real=True)
    assert {one.healthy_image for one in seen.values()} == {image["name"]}
    assert demo_fleet.leftovers(bed.compute) == [], "the first disk is gone"


@pytest.mark.usefixtures("fleet")
def test_metadata_are_rendered_without_a_boot_and_the_log_shows_the_diff_without_secrets(
    bed: Testbed,
) -> None:
    before, processes = boots(bed), served_by_all(bed, "process")
    assert served_by_all(bed, "color") == dict.fromkeys(MEMBERS, "red")
    run = bed.bake(ROLL_OUT, HOUR, metadata={"color": "blue", "db_password": SECOND})
    assert run.state == "success", bed.explain(run)
    assert served_by_all(bed, "color") == dict.fromkeys(MEMBERS, "blue")
    assert boots(bed) == before, "no member was stopped"
    assert all(processes.values())
    assert served_by_all(bed, "process") == processes, "nginx was reloaded, not restarted"
    told = log_of(bed, run, "replace_1") + bed.log(run, f"{GROUP}.plan")
    for line in ('-  location = /color { return 200 "red"; }', "reload-or-restart: nginx"):
        assert line in told
    assert '+  location = /color { return 200 "blue"; }' in told
    assert "-# db_password = ***" in told
    everything = told + str(answers(bed, "web-1"))
    assert FIRST not in everything
    assert SECOND not in everything
    assert "bakehouse-order" not in metadata_of(bed, "web-1")


@pytest.mark.usefixtures("fleet")
def test_metadata_with_which_a_template_does_not_render_go_back_and_nobody_else_gets_them(
    bed: Testbed,
) -> None:
    before, booted = {name: metadata_of(bed, name) for name in MEMBERS}, boots(bed)
    color = before["web-1"]["color"]
    run = bed.bake(ROLL_OUT, HOUR, metadata={"color": None})
    assert run.state == "failed"
    states = bed.airflow.states(run.dag_id, run.run_id)
    assert states[f"{GROUP}.roll_back[0]"] == "success"
    assert f"{GROUP}.replace_2[0]" not in states, "the line has halted"
    assert "'color' is undefined" in bed.log(run, f"{GROUP}.verdict")
    assert {name: metadata_of(bed, name) for name in MEMBERS} == before
    assert served_by_all(bed, "color") == dict.fromkeys(MEMBERS, color)
    assert boots(bed) == booted
    (ended,) = of_kind(
        RolloutEndedEvent, read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    )
    assert ended.reason is Reason.STAGE_FAILED
    assert not ended.detail.failed_here, "no image is blamed"


def answers(bed: Testbed, member: str) -> list[str]:
    """What the member has answered to orders."""
    path = f"zones/{demo_fleet.ZONE}/instances/{member}/getGuestAttributes"
    found = bed.compute.call("GET", path, params={"queryPath": "bakehouse/"})["queryValue"]["items"]
    return [item["value"] for item in found if item["key"].startswith("answer-")]
