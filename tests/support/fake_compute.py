"""A Compute Engine of one instance for the walk's tests: slow operations, calls that get lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.rollout.boot_disks import attachment, disk_body
from bakehouse.rollout.plan import BootDisk, Target
from bakehouse.rollout.states import Action

if TYPE_CHECKING:
    from bakehouse.rollout.strategies.swap import Swap

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BASE = "https://www.googleapis.com/compute/v1/projects/p"
OLD_IMAGE = Target(
    id="100", name="web-old", self_link=f"{BASE}/global/images/web-old", recipe="web"
)
NEW_IMAGE = Target(
    id="200",
    name="web-new",
    self_link=f"{BASE}/global/images/web-new",
    recipe="web",
    git_sha="a" * 40,
)
OLD_DISK = BootDisk(
    name="web-1",
    image_id="100",
    image=OLD_IMAGE.self_link,
    device_name="persistent-disk-0",
    auto_delete=True,
    type=f"{BASE}/zones/z/diskTypes/pd-balanced",
    size_gb=10,
    labels={"team": "web"},
)


class Crash(Exception):
    """The walker was killed here."""


@dataclass
class Cloud:
    """One instance, its disks, and what the guest says; `lag` ticks pass before a change shows."""

    lag: int = 0
    healthy: bool = True
    status: str = "RUNNING"
    boot: str | None = "web-1"
    disks: dict[str, dict[str, Any]] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    stops: int = 0
    starts: int = 0
    boots: int = 1
    now: datetime = NOW
    started: datetime = NOW
    pending: list[tuple[int, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    says: str = "healthy"
    prompt: bool = False  # a healthy guest reports as soon as it runs
    silent: set[str] = field(default_factory=set)  # disks from which nothing ever reports
    lost: set[str] = field(default_factory=set)  # disks from which no boot ends: the host fails
    events: list[str] = field(default_factory=list)  # on the instance, newest first

    def __post_init__(self) -> None:
        self.disks["web-1"] = {"name": "web-1", "sourceImageId": "100", "status": "READY"}
        self.disks["data"] = {"name": "data", "status": "READY"}
        self._say("web-old")

    def tick(self) -> None:
        """A second passes, and what was asked for comes about when its time has come."""
        self.now += timedelta(seconds=1)
        due = [change for left, change in self.pending if left <= 0]
        self.pending = [(left - 1, change) for left, change in self.pending if left > 0]
        for change in due:
            change()

    def instance(self) -> dict[str, Any]:
        disks = [{"boot": False, "source": f"{BASE}/zones/z/disks/data", "deviceName": "data"}]
        if self.boot:
            boot = {"boot": True, "source": f"{BASE}/zones/z/disks/{self.boot}"}
            disks.insert(0, {**boot, "deviceName": "persistent-disk-0", "autoDelete": True})
        return {
            "id": "7",
            "name": "web-1",
            "zone": f"{BASE}/zones/z",
            "selfLink": f"{BASE}/zones/z/instances/web-1",
            "status": self.status,
            "disks": disks,
            "lastStartTimestamp": self.started.isoformat(),
        }

    def disk(self, name: str) -> dict[str, Any] | None:
        found = self.disks.get(name)
        users = [f"{BASE}/zones/z/instances/web-1"] if name == self.boot else []
        return {**found, "users": users} if found else None

    def said(self) -> dict[str, str]:
        import json

        return {"health": json.dumps(self.health)}

    def perform(self, step: Action, swap: Swap) -> None:
        {
            Action.MAKE_DISK: self._make,
            Action.STOP: self._stop,
            Action.DETACH: self._detach,
            Action.ATTACH: self._attach,
            Action.START: self._start,
        }[step](swap)

    def _later(self, change: Any) -> None:
        self.pending.append((self.lag, change))

    def _make(self, swap: Swap) -> None:
        body = disk_body(swap, self.now)
        if swap.disk in self.disks:
            self.refused.append("alreadyExists")
            return
        made = {**body, "sourceImageId": swap.image.id, "status": "CREATING"}
        self.disks[swap.disk] = made
        self._later(lambda: made.update(status="READY"))

    def _stop(self, swap: Swap) -> None:
        if self.status != "RUNNING":
            self.refused.append("stop")
            return
        self.stops += 1
        self.status = "STOPPING"
        self._later(lambda: setattr(self, "status", "TERMINATED"))

    def _detach(self, swap: Swap) -> None:
        assert self.status == "TERMINATED", "the boot disk of a running instance cannot be detached"
        self._later(lambda: setattr(self, "boot", None))

    def _attach(self, swap: Swap) -> None:
        assert self.disks[swap.disk]["status"] == "READY"
        body = attachment(swap, f"{BASE}/zones/z/disks/{swap.disk}")
        assert (body["boot"], body["deviceName"], body["autoDelete"]) == (
            True,
            "persistent-disk-0",
            True,
        )
        self._later(lambda: setattr(self, "boot", swap.disk))
        self.events.insert(0, "attachDisk")

    def _start(self, swap: Swap) -> None:
        if self.status != "TERMINATED":
            self.refused.append("start")
            return
        self.starts += 1
        self.status = "STAGING"
        self._later(self._boot)

    def _boot(self) -> None:
        self.status, self.started = "RUNNING", self.now
        if self.boot in self.lost:
            self._later(self._lose)
        self.boots += 1
        image = {"100": "web-old", "200": "web-new"}[self.disks[str(self.boot)]["sourceImageId"]]
        if self.boot in self.silent | self.lost:
            return
        if self.healthy or image == "web-old":
            self._say(image) if self.prompt else self._later(lambda: self._say(image))

    def _lose(self) -> None:
        self.status = "TERMINATED"
        self.events.insert(0, "compute.instances.hostError")

    def _say(self, image: str) -> None:
        self.health = {"state": self.says, "image": image, "boot_id": f"boot-{self.boots}"}
