"""A fleet that is a managed instance group, moved by a real localgce with instant machines."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.deadlines import SOON

from bakehouse.fleet.load import load_fleet
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = f"""\
recipe: web
strategy: mig
members: {{group: web, zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""
GROUP = f"{HERE}/instanceGroupManagers/web"
RUNS = count(1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mig_trigger", "mig_soak_trigger"):
        monkeypatch.setattr(f"bakehouse.rollout.{module}.FIRST_LOOK", 0.0)


class Group:
    """The group `web`, and its instances as one sees them from outside."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def create(self, image: str, size: int = 3, color: str = "red", **more: Any) -> None:
        """Make it of a template of its own, and wait until its instances are healthy."""
        self.template("web-own", f"global/images/{image}", color)
        body = {"name": "web", "targetSize": size, **more}
        body.setdefault("instanceTemplate", "global/instanceTemplates/web-own")
        self.call("POST", f"{HERE}/instanceGroupManagers", json=body)
        wait_until(lambda: self.status()["isStable"], SOON, "the group to be stable", every=0.05)

    def template(self, name: str, image: str, color: str = "red", **more: Any) -> None:
        items = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member", "greeting": "hi"}
        items |= {"color": color} if color else {}
        disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": image}}
        properties = {
            "machineType": "e2-small",
            "disks": [{**disk, "deviceName": "boot"}],
            "networkInterfaces": [{"network": "global/networks/default"}],
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
            **more,
        }
        body = {"name": name, "properties": properties}
        self.call("POST", "global/instanceTemplates", json=body)
        wait_until(lambda: name in self.templates(), SOON, f"the template {name}", every=0.05)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        return self._compute.call(method, path, **arguments)

    def get(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", GROUP)
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get()["status"]
        return found

    def patch(self, **body: Any) -> None:
        self.call("PATCH", GROUP, json=body)

    def templates(self) -> list[str]:
        found = self.call("GET", "global/instanceTemplates").get("items", [])
        return sorted(t["name"] for t in found)

    def instances(self) -> dict[str, str]:
        """The image of each instance's boot disk, by name."""
        there = self.call("POST", f"{GROUP}/listManagedInstances").get("managedInstances", [])
        disks = {d["name"]: d["sourceImage"].rsplit("/", 1)[-1] for d in self._compute.disks()}
        return {one["name"]: disks.get(one["name"], "") for one in there}

    def versions(self) -> list[tuple[str, Any]]:
        """Each version's template, and its target size."""
        found = self.get()["versions"]
        sizes = [v.get("targetSize") for v in found]
        names = [v["instanceTemplate"].rsplit("/", 1)[-1] for v in found]
        return list(zip(names, sizes, strict=True))

    def delete(self) -> None:
        groups = self.call("GET", f"{HERE}/instanceGroupManagers").get("items", [])
        for group in groups:
            self.call("DELETE", f"{HERE}/instanceGroupManagers/{group['name']}")
        path = f"{HERE}/instanceGroupManagers"
        wait_until(lambda: not self.call("GET", path).get("items"), SOON, "no group", every=0.05)
        for name in self.templates():
            self.call("DELETE", f"global/instanceTemplates/{name}")
        wait_until(lambda: not self.templates(), SOON, "no template", every=0.05)


@pytest.fixture
def group(compute: Compute) -> Iterator[Group]:
    made = Group(compute)
    yield made
    made.delete()


def rollout(image: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__mig{next(RUNS)}", image)


def test_a_group_moves_stage_by_stage_onto_the_image(group: Group, images: Images) -> None:
    group.create(images.old)
    policy = group.get()["updatePolicy"]
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    assert run.states["verify_stage_1"] == "success", run.errors
    canary, base = group.versions()
    assert canary[1] == {"fixed": 1, "calculated": 1}
    assert base == ("web-own", None)
    assert sorted(group.instances().values()) == sorted([images.new, images.old, images.old])
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert set(group.instances().values()) == {images.new}
    ((name, size),) = group.versions()
    assert size is None
    assert name.startswith(images.new)
    assert group.get()["updatePolicy"] == policy, "the group has its own update policy again"
    assert "web-own" in group.templates(), "somebody else's template stays"
