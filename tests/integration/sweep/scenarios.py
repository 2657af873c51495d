"""The runs whose calls are made to fail, and what must be there when they have ended."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tests.integration.sweep.dag_run import DagRun
from tests.support.connections import commit_all, connect
from tests.support.deadlines import SOON
from tests.support.ledger import read_ledger
from tests.support.paths import PROJECT

from bakehouse.bake.plan import BakePlan
from bakehouse.config.project import read_project
from bakehouse.dag_factory.bake import bake_dag
from bakehouse.dag_factory.housekeeping import housekeeping_dag
from bakehouse.dag_factory.rollout import roll_out_dag
from bakehouse.images import labels
from bakehouse.images.names import run_label
from bakehouse.images.selection import deprecation_state
from devstack.gce_api import Compute, ComputeError
from devstack.serving import GCE_PROJECT, serving
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

CLOCK_RATE = 50  # of the machines
SHORTER = 1000  # times: the waits for quota and rate limits
POLL = 0.03  # seconds
ZONE = "us-central1-a"
HERE = f"zones/{ZONE}"
COLOR = "var/www/html/color.html.j2"  # whoever lacks the attribute does not get healthy on `new`
RUNS = count(1)

RECIPE = """\
base: debian-cloud/debian-12
scripts: sweep
vars: {page: old, instant_boot_seconds: '0.2', instant_fail_install: '', instant_fail_check: ''}
smoke: {metadata: {greeting: hi, color: blue}, deadline: 30m}
builder: {zones: [us-central1-a, us-central1-b], max_run_minutes: 1400}
"""
MACHINE_IMAGE = RECIPE + "image: {kind: machine_image}\n"
FLEET = """\
recipe: sweep
members: {{instances: [{}], zones: [us-central1-a]}}
stages: [1, 100%]
health_deadline: 2h
"""
HOUSE = RECIPE + "image: {keep: {last: 1, grace: 1s}}\n"
RECIPES = {"sweep": RECIPE, "tray": MACHINE_IMAGE, "house": HOUSE}
LEFT_BEHIND = "manual__left-behind"  # a bake of `house` that has ended
FLEETS = {"swap": ("swap-1",), "back": ("back-1", "back-2")}
WITHOUT_COLOR = "back-2"


class Server:
    """A server, and the repository that is baked from; `inside` is where runs are made."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._images: dict[str, str] = {}
        repository(folder / "repository")

    @contextmanager
    def inside(self) -> Generator[World]:
        """Connections lead to the server, and every wait is short; images `old` and `new` exist."""
        with (
            pytest.MonkeyPatch.context() as environment,
            asyncio.Runner() as loop,
            closing(Compute(self._url, GCE_PROJECT)) as compute,
        ):
            repository = self._folder / "repository"
            connect(environment, self._url, repository, poll_interval=POLL)
            _shorten(environment)
            dags = _dags(repository / "include")
            world = World(compute, self._folder, loop, dags, environment, self._images)
            for page in ("old", "new"):
                if page not in self._images:
                    self._images[page] = _bake_first(world, page)
            yield world


@contextmanager
def server(folder: Path) -> Generator[Server]:
    """Start one, with instant machines."""
    with serving(folder, clock_rate=CLOCK_RATE) as url:
        yield Server(url, folder)


@dataclass
class World:
    """What a run needs; the project has the images `old` and `new`."""

    compute: Compute
    folder: Path
    loop: asyncio.Runner
    dags: dict[str, DAG]
    environment: pytest.MonkeyPatch
    images: dict[str, str]  # old, new -> name

    def ledger(self, name: str) -> Path:
        """An empty ledger, of which the next run writes."""
        folder = self.folder / "ledgers" / name
        self.environment.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{folder}")
        # the images that it rolls out were signed beside another ledger
        self.environment.setenv("AIRFLOW_VAR_BAKEHOUSE_UNSIGNED_IMAGES", "allow")
        return folder


def _shorten(environment: pytest.MonkeyPatch) -> None:
    from bakehouse.cloud import errors

    for module in ("bakehouse.cloud", "bakehouse.rollout"):
        environment.setattr(f"{module}.triggers.FIRST_LOOK", 0.0)
    environment.setattr("bakehouse.rollout.step_operations.AT_FIRST", (0.0, *[POLL] * 4))
    for table in ("_BY_REASON", "_BY_STATUS", "_BY_CODE"):
        known = getattr(errors, table)
        shorter = {key: (meaning, wait / SHORTER) for key, (meaning, wait) in known.items()}
        environment.setattr(errors, table, shorter)
    # Google's client waits a random part of 2, 4, 8 s before it reads once more
    at_once = SimpleNamespace(random=lambda: 0.001)
    environment.setattr("googleapiclient.http.random", at_once)


