"""The managed instance group of the tests of rollouts: made, and looked at from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.flow.fleet import HERE
from tests.support.deadlines import SOON

from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.gce_api import Compute

GROUP = f"{HERE}/instanceGroupManagers/web"


class Group:
    """The group `web` of a zone or a region, and its instances as one sees them from outside."""

    def __init__(self, compute: Compute, where: str = HERE) -> None:
        self._compute = compute
        self._all = f"{where}/instanceGroupManagers"
        self._path = f"{self._all}/web"

    def create(
        self, image: str, size: int = 3, color: str = "red", speaks: bool = True, **more: Any
    ) -> None:
        """Make it of a template of its own, and wait until it is stable."""
        mute: dict[str, Any] = {} if speaks else {"metadata": {"items": []}}
        self.template("web-own", f"global/images/{image}", color, **mute)
        body = {"name": "web", "targetSize": size, **more}
        body.setdefault("instanceTemplate", "global/instanceTemplates/web-own")
        self.call("POST", self._all, json=body)
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
        found: dict[str, Any] = self.call("GET", self._path)
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get()["status"]
        return found

    def patch(self, **body: Any) -> None:
        self.call("PATCH", self._path, json=body)

    def templates(self) -> list[str]:
        found = self.call("GET", "global/instanceTemplates").get("items", [])
        return sorted(t["name"] for t in found)

    def instances(self) -> dict[str, str]:
        """The image of each instance's boot disk, by name."""
        there = self.call("POST", f"{self._path}/listManagedInstances").get("managedInstances", [])
        disks = {
            d["name"]: d.get("sourceImage", "").rsplit("/", 1)[-1] for d in self._compute.disks()
        }
        return {one["name"]: disks.get(one["name"], "") for one in there}

    def ids(self) -> set[str]:
        there = self.call("POST", f"{self._path}/listManagedInstances").get("managedInstances", [])
        return {one["id"] for one in there}

    def versions(self) -> list[tuple[str, Any]]:
        """Each version's template, and its target size."""
        found = self.get()["versions"]
        sizes = [v.get("targetSize") for v in found]
        names = [v["instanceTemplate"].rsplit("/", 1)[-1] for v in found]
        return list(zip(names, sizes, strict=True))

    def policy(self) -> str:
        return str(self.get()["updatePolicy"]["type"])

    def delete(self) -> None:
        for group in self.call("GET", self._all).get("items", []):
            self.call("DELETE", f"{self._all}/{group['name']}")
        wait_until(
            lambda: not self.call("GET", self._all).get("items"), SOON, "no group", every=0.05
        )
        for name in self.templates():
            self.call("DELETE", f"global/instanceTemplates/{name}")
        wait_until(lambda: not self.templates(), SOON, "no template", every=0.05)
