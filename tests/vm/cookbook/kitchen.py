"""Bakes recipes of the cookbook, and boots their images as a fleet's instances."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.connections import commit_all

from bakehouse.config.new_project import write_project
from bakehouse.config.new_recipe import examples, write_recipe
from bakehouse.local.places import Places
from bakehouse.local.server import GCE_PROJECT, running
from devstack.gce_api import Compute
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS = Path(__file__).with_name("rows")
ZONE = "zones/us-central1-a"
BUILD_SECONDS = 3600  # the bake has deadlines of its own; this ends what hangs
BOOT_SECONDS = 1500.0
TOLD = re.compile(r"cookbook: rows (\S*), own (\S+)")
HEALTH = re.compile(r'"health": (\{.*?"detail".*\})\}')


@dataclass(frozen=True)
class Told:
    """What an instance has said once it was healthy."""

    rows: tuple[str, ...]
    own: str  # what it has made at its first boot: an id, a key's fingerprint
    serial: str


class Kitchen:
    """The project, and the localgce of its local builds."""

    def __init__(self, project: Path) -> None:
        self.project = project
        write_project(project)
        for name in examples():
            recipe, *_ = write_recipe(project, f"our-{name}", name)
            recipe.write_text(_patient(recipe.read_text()))
        commit_all(project, "The whole cookbook")

    def build(self, name: str) -> str:
        """Bake it and test it, by the steps of its DAG; returns the image."""
        return self.build_recipe(f"our-{name}")

    def build_recipe(self, recipe: str) -> str:
        """The same for a recipe by its own name."""
        done = self._bakehouse("build", recipe)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        found = re.findall(r"^built (\S+) in", done.stdout, re.MULTILINE)
        assert found, done.stdout[-2000:]
        return str(found[-1])  # after those that it is built on

    def compute(self) -> Compute:
        """The Compute Engine API of the local builds."""
        server = running(Places(self.project, "qemu"))
        assert server is not None
        return Compute(server.url, GCE_PROJECT)

    def close(self) -> None:
        """Delete the machines and the images, and stop localgce."""
        done = self._bakehouse("rm", "--all")
        assert done.returncode == 0, done.stderr

    def _bakehouse(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bakehouse.cli", *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )


class Member:
    """An instance of a fleet, perhaps with a data disk; its metadata is the owner's."""

    def __init__(self, compute: Compute, name: str, recipe: str) -> None:
        self._compute, self.name, self._recipe, self._boots = compute, name, recipe, 0
        self._before = ""  # the serial output of earlier boots

    def create(
        self, image: str, *, data_disk: bool, metadata: Mapping[str, str] | None = None
    ) -> Told:
        """Create it, perhaps with a blank data disk; returns what it says at its first boot."""
        rows = [(ROWS / f"{name}.sh").read_text() for name in ("begin", self._recipe, "end")]
        items = {"enable-guest-attributes": "TRUE", "startup-script": "".join(rows)}
        items |= metadata or {}
        boot = {"diskName": f"{self.name}-0", "sourceImage": f"global/images/{image}"}
        disks: list[dict[str, Any]] = [
            {"boot": True, "autoDelete": True, "deviceName": "boot", "initializeParams": boot}
        ]
        if data_disk:
            blank = {"diskName": f"{self.name}-data", "diskSizeGb": "2"}
            disks.append({"deviceName": "data", "autoDelete": True, "initializeParams": blank})
        body = {
            "name": self.name,
            "machineType": f"{ZONE}/machineTypes/e2-small",
            "networkInterfaces": [{"network": "global/networks/default"}],
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
            "disks": disks,
        }
        self._done(self._compute.call("POST", f"{ZONE}/instances", json=body))
        return self._told()

    def swap(self, image: str) -> Told:
        """Replace its boot disk by a new one of the image, as a rollout does."""
        self._boots += 1
        instance, disk = f"{ZONE}/instances/{self.name}", f"{self.name}-{self._boots}"
        self._done(self._compute.call("POST", f"{instance}/stop"))
        self._before += self._serial()
        detach = {"deviceName": "boot"}
        self._done(self._compute.call("POST", f"{instance}/detachDisk", params=detach))
        self._done(self._compute.call("DELETE", f"{ZONE}/disks/{self.name}-{self._boots - 1}"))
        new = {"name": disk, "sourceImage": f"global/images/{image}"}
        self._done(self._compute.call("POST", f"{ZONE}/disks", json=new))
        attached = {"source": f"{ZONE}/disks/{disk}", "boot": True, "deviceName": "boot"}
        attached |= {"autoDelete": True}
        self._done(self._compute.call("POST", f"{instance}/attachDisk", json=attached))
        self._done(self._compute.call("POST", f"{instance}/start"))
        return self._told()

    def delete(self) -> None:
        """Delete it with its data disk."""
        self._done(self._compute.call("DELETE", f"{ZONE}/instances/{self.name}"))

    def _done(self, operation: dict[str, Any]) -> None:
        def ended() -> bool:
            path = f"{ZONE}/operations/{operation['name']}"
            found: dict[str, Any] = self._compute.call("GET", path)
            assert "error" not in found, found
            return bool(found["status"] == "DONE")

        wait_until(ended, BOOT_SECONDS, operation["operationType"])

    def _told(self) -> Told:
        """Wait until it has told its rows in this boot."""

        def said() -> bool:
            text = self._serial()
            assert '"state": "unhealthy"' not in text, text[-6000:]
            assert "startup-script exit status 1" not in text, text[-6000:]
            return TOLD.search(text) is not None

        wait_until(said, BOOT_SECONDS, f"{self.name} to tell its rows", every=1)
        text = self._serial()
        found = TOLD.search(text)
        assert found is not None
        return Told(tuple(filter(None, found[1].split(","))), found[2], text)

    def _serial(self) -> str:
        """Return the output of this boot."""
        text = self._compute.serial_output(f"{ZONE}/instances/{self.name}")
        return text.removeprefix(self._before)


def _patient(recipe: str) -> str:
    """The recipe on a machine without KVM that others use: slow is no fault of the image."""
    begin, smoke, end = recipe.partition("smoke:\n")
    patient = f"{begin}boot_time_limit: 20m\nsmoke:\n  deadline: 45m\n{end}"
    return patient if smoke else f"{recipe}boot_time_limit: 20m\nsmoke: {{ deadline: 45m }}\n"


def health_of(serial: str) -> str:
    """What `health` has printed on an instance."""
    found = re.findall(r'^bakehouse (\{.*"health".*\})\s*$', serial, re.MULTILINE)
    return str(json.loads(found[-1])["health"]["detail"])