def repository(folder: Path) -> Path:
    """The recipe `sweep` and its fleets, committed."""
    shutil.copytree(PROJECT / "include", folder / "include")
    include = folder / "include"
    shutil.copytree(include / "startup_scripts/web", include / "startup_scripts/sweep")
    page = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"
    (include / "startup_scripts/sweep/templates" / COLOR).write_text(page)
    for recipe, text in RECIPES.items():
        (include / f"recipes/{recipe}.yaml").write_text(text)
    for fleet, names in FLEETS.items():
        (include / f"fleets/{fleet}.yaml").write_text(FLEET.format(", ".join(names)))
    commit_all(folder, "Sweep")
    return folder


def _dags(include: Path) -> dict[str, DAG]:
    project = read_project(include)
    dags = [bake_dag(r, project.recipes, ()) for r in project.recipes if r.name in RECIPES]
    dags += [housekeeping_dag(include, "0 5 * * *", "UTC", "bakehouse", ())]
    dags += [roll_out_dag(fleet) for fleet in project.fleets if fleet.name in FLEETS]
    return {dag.dag_id: dag for dag in dags}


def _bake_first(world: World, page: str) -> str:
    run = DagRun(world.dags["bake__sweep"], f"first-{page}", world.loop, {"vars": {"page": page}})
    world.ledger(run.run_id)
    run.complete()
    assert run.state == "success", run.explain()
    return str(run.xcoms["plan_bake", -1, "return_value"]["image_name"])


Around = Callable[[str], object]
EndState = dict[str, Any]
NOT_COMPARED = frozenset({"hits", "tries", "errors"})  # what a fault may change
ONCE = frozenset({"insert", "start", "stop", "attachDisk", "detachDisk"})  # operations that count


class Scenario:
    """A run that is made again and again; each begins with what the one before has left."""

    name: str
    dag_id: str

    def __init__(self, world: World) -> None:
        self.world, self.compute = world, world.compute

    def prepare(self) -> dict[str, Any]:
        """Bring about what a run finds; the run's parameters."""
        raise NotImplementedError

    def found(self, run: DagRun) -> EndState:
        """What the run has brought about, without the names that differ from run to run."""
        raise NotImplementedError

    def run(self, begins: Around = lambda _: None, ends: Around = lambda _: None) -> EndState:
        """One run, from its preparation to its end."""
        params = self.prepare()
        self._forget_operations()
        dag, run_id = self.world.dags[self.dag_id], f"{self.name}-{next(RUNS)}"
        ledger = self.world.ledger(run_id)
        run = DagRun(dag, run_id, self.world.loop, params, begins, ends)
        run.others[LEFT_BEHIND] = "failed"
        try:
            run.complete()
        finally:
            hits = sum(fault["hits"] for fault in self.compute.faults())
            self.compute.clear_faults()
        ended: EndState = {
            "hits": hits,
            "state": run.state,
            "states": run.states,
            "errors": run.explain(),
            "tries": run.tries,
            "events": self.events(ledger, run_id),
            "leases": _leases(ledger),
            "made": self._made(),
            "left": sorted(_kind(resource) for resource in self._left()),
            **self.found(run),
        }
        if ended["left"] or self.images_of_runs():
            self.restore()
        return ended

    def events(self, ledger: Path, run_id: str) -> list[str]:
        """What the run has told, in no order."""
        return sorted(f"{event.kind}: {event.reason}" for event in read_ledger(ledger, run_id))

    def images_of_runs(self) -> list[dict[str, Any]]:
        """The images that runs have made since."""
        first, machine_images = self.world.images.values(), "global/machineImages"
        images = [image for image in self.compute.images() if image["name"] not in first]
        return images + self.compute.listed(machine_images)

    def _made(self) -> dict[str, int]:
        """What was done how often, without what failed."""
        wait_until(
            lambda: all(o["status"] == "DONE" for o in self._operations()), SOON, "operations", POLL
        )
        good = [o for o in self._operations() if "error" not in o and o["operationType"] in ONCE]
        done = Counter(f"{o['operationType']} {o['targetLink'].split('/')[-2]}" for o in good)
        return dict(sorted(done.items()))

    def restore(self) -> None:
        """Delete what a run has left that did not end well."""
        for resource in [*self._left(), *self.images_of_runs()]:
            with suppress(ComputeError):  # such as a disk that goes with its instance
                self.compute.call("DELETE", _path(resource))
        wait_until(lambda: not self._left() and not self.images_of_runs(), SOON, "order", POLL)

    def _left(self) -> list[dict[str, Any]]:
        """What belongs to no member and is no image."""
        members = {name for names in FLEETS.values() for name in names}
        machines = (i for i in self.compute.instances() if i["name"] not in members)
        disks = (d for d in self.compute.disks() if not d.get("users"))
        snapshots = self.compute.listed("global/snapshots")
        return [*machines, *disks, *snapshots]

    def _operations(self) -> list[dict[str, Any]]:
        zones = [f"zones/{name}" for name in ("us-central1-a", "us-central1-b")]
        return [o for at in [*zones, "global"] for o in self.compute.listed(f"{at}/operations")]

    def _forget_operations(self) -> None:
        """A server that has done a lot answers slowly."""
        for operation in self._operations():
            if operation["status"] == "DONE":
                self.compute.call("DELETE", _path(operation))


