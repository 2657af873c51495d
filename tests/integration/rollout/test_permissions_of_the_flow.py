"""Bakes, rollouts and housekeeping ask for the permissions that the file lists, and for no others.

localgce logs for each request what Compute Engine would ask of a caller. What is asked for here and
what the source calls (tests/unit/cloud/test_permissions.py) are two ways to the same list.
"""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.flow.fleet import HERE, ZONE, Members
from tests.flow.group import Group
from tests.integration.bake.walk import Walk as BakeWalk
from tests.integration.housekeeping import walk as housekeeping
from tests.integration.housekeeping.test_walk import STATES, of_run
from tests.support.connections import commit_all, served_from
from tests.support.deadlines import SOON
from tests.support.fake_gcs import CloudStorage, cloud_storage
from tests.support.method_permissions import COMPUTE

from bakehouse.cloud.permissions import Resource, service_accounts
from bakehouse.config.project import read_project
from bakehouse.fleet.load import load_fleet
from bakehouse.preflight.gather import cloud_facts, store_facts
from bakehouse.preflight.needs import needs_of
from devstack.waiting import wait_until

from .conftest import connected, repository
from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.gce_api import Compute
    from devstack.testbed import Testbed

REGION = f"regions/{ZONE.rpartition('-')[0]}"
POLICY = f"{REGION}/resourcePolicies/nightly"
BAKER = "baker@bakehouse-local.iam.gserviceaccount.com"
WEB = f"""\
base: debian-cloud/debian-12
scripts: web
vars: {{page: old}}
services: [nginx]
smoke: {{metadata: {{greeting: hello, color: blue}}}}
builder: {{service_account: {BAKER}, tags: [builders], external_ip: true}}
image: {{keep: {{last: 1, grace: 1s}}}}
"""
WHOLE = "base: debian-cloud/debian-12\nscripts: web\nvars: {page: all}\n"
WHOLE += "smoke: {metadata: {greeting: hi, color: c}}\n"
SWAP = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\n"
SWAP += "stages: [1, 100%]\nhealth_deadline: 20s\n"
DECLARED = f"""\
recipe: web
strategy: recreate
members:
  instances:
    - {{name: own-1, metadata: {{color: red}}, external_address: own-1}}
    - {{name: own-2, metadata: {{color: blue}}, address: own-2}}
  zones: [{ZONE}]
template:
  machine_type: e2-small
  disks: [{{name: data, size_gb: 1}}]
  metadata: {{greeting: hello}}
  service_account: {BAKER}
  tags: [http]
  external_ip: true
stages: [1, 100%]
health_deadline: 20s
"""
GROUP = f"recipe: web\nstrategy: mig\nmembers: {{group: web, zones: [{ZONE}]}}\n"
GROUP += "health_deadline: 20s\n"

# Calls of the source to which no run here has to come: the unit tests of the file count them.
NOT_REACHED = {
    "compute.globalOperations.list",  # an operation on an image that did not succeed
    "compute.instanceTemplates.delete",  # a week after a group has left its template
}


class Requests:
    """The requests of Bakehouse to Compute Engine, which those of the tests' own client are not.

    What localgce answers for Resource Manager is logged without a client and takes no permission.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute, self._forget = compute, compute.forget
        self.methods: dict[str, set[str]] = {}

    def collect(self) -> None:
        """Keep those since the last time."""
        for one in self._compute.requests()["requests"]:
            if one.get("agent", "").startswith("airflow/"):
                method = one["method"].removeprefix("compute.")
                self.methods.setdefault(method, set()).update(one["permissions"])
        self._forget()

    @property
    def permissions(self) -> set[str]:
        return {name for names in self.methods.values() for name in names}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStorage]:
    """A Cloud Storage with the bucket of the ledger."""
    with cloud_storage(tmp_path_factory.mktemp("storage")) as found:
        yield found


@pytest.fixture(scope="module")
def compute(tmp_path_factory: pytest.TempPathFactory, storage: CloudStorage) -> Iterator[Compute]:
    """A server of this test's own, whose log begins with it."""
    folder = tmp_path_factory.mktemp("permissions")
    repository(folder / "repository")
    recipes = folder / "repository/include/recipes"
    (recipes / "web.yaml").write_text(WEB)
    (recipes / "whole.yaml").write_text(WHOLE + "image: {kind: machine_image}\n")
    commit_all(folder / "repository", "With everything that a builder can be asked to be")
    with served_from(folder) as served, connected(served), pytest.MonkeyPatch.context() as patch:
        google = json.loads(os.environ["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"])
        google["extra"]["resource_manager_endpoint"] = served.url
        for name in ("GOOGLE_CLOUD_DEFAULT", "HOUSE"):
            patch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(google))
        patch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", storage.connect(patch))
        patch.setattr("bakehouse.rollout.mig_trigger.FIRST_LOOK", 0.0)
        patch.setattr("bakehouse.rollout.mig_trigger.ASKED_EVERY", 0.02)
        yield served.compute


