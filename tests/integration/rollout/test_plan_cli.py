"""The plan of a rollout against a real localgce: `bakehouse plan`, and a run that only plans."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import of_kind
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutEndedEvent, RolloutPlannedEvent
from bakehouse.lease.lease import Owner
from bakehouse.lease.store import lease_name, lease_of
from bakehouse.rollout.plan import RolloutPlan, WayBack

from .test_walk import NAMES, delete_disk, events, rollout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flow.fleet import Members
    from typer.testing import Result

    from devstack.gce_api import Compute

    from .conftest import Images
    from .walk import Rollout

FLEET = """\
recipe: web
members: {instances: [web-1, web-2, web-3], zones: [us-central1-a]}
stages: [1, 100%]
soak: 10m
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "of the tests")  # else the command leaves one
    write_project(tmp_path / "project")
    (tmp_path / "project/include/fleets/web.yaml").write_text(FLEET)
    return tmp_path / "project"


def release(run: Rollout) -> None:
    owner = Owner(dag_id=run.dag_id, run_id=run.run_id)
    lease_of(ledger_url(), lease_name("web")).release(owner, datetime.now(UTC))


def bakehouse_plan(project: Path, *words: str) -> Result:
    given = ("plan", *words, "--project", str(project), "--ledger", ledger_url())
    return CliRunner().invoke(app, given)


@pytest.mark.long
def test_the_plan_is_text_for_people_and_changes_nothing(
    compute: Compute, fleet_of: Members, images: Images, project: Path
) -> None:
    fleet_of.create(images.old, NAMES)
    fleet_of.restore("web-2")
    before = fleet_of.facts()
    for image in images.new, images.old:
        run = rollout(image, members=["web-1"])
        assert run.through() == "success"
        release(run)
    compute.forget()
    done = bakehouse_plan(project, "web", "--image", images.new)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if not line.startswith("time:")]
    title = f"Plan of the fleet web: 3 of 3 move to {images.new} (id "
    assert lines[0].startswith(title)
    assert lines[1:] == [
        "",
        "packages",
        f"  from {images.old} (2 members): the same packages",
        "  from a disk of no image (1 member): unknown, since nothing says what is on such a disk",
        "",
        "order: at most 1 down at a time; if a member fails, everybody goes back",
        f"  stage 1 (1)     web-1  from {images.old}",
        "  stage 2 (100%)  web-2  from the snapshot web-2-web-2",
        f"                  web-3  from {images.old}",
        "",
        "way back: open",
        "  web-1, web-3: the old disk, which is kept until the rollout has ended well, or its"
        " image",
        "  web-2: its old disk web-2-restored alone, kept until the rollout has ended well: it was"
        " made of the snapshot web-2-web-2",
        "",
        "now: nothing blocks",
        "",
        *lines[-5:],
    ]
    assert lines[-5].startswith("  stage 1 (web-1)")
    assert lines[-4] == "  soak of stage 1      10 min"
    assert lines[-1].startswith("  depends most on the soak: 20 min of 20 min")
    prices = "currency: EUR\ndisk_types: {pd-balanced: 100, pd-standard: 100}\n"
    (project / "include/prices.yaml").write_text(prices)
    told = bakehouse_plan(project, "web", "--image", images.new).stdout.splitlines()[-1]
    assert re.fullmatch(r"cost: at most .* EUR for the rollout: 3 second boot disks for .*", told)
    assert fleet_of.facts().identity == before.identity
    assert fleet_of.stops() == {}
    changes = ("insert", "delete", "stop", "setLabels", "Disk")
    methods = {str(request["method"]) for request in compute.requests()["requests"]}
    assert not [method for method in methods if method.endswith(changes)]


def test_the_plan_is_data_for_programs_and_is_read_again(
    fleet_of: Members, images: Images, project: Path
) -> None:
    fleet_of.create(images.old, NAMES)
    done = bakehouse_plan(project, "web", "--json", "--member", "web-3")
    found = RolloutPlan.model_validate_json(done.stdout)
    assert found.image.name == images.new, "the newest promoted one"
    assert [change.name for change in found.changes] == ["web-3"]
    assert found.changes[0].way_back is WayBack.DISK
    assert found.rules is not None
    assert found.rules.max_unavailable == 1