class Bake(Scenario):
    """From a commit to a promoted image."""

    name, dag_id = "bake", "bake__sweep"
    vars: ClassVar[dict[str, str]] = {}
    params: ClassVar[dict[str, Any]] = {}

    def prepare(self) -> dict[str, Any]:
        return {"vars": {"page": "swept", **self.vars}, **self.params}

    def found(self, run: DagRun) -> EndState:
        return {"images": [_comparable(image, run) for image in self.images_of_runs()]}


class MachineImage(Bake):
    """The same for a machine image."""

    name, dag_id = "machine_image", "bake__tray"


class InstallFails(Bake):
    """The builder reports that its install has failed."""

    name = "install_fails"
    vars: ClassVar[dict[str, str]] = {"instant_fail_install": "E: no such package"}


class BuilderIsKept(InstallFails):
    """The same, with a builder that stays for a look at it."""

    name = "builder_is_kept"
    params: ClassVar[dict[str, Any]] = {"keep_builder": True}


class SmokeTestFails(Bake):
    """The candidate is labelled as failed, and stays."""

    name = "smoke_test_fails"
    vars: ClassVar[dict[str, str]] = {"instant_fail_check": "port 80"}


class Housekeeping(Scenario):
    """A VM, a disk and a candidate of an ended run are swept, and two images retired by a step."""

    name, dag_id = "housekeeping", "housekeeping"

    def prepare(self) -> dict[str, Any]:
        with_disk = {"name": "bake-house-1", "machineType": f"{HERE}/machineTypes/e2-small"}
        source = {"sourceImage": f"global/images/{self.world.images['old']}"}
        boot = {
            "boot": True,
            "autoDelete": True,
            "initializeParams": {**source, **_left_by("builder")},
        }
        network = [{"network": "global/networks/default"}]
        machine = {**with_disk, "disks": [boot], "networkInterfaces": network}
        self._insert(f"{HERE}/instances", {**machine, **_left_by("builder")}, "RUNNING")
        disk = {"name": "bake-house-2", "sizeGb": "1", **_left_by("builder")}
        self._insert(f"{HERE}/disks", disk, "READY")
        image = {"sourceDisk": f"{HERE}/disks/bake-house-2"}
        self._insert("global/images", {"name": "house-left", **image, **_left_by("image")}, "READY")
        for number in (1, 2, 3):
            body = {"name": f"house-{number}", "family": "house", **image}
            promoted = _left_by("image", labels.PROMOTED)
            self._insert("global/images", {**body, **promoted}, "READY")
        due = {"state": "OBSOLETE", "deleted": "2026-01-01T00:00:00Z"}
        self.compute.call("POST", "global/images/house-1/deprecate", json=due)
        wait_until(lambda: "deprecated" in self.compute.image("house-1"), SOON, "house-1", POLL)
        return {"dry_run": False, "recipe": "house"}

    def found(self, run: DagRun) -> EndState:  # ruff: ignore[unused-method-argument]  as of every scenario
        return {
            "images": {
                image["name"]: image.get("deprecated", {}).get("state")
                for image in self.images_of_runs()
            }
        }

    def _insert(self, where: str, body: dict[str, Any], status: str) -> None:
        path = f"{where}/{body['name']}"
        self.compute.call("POST", where, json=body)
        wait_until(lambda: self.compute.call("GET", path)["status"] == status, SOON, path, POLL)