@pytest.fixture
def requests(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> Requests:
    found = Requests(compute)
    monkeypatch.setattr(compute, "forget", found.collect)
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_whole_flow_asks_for_the_permissions_of_the_file(
    compute: Compute, storage: CloudStorage, requests: Requests, tmp_path: Path
) -> None:
    old, new = bake("web", page="old"), bake("web", page="new")
    bake("whole")
    swap(compute, old, new)
    declare(compute, old, new)
    move_a_group(compute, old, new)
    run_housekeeping(compute, tmp_path, new)
    requests.collect()

    orchestrator = service_accounts().orchestrator
    on = (Resource.PROJECT, Resource.SERVICE_ACCOUNTS)
    listed = {name for resource in on for use in orchestrator.on(resource) for name in use.names}
    assert requests.permissions | NOT_REACHED == listed
    more_than_documented = {
        method: names - set(COMPUTE.get(method, ()))
        for method, names in requests.methods.items()
        if not names <= set(COMPUTE.get(method, ()))
    }
    assert more_than_documented == {}
    (of_ledger,) = orchestrator.on(Resource.LEDGER)
    assert storage.permissions() == set(of_ledger.names)


def bake(recipe: str, **variables: str) -> str:
    run = BakeWalk(recipe, f"permissions__{recipe}{'-'.join(variables.values())}", vars=variables)
    run.through("promote_image")
    run.tear_down()
    return str(run.handed["plan_bake"]["image_name"])


def roll_out(name: str, image: str, text: str, *, force: bool = False) -> str | None:
    run = Rollout(load_fleet(text, "fleets/web.yaml"), f"permissions__{name}", image)
    run.force = force
    return run.through()


def swap(compute: Compute, old: str, new: str) -> None:
    """One rollout that works, and one that goes back: `web-2` lacks what the new image needs."""
    members = Members(cast("Testbed", SimpleNamespace(compute=compute)))
    schedule = {"schedule": {"dailySchedule": {"daysInCycle": 1, "startTime": "04:00"}}}
    body = {"name": "nightly", "snapshotSchedulePolicy": schedule}
    compute.call("POST", f"{REGION}/resourcePolicies", json=body)
    members.create(old, ["web-1", "web-2"], plain="web-2")
    for name in ("web-1", "web-2"):
        compute.call(
            "POST", f"{HERE}/disks/{name}/addResourcePolicies", json={"resourcePolicies": [POLICY]}
        )
    assert roll_out("swap-back", new, SWAP) == "failed"
    members.configure("web-2", "color", "red")
    assert roll_out("swap", new, SWAP, force=True) == "success"
    compute.delete_machines()


def declare(compute: Compute, old: str, new: str) -> None:
    """Members are created and taken back, created again, and recreated as the template says."""
    colorless = DECLARED.replace("{color: blue}", "{}")
    assert roll_out("taken-back", new, colorless, force=True) == "failed"
    assert roll_out("created", old, DECLARED) == "success"
    larger = DECLARED.replace("e2-small", "e2-medium")
    assert roll_out("larger", new, larger, force=True) == "success"
    compute.delete_machines()


def move_a_group(compute: Compute, old: str, new: str) -> None:
    group = Group(compute)
    group.create(old, size=2)
    assert roll_out("group", new, GROUP, force=True) == "success"
    group.delete()


def run_housekeeping(compute: Compute, folder: Path, image: str) -> None:
    """The set-up is checked, what is unused is retired and swept, and an image is revoked."""
    include = folder / "include"
    (include / "recipes").mkdir(parents=True)
    (include / "fleets").mkdir()
    (include / "recipes/web.yaml").write_text(WEB)
    cloud_facts("google_cloud_default", needs_of(read_project(include)))
    assert store_facts(os.environ["AIRFLOW_VAR_BAKEHOUSE_LEDGER"]).problem == ""
    leave_behind(compute, image)

    def walk(run_id: str, **params: Any) -> housekeeping.Walk:
        return housekeeping.Walk(f"permissions__{run_id}", str(include), STATES, **params)

    walk("sweep").through("plan_sweep", "sweep")
    walk("drift").through("show_drift")
    for number in range(2):
        walk(f"retire{number}").through("plan_retire", "retire")
        time.sleep(1.1)  # the recipe's grace
    revoke = ("find_image", "revoke_image", "mark_descendants", "name_members")
    walk("revoke", image=image, why="a test").through(*revoke)


def leave_behind(compute: Compute, image: str) -> None:
    """An image and a machine image of a run that has ended without a word."""
    body = {"name": "web-lost", "sourceImage": f"global/images/{image}", **of_run("image")}
    compute.call("POST", "global/images", json=body)
    Members(cast("Testbed", SimpleNamespace(compute=compute))).create(image, ["source"])
    body = {"name": "whole-lost", "sourceInstance": f"{HERE}/instances/source", **of_run("image")}
    compute.call("POST", "global/machineImages", json=body)
    path = "global/machineImages/whole-lost"
    wait_until(lambda: compute.call("GET", path)["status"] == "READY", SOON, path, every=0.1)