def test_who_holds_the_lease_is_what_a_rollout_would_wait_for(
    fleet_of: Members, images: Images, project: Path
) -> None:
    fleet_of.create(images.old, NAMES)
    other = rollout(images.new)
    other.begin()
    try:
        text = bakehouse_plan(project, "web").stdout
        held = f"the run roll_out__web {other.run_id} holds the fleet's lease"
        assert f"now: it would wait\n  lease: {held}\n" in text
    finally:
        release(other)


def test_a_freeze_and_a_closed_window_are_what_a_rollout_would_wait_for(
    fleet_of: Members, images: Images, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES)
    with (project / "include/fleets/web.yaml").open("a") as file:
        day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
        file.write(f"windows: [{{days: [{day}], hours: '02:00-03:00'}}]\n")
    assert "  window: " in bakehouse_plan(project, "web").stdout
    frozen = json.dumps({"who": "ann", "why": "the quarter ends"})
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_FREEZE", frozen)
    text = bakehouse_plan(project, "web").stdout
    assert "now: it would wait\n" in text
    assert "  freeze: " in text
    assert "ann" in text
    assert "the quarter ends" in text


@pytest.mark.long
@pytest.mark.usefixtures("images", "compute")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wbe"], "there is no fleet wbe: no file include/fleets/wbe.yaml; did you mean 'web'?"),
        (["web", "--image", "web-1"], "no image web-1 exists in "),
        (["web", "--member", "web-9"], "not members of web: web-9. Nothing was changed"),
        (["web"], "web-1 does not exist in us-central1-a; web-2 does not exist in"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why_in_one_line(
    project: Path, words: list[str], told: str
) -> None:
    done = bakehouse_plan(project, *words)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_with_mistakes_is_told_with_its_lines(project: Path) -> None:
    (project / "include/fleets/web.yaml").write_text(FLEET + "max_unavailable: 0\nordr: name\n")
    done = bakehouse_plan(project, "web")
    assert done.exit_code == 1
    assert "include/fleets/web.yaml:5: max_unavailable is neither a count" in done.stderr
    assert "include/fleets/web.yaml:6: " in done.stderr


@pytest.mark.long
def test_a_run_that_only_plans_is_green_changes_nothing_and_says_so(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-2")
    before = fleet_of.facts()
    run = rollout(images.new)
    run.params["plan_only"] = True
    assert run.through() == "success", run.errors
    states = {task: state for task, state in run.states.items() if state == "success"}
    assert set(states) == {"choose_image", "acquire_lease", "plan", "verdict"}
    assert "failed" not in run.states.values()
    assert fleet_of.facts() == before
    assert fleet_of.stops() == {}
    assert run.xcom("verdict", "note").startswith(
        f"plan only, nothing was changed: 3 members would move to {images.new}"
    )
    (planned,) = of_kind(RolloutPlannedEvent, events(run))
    assert planned.detail.plan_only
    assert [m.way_back for m in planned.detail.members] == ["disk"] * 3
    assert planned.detail.packages == {images.old: "the same packages"}
    assert of_kind(RolloutEndedEvent, events(run)) == [], "nothing has begun"


def test_a_way_back_that_is_closed_is_told_before_the_first_stop(
    compute: Compute, fleet_of: Members, images: Images, project: Path
) -> None:
    """A rollout that was left in the middle, whose old disk somebody has deleted since."""
    fleet_of.create(images.old, ["web-1"])
    restored = fleet_of.restore("web-1")
    run = rollout(images.new, members=["web-1"])
    compute.fault(kind="http", status=403, times=99, method="compute.instances.attachDisk")
    run.begin()
    run.stage(1)
    compute.forget()
    delete_disk(compute, restored)
    found: Any = json.loads(bakehouse_plan(project, "web", "--json", "--member", "web-1").stdout)
    (change,) = found["stages"][0]
    assert (change["kept"], change["only_disk"][:30]) == (False, "it was made of the snapshot we")
    text = bakehouse_plan(project, "web", "--member", "web-1").stdout
    assert "way back: closed for 1 of 1\n" in text
    assert f"  web-1: closed: its old disk {restored} does not exist any more, and it was" in text