class Rollout(Scenario):
    """A fleet moves onto another image; a member is made once, and goes on from run to run."""

    fleet: str

    @property
    def members(self) -> tuple[str, ...]:
        return FLEETS[self.fleet]

    def prepare(self) -> dict[str, Any]:
        begin, goal = self.images()
        if any(not self._is_well(name, begin) for name in self.members):
            self._make(begin)
        self.ids = {name: self._member(name)["id"] for name in self.members}
        return {"image": goal}

    def images(self) -> tuple[str, str]:
        """What they run, and what they shall run."""
        return self.world.images["old"], self.world.images["new"]

    def found(self, run: DagRun) -> EndState:
        return {"members": {name: self._facts(name, run) for name in self.members}}

    def _facts(self, name: str, run: DagRun) -> dict[str, Any]:
        member = self._member(name)
        boot = next(d for d in member["disks"] if d.get("boot"))
        health, image = self._health(name), self._image(name)
        return {
            "id": member["id"] == self.ids[name],
            "status": member["status"],
            "on the goal": image == run.params["image"],
            "health": [health.get("state"), health.get("image") == image],
            "boot": {key: boot[key] for key in ("deviceName", "autoDelete", "mode", "index")},
            "others": [d["deviceName"] for d in member["disks"] if not d.get("boot")],
        }

    ids: dict[str, str]

    def _member(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.compute.call("GET", f"{HERE}/instances/{name}")
        return found

    def _image(self, name: str) -> str:
        """The one that its boot disk is made of; empty if it has none."""
        for disk in self._member(name)["disks"]:
            if disk.get("boot"):
                found = self.compute.call("GET", f"{HERE}/disks/{disk['source'].rsplit('/', 1)[1]}")
                return str(found["sourceImage"].rsplit("/", 1)[1])
        return ""

    def _health(self, name: str) -> dict[str, Any]:
        path = f"{HERE}/instances/{name}/getGuestAttributes"
        try:
            found = self.compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        except ComputeError:
            return {}
        health: dict[str, Any] = json.loads(found["queryValue"]["items"][0]["value"])
        return health

    def _is_well(self, name: str, image: str) -> bool:
        try:
            up = self._member(name)["status"] == "RUNNING" and self._image(name) == image
        except ComputeError:
            return False
        said = self._health(name)
        return up and (said.get("state"), said.get("image")) == ("healthy", image)

    def _make(self, image: str) -> None:
        """The members anew, of this image."""
        for name in self.members:
            with suppress(ComputeError):
                self.compute.call("DELETE", f"{HERE}/instances/{name}")
        there = {i["name"] for i in self.compute.instances()}
        wait_until(lambda: not there & set(self._names()), SOON, "no members", POLL)
        for disk in self.compute.disks():
            if not disk.get("users"):
                self.compute.call("DELETE", f"{HERE}/disks/{disk['name']}")
        for name in self.members:
            self.compute.call("POST", f"{HERE}/instances", json=_instance(name, image))
        wait_until(
            lambda: all(self._is_well(name, image) for name in self.members), SOON, "members", POLL
        )

    def _names(self) -> list[str]:
        return [i["name"] for i in self.compute.instances() if i["name"] in self.members]


class Swap(Rollout):
    """A member moves from the old image to the new one; the next run moves it back."""

    name, dag_id, fleet = "swap", "roll_out__swap", "swap"

    def images(self) -> tuple[str, str]:
        old, new = super().images()
        (member,) = self.members
        return (new, old) if self._is_well(member, new) else (old, new)

    def events(self, ledger: Path, run_id: str) -> list[str]:
        """Without the hold of every second run, which goes back to the older image."""
        told = super().events(ledger, run_id)
        return [one for one in told if not one.startswith("image_held:")]


class RollBack(Rollout):
    """The first member gets healthy on the new image, the second one does not: both go back."""

    name, dag_id, fleet = "roll_back", "roll_out__back", "back"

    def prepare(self) -> dict[str, Any]:
        """Take the mark of the run before off the image, so that every run has to set it."""
        form = super().prepare()
        image = self.compute.image(form["image"])
        if marks := self._marks(image):
            kept = {key: value for key, value in image["labels"].items() if key not in marks}
            told = {"labels": kept, "labelFingerprint": image["labelFingerprint"]}
            path = f"global/images/{image['name']}"
            self.compute.call("POST", f"{path}/setLabels", json=told)
            self.compute.call("POST", f"{path}/deprecate", json={"state": "ACTIVE"})
            wait_until(lambda: self._is_unmarked(image["name"]), SOON, image["name"], POLL)
        return form

    def found(self, run: DagRun) -> EndState:
        image = self.compute.image(run.params["image"])
        marks = self._marks(image)
        own = (self.fleet, labels.label_value(run.run_id))
        told = {key: value in own for key, value in marks.items()}
        return {**super().found(run), "marks": told, "state": deprecation_state(image)}

    def _marks(self, image: dict[str, Any]) -> dict[str, str]:
        """The labels by which a fleet says that it has blamed the image."""
        own = (labels.ROLLED_BACK, labels.failed_in(self.fleet))
        return {key: value for key, value in image["labels"].items() if key in own}

    def _is_unmarked(self, name: str) -> bool:
        image = self.compute.image(name)
        return not self._marks(image) and deprecation_state(image) == "ACTIVE"


_ALL = (
    Bake,
    MachineImage,
    InstallFails,
    BuilderIsKept,
    SmokeTestFails,
    Swap,
    RollBack,
    Housekeeping,
)
SCENARIOS: dict[str, type[Scenario]] = {kind.name: kind for kind in _ALL}


def _left_by(role: str, state: str = labels.CANDIDATE) -> dict[str, Any]:
    """Labels and description of what the ended run has made."""
    told = {labels.RECIPE: "house", labels.ROLE: role, labels.STATE: state}
    told[labels.RUN] = run_label("bake__house", LEFT_BEHIND)
    told |= {} if state == labels.PROMOTED else {labels.EXPIRES: str(int(time.time()) + 86_400)}
    return {"labels": told, "description": f"house, made by bake__house {LEFT_BEHIND}"}


def _comparable(image: dict[str, Any], run: DagRun) -> dict[str, Any]:
    """The image, with what differs from run to run and server to server as whether it is right."""
    plan = BakePlan.model_validate(run.xcoms["plan_bake", -1, "return_value"])
    own = {
        labels.RUN: plan.run,
        labels.GIT_SHA: plan.commit.sha,
        labels.CONTENT_KEY: plan.content_key,
        labels.BASE_IMAGE_ID: plan.base_image.id,
    }
    told = {
        key: own[key] == value if key in own else value for key, value in image["labels"].items()
    }
    if labels.EXPIRES in told:
        told[labels.EXPIRES] = int(told[labels.EXPIRES]) > time.time()
    return {"labels": told, "family": image.get("family"), "status": image["status"]}


def _kind(resource: dict[str, Any]) -> str:
    """What a resource is, and what for."""
    told = resource.get("labels", {})
    return f"{resource['kind']} {told.get(labels.ROLE)} {told.get(labels.STATE)}"


def _path(resource: dict[str, Any]) -> str:
    """Below the project."""
    return str(resource["selfLink"]).partition(f"/projects/{GCE_PROJECT}/")[2]


def _instance(name: str, image: str) -> dict[str, Any]:
    items = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member", "greeting": "hello"}
    if name != WITHOUT_COLOR:
        items["color"] = "red"
    disk = {"initializeParams": {"sourceImage": f"global/images/{image}"}}
    return {
        "name": name,
        "machineType": f"{HERE}/machineTypes/e2-small",
        "metadata": {"items": [{"key": key, "value": value} for key, value in items.items()]},
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [{"boot": True, "autoDelete": True, **disk}],
    }


def _leases(ledger: Path) -> dict[str, bool]:
    """Whether each is free."""
    newest: dict[str, bool] = {}
    for path in sorted((ledger / "leases").rglob("*.json"), key=lambda p: int(p.stem)):
        lease = path.parent.relative_to(ledger / "leases").parts[0]
        newest[lease] = json.loads(path.read_text())["released"]
    return newest
