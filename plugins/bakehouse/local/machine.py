"""Boot an image of a recipe on this computer, as an instance of a fleet boots it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import boot_lines, serial_output
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import labels_of, zone_of
from bakehouse.local.errors import LocalError
from bakehouse.local.runs import forget, living, new_run
from bakehouse.local.server import INSTANT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from bakehouse.local.client import Client
    from bakehouse.local.places import Places
    from bakehouse.local.runs import LocalRun
    from bakehouse.recipe.model import Recipe

ROLE = "run"
LIVES = timedelta(hours=12)  # the server deletes the machine then, if nobody has before
LOOK_EVERY = 0.3
HEALTHY = "healthy"


@dataclass(frozen=True)
class Forward:
    """A port of this computer's loopback that leads to one of the machine."""

    here: int
    there: int

    @classmethod
    def parse(cls, text: str) -> Forward:
        """Read `8080:80`, or `80` for both. Raises LocalError."""
        here, _, there = text.partition(":")
        try:
            found = cls(int(here), int(there or here))
        except ValueError:
            raise LocalError(
                f"-p {text!r} is not HOST:GUEST, two port numbers: write -p 8080:80"
            ) from None
        if not (0 < found.here < 65536 and 0 < found.there < 65536):
            raise LocalError(f"-p {text!r}: a port is a number from 1 to 65535")
        return found


class RunningMachine:
    """A machine of `bakehouse run`: its serial output, and what it says of its health."""

    def __init__(self, client: Client, zone: str, name: str, nonce: str) -> None:
        self.client, self.zone, self.name = client, zone, name
        self._nonce, self._offset = nonce, 0
        self.health: Mapping[str, Any] | None = None

    def new_lines(self) -> list[str]:
        """Return what it has written since, as people read it."""
        answer = self.client.serial(self.zone, self.name, self._offset)
        if not answer:
            return []
        chunk = serial_output.split(answer, self._offset, 10_000)
        self._offset = chunk.next
        for said in serial_output.said(chunk.lines, self._nonce):
            self.health = said.get("health", self.health)
        return list(boot_lines.for_terminal(chunk.lines))

    def status(self) -> str | None:
        """Return the status of the instance; None when it is gone."""
        found = self.client.instance(self.zone, self.name)
        return str(found["status"]) if found else None

    def address(self) -> str | None:
        """Return the address on this computer's loopback, if it has one."""
        found = self.client.instance(self.zone, self.name) or {}
        for interface in found.get("networkInterfaces", []):
            for access in interface.get("accessConfigs", []):
                return str(access["natIP"]) if access.get("natIP") else None
        return None


@contextmanager
def machine_of(
    places: Places,
    client: Client,
    recipe: Recipe,
    image: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> Generator[RunningMachine]:
    """Yield a machine that boots; it is deleted at the end, whatever that is."""
    run = new_run(recipe.name, "run")
    zone = recipe.builder.zones[0]
    body = insert_body(run, recipe, image, metadata)
    with living(places, run):
        try:
            client.insert(zone, body)
            yield RunningMachine(client, zone, body["name"], run.label)
        finally:
            client.delete(f"zones/{zone}/instances/{body['name']}")
            forget(places, run.label)


def insert_body(
    run: LocalRun, recipe: Recipe, image: Mapping[str, Any], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Return the body of instances.insert. `metadata` goes before the recipe's for smoke tests."""
    name = f"run-{recipe.name}-{run.label[:8]}"
    zone = recipe.builder.zones[0]
    owned = {
        labels.RECIPE: recipe.name,
        labels.RUN: run.label,
        labels.ROLE: ROLE,
        labels.LOCAL: labels.WORK_TREE,
        labels.EXPIRES: labels.expiry(datetime.now(UTC) + LIVES),
    }
    told = {
        **recipe.smoke.metadata,
        **metadata,
        "enable-guest-attributes": "TRUE",
        "bakehouse-nonce": run.label,
        "bakehouse-role": ROLE,
    }
    body: dict[str, Any] = {
        "name": name,
        "description": f"{recipe.name}, run by bakehouse run",
        "machineType": f"zones/{zone}/machineTypes/{recipe.builder.machine_type}",
        "labels": owned,
        "networkInterfaces": [
            {
                "network": "global/networks/default",
                "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}],
            }
        ],
        "metadata": {"items": [{"key": k, "value": str(v)} for k, v in told.items()]},
        "scheduling": {
            "automaticRestart": False,
            "onHostMaintenance": "TERMINATE",
            "instanceTerminationAction": "DELETE",
            "maxRunDuration": {"seconds": str(int(LIVES.total_seconds()))},
        },
    }
    if recipe.image.kind == MACHINE_IMAGE:
        return body | {"sourceMachineImage": image["selfLink"]}
    initial = {"sourceImage": image["selfLink"], "diskSizeGb": str(recipe.builder.disk_gb)}
    initial["diskType"] = f"zones/{zone}/diskTypes/{recipe.builder.disk_type}"
    return body | {"disks": [{"boot": True, "autoDelete": True, "initializeParams": initial}]}


def until_healthy(machine: RunningMachine, limit: timedelta, say: Callable[[str], None]) -> None:
    """Show the log until the machine says that it is healthy. Raises LocalError."""
    until = time.monotonic() + limit.total_seconds()
    while machine.health is None:
        for line in machine.new_lines():
            say(line)
        if machine.health is None and machine.status() not in {"RUNNING", "STAGING"}:
            raise LocalError(f"{machine.name} has stopped before it was healthy")
        if time.monotonic() > until:
            raise LocalError(f"{machine.name} has said nothing of its health within {limit}")
        time.sleep(LOOK_EVERY)
    if machine.health.get("state") != HEALTHY:
        detail = " ".join(str(machine.health.get("detail") or "it does not say why").split())
        raise LocalError(f"{machine.name} is unhealthy: {detail}")


def follow(machine: RunningMachine, say: Callable[[str], None]) -> None:
    """Show the log until the machine stops; Ctrl-C ends it before."""
    while True:
        for line in machine.new_lines():
            say(line)
        if machine.status() != "RUNNING":
            say(f"{machine.name} has stopped")
            return
        time.sleep(LOOK_EVERY)


def open_ports(places: Places, machine: RunningMachine, forwards: Sequence[Forward]) -> list[str]:
    """Forward the ports, and return the addresses at which the machine answers."""
    if places.kind == INSTANT:
        if forwards:
            raise LocalError("an instant machine has no ports: use --machines qemu")
        return []
    for forward in forwards:
        body = {"instance": machine.name, "host_port": forward.here, "guest_port": forward.there}
        machine.client.admin("forwards", body)
    address = machine.address()
    return [
        *(f"http://127.0.0.1:{each.here} -> port {each.there}" for each in forwards),
        *([f"address {address}"] if address else []),
    ]


def recipe_in(image: Mapping[str, Any]) -> str:
    """Return the recipe that an image is of."""
    return labels_of(image).get(labels.RECIPE, "")


def machine_named(client: Client, name: str) -> tuple[str, dict[str, Any]]:
    """Return zone and instance. Raises LocalError."""
    for instance in client.instances():
        if instance["name"] == name:
            return zone_of(instance), instance
    raise LocalError(f"there is no machine {name}: `bakehouse ps` lists those there are")


def health_in(text: str | None) -> str:
    """Return the state in a health report; empty without one."""
    try:
        return str(json.loads(text or "{}").get("state", ""))
    except ValueError:
        return ""
