"""`bakehouse adopt` against a real localgce: the file it writes is what the instances are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.flow.fleet import HERE
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.history.location import ledger_url
from bakehouse.rollout.plan import RolloutPlan

from .test_walk import NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flow.fleet import Members
    from typer.testing import Result

    from devstack.gce_api import Compute

    from .conftest import Images

ZONE = HERE.rpartition("/")[2]
FILE = "include/fleets/shop.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "of the tests")  # else the command leaves one
    write_project(tmp_path / "project")
    (tmp_path / "project/include/fleets/web.yaml").unlink()  # its members are the same
    return tmp_path / "project"


def adopt(project: Path, *names: str, more: tuple[str, ...] = ()) -> Result:
    members = [word for name in names for word in ("--member", name)]
    given = ("adopt", "shop", "--recipe", "web", "--zone", ZONE, "--project", str(project))
    return CliRunner().invoke(app, [*given, *members, *more])


def planned(project: Path, image: str) -> RolloutPlan:
    given = ("--project", str(project), "--ledger", ledger_url(), "--json", "--no-gates")
    done = CliRunner().invoke(app, ["plan", "shop", "--image", image, *given])
    assert done.exit_code == 0, done.output
    return RolloutPlan.model_validate(json.loads(done.stdout))


def test_the_file_of_instances_is_valid_and_its_plan_shows_no_drift(
    compute: Compute, fleet_of: Members, images: Images, project: Path
) -> None:
    fleet_of.create(images.old, NAMES)
    compute.forget()
    done = adopt(project, *NAMES)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    form = yaml.safe_load((project / FILE).read_text())
    assert [one["name"] for one in form["members"]["instances"]] == list(NAMES)
    assert form["template"]["metadata"] == {"color": "red"}
    assert form["members"]["instances"][0]["metadata"] == {"greeting": f"Hello from {NAMES[0]}"}
    assert [disk["name"] for disk in form["template"]["disks"]] == ["data"]
    validated = CliRunner().invoke(app, ["validate", "--project", str(project)])
    assert validated.exit_code == 0, validated.stderr
    made = planned(project, images.new)
    assert {change.name for change in made.changes} == set(NAMES)
    assert [change.differs for change in made.changes] == [()] * len(NAMES)
    methods = {str(request["method"]) for request in compute.requests()["requests"]}
    assert not [
        method for method in methods if method.endswith(("insert", "delete", "setMetadata"))
    ]


def test_what_would_hinder_a_rollout_is_told_of_each_instance_and_no_secret_is_copied(
    compute: Compute, fleet_of: Members, images: Images, project: Path
) -> None:
    odd = ["grouped", "guarded", "held", "keeper", "restored", "stopped"]
    fleet_of.create(images.old, odd)
    manager = f"projects/1/{HERE}/instanceGroupManagers/shop"
    fleet_of.configure("grouped", "created-by", manager)
    fleet_of.label("held", "bakehouse-hold", "ann")
    fleet_of.configure("keeper", "db-password", "hunter2-and-a-half")
    fleet_of.restore("restored")
    fleet_of.stop("stopped")
    where = f"{HERE}/instances/guarded/setDeletionProtection"
    compute.call("POST", where, params={"deletionProtection": "true"})
    try:
        done = adopt(project, *odd)
        assert done.exit_code == 0, done.output
        told = dict.fromkeys(odd, "")
        for line in done.stderr.splitlines():
            told[line.partition(": ")[0]] += f"{line}\n"
        assert "it belongs to a group" in told["grouped"] or "abandoned it" in told["grouped"]
        assert "deletion protection: a swap is possible" in told["guarded"]
        assert "by ann" in told["held"]
        assert "metadata db-password look like a secret, and are not copied" in told["keeper"]
        assert "made of the snapshot" in told["restored"]
        assert "it is TERMINATED" in told["stopped"]
        assert "hunter2" not in (project / FILE).read_text() + done.output
    finally:
        compute.call("POST", where, params={"deletionProtection": "false"})


def test_a_fleet_that_is_there_is_not_written_over(project: Path) -> None:
    (project / FILE).write_text("recipe: web\n")
    done = adopt(project, "web-1")
    assert (done.exit_code, (project / FILE).read_text()) == (1, "recipe: web\n")
    assert "is there" in done.stderr


def test_instances_that_do_not_exist_are_named(compute: Compute, project: Path) -> None:
    compute.forget()
    done = adopt(project, "nobody")
    assert done.exit_code == 1
    assert "there is no instance nobody in" in done.stderr
    assert adopt(project).exit_code == 2
