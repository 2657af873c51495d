"""The fleet of the flow tests: made, looked at from outside, and hit where it hurts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from tests.support.deadlines import SOON

from devstack.processes import PROGRAM, marked
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.testbed import Testbed

ZONE = "us-central1-a"
HERE = f"zones/{ZONE}"
WORKER, TASK = "airflow worker -- LocalExecutor: {}", "airflow worker -- {}"


@dataclass(frozen=True)
class Facts:
    """What can be seen of the members, by name."""

    images: dict[str, str]  # the image that the boot disk was made from
    boot: dict[str, str]  # the boot disk
    identity: dict[str, Any]  # what a swap must not change
    health: dict[str, str]  # the image that reports itself healthy


class Members:
    """Instances of the fleet `web`, each with a data disk."""

    def __init__(self, bed: Testbed) -> None:
        self._bed, self._compute = bed, bed.compute
        self._names: list[str] = []

    def create(
        self, image: str, names: list[str], plain: str = "", more: dict[str, str] | None = None
    ) -> None:
        """Make them of `image` and wait until they are healthy.

        `plain` lacks the attribute `color`, without which the newer image does not get healthy;
        `more` are further attributes of all.
        """
        self._names = names
        for name in names:
            self._insert(image, name, ({} if name == plain else {"color": "red"}) | (more or {}))
        wait_until(
            lambda: self.facts().health == dict.fromkeys(names, image), SOON, "the fleet to boot"
        )
        self._compute.forget()

    def _insert(self, image: str, name: str, attributes: dict[str, str]) -> None:
        items = {
            "enable-guest-attributes": "TRUE",
            "bakehouse-role": "member",
            "greeting": f"Hello from {name}",
            **attributes,
        }
        body = {
            "name": name,
            "machineType": f"{HERE}/machineTypes/e2-small",
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
            "networkInterfaces": [{"network": "global/networks/default"}],
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,
                    "initializeParams": {"sourceImage": f"global/images/{image}"},
                },
                {
                    "autoDelete": True,
                    "deviceName": "data",
                    "initializeParams": {"diskName": f"{name}-data", "diskSizeGb": "1"},
                },
            ],
        }
        self._compute.call("POST", f"{HERE}/instances", json=body)

    def restore(self, name: str) -> str:
        """Give it a boot disk that is made of a snapshot of the present one; return its name.

        As people restore a machine, so the disk is of no image any more.
        """
        boot = next(d for d in self._compute.call("GET", self._of(name))["disks"] if d.get("boot"))
        disk, device = _last(boot["source"]), boot["deviceName"]
        restored, snapshot = f"{name}-restored", f"{name}-{disk[-8:]}"
        self._do("POST", f"{HERE}/disks/{disk}/createSnapshot", json={"name": snapshot})
        self._do("POST", f"{self._of(name)}/stop")
        self._do("POST", f"{self._of(name)}/detachDisk", params={"deviceName": device})
        kind = f"{HERE}/diskTypes/pd-balanced"
        body = {"name": restored, "sourceSnapshot": f"global/snapshots/{snapshot}", "type": kind}
        self._do("POST", f"{HERE}/disks", json=body)
        how = {"boot": True, "autoDelete": True, "deviceName": device}
        body = {"source": f"{HERE}/disks/{restored}", **how}
        self._do("POST", f"{self._of(name)}/attachDisk", json=body)
        self._do("POST", f"{self._of(name)}/start")
        self._do("DELETE", f"{HERE}/disks/{disk}")
        self._do("DELETE", f"global/snapshots/{snapshot}")
        return restored

    def _do(self, method: str, path: str, **arguments: Any) -> None:
        """Call, and wait for the end of the operation."""
        operation = self._compute.call(method, path, **arguments)
        where = HERE if "zone" in operation else "global"
        path = f"{where}/operations/{operation['name']}"
        wait_until(
            lambda: self._compute.call("GET", path)["status"] == "DONE", SOON, path, every=0.1
        )

    def configure(self, name: str, key: str, value: str) -> None:
        """Set an attribute of a member; it counts from its next start on."""
        metadata = self._compute.call("GET", self._of(name))["metadata"]
        metadata["items"].append({"key": key, "value": value})
        self._compute.call("POST", f"{self._of(name)}/setMetadata", json=metadata)

    def label(self, name: str, key: str, value: str) -> None:
        """Set a label of a member."""
        instance = self._compute.call("GET", self._of(name))
        labels = {**instance.get("labels", {}), key: value}
        body = {"labels": labels, "labelFingerprint": instance["labelFingerprint"]}
        self._do("POST", f"{self._of(name)}/setLabels", json=body)

    def stop(self, name: str) -> None:
        """Stop it, as a person does."""
        self._do("POST", f"{self._of(name)}/stop")

    def restart(self, name: str) -> None:
        """Stop it, start it so that its attributes count, and wait for its first report."""
        before = self._boot_id(name)
        for verb in ("stop", "start"):
            self._do("POST", f"{self._of(name)}/{verb}")
        wait_until(lambda: self._boot_id(name) != before, SOON, f"a report of {name}", every=0.1)

    def delete(self) -> None:
        """All of them, and every disk there is."""
        self._compute.delete_machines()

    def facts(self) -> Facts:
        instances = {name: self._compute.call("GET", self._of(name)) for name in self._names}
        boots = {name: _boot(i) for name, i in instances.items()}
        disks = {disk["name"]: disk for disk in self._compute.disks()}
        return Facts(
            images={
                n: _last(disks[boot].get("sourceImage", "")) for n, boot in boots.items() if boot
            },
            boot={name: boot for name, boot in boots.items() if boot},
            identity={name: _identity(i) for name, i in instances.items()},
            health={name: said for name in self._names if (said := self._health(name))},
        )

    def disks(self) -> list[str]:
        return sorted(disk["name"] for disk in self._compute.disks())

    def calls(self, method: str) -> list[str]:
        """The resources that a method was called for, since the fleet stood."""
        found = self._compute.requests()["requests"]
        return [str(r["resource"]) for r in found if r["method"] == method]

    def stops(self) -> dict[str, int]:
        return dict(Counter(self.calls("compute.instances.stop")))

    def wait_for_call(self, method: str, deadline: float = SOON) -> None:
        wait_until(lambda: bool(self.calls(method)), deadline, f"a call of {method}", every=0.1)

    def kill_task(self, dag_id: str, run_id: str, task_id: str, deadline: float = SOON) -> None:
        """Kill -9 the process of the first of the mapped tasks, as soon as it runs.

        Airflow's supervisor of the task lives and sees that.
        """
        self._kill(dag_id, run_id, task_id, deadline, TASK)

    def kill_worker(self, dag_id: str, run_id: str, task_id: str, deadline: float = SOON) -> None:
        """The same, and the worker with it, at one moment: nobody is left to tell."""
        self._kill(dag_id, run_id, task_id, deadline, WORKER, TASK)

    def kill_triggerer(self) -> None:
        kill_triggerer(self._state)

    def kill_program(self, *names: str) -> None:
        """Kill -9 these programs and all that they have started; supervisord restarts them."""
        for process in marked(self._state):
            if _program(process) in names:
                process.kill()

    def _kill(self, dag_id: str, run_id: str, task_id: str, deadline: float, *titles: str) -> None:
        """All processes of these titles, once there is one of each."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"

        def done() -> bool:
            found = self._bed.airflow.call("GET", path, params={"limit": 100})["task_instances"]
            ids = [t["id"] for t in found if (t["task_id"], t["map_index"]) == (task_id, 0)]
            wanted = [tuple(title.format(id_)[:56] for id_ in ids) for title in titles]
            there = {p: _command(p) for p in marked(self._state)}
            running = [[p for p, said in there.items() if said.startswith(w)] for w in wanted]
            if not ids or not all(running):
                return False
            for process in [p for same in running for p in same]:
                process.kill()
            return True

        wait_until(done, deadline, f"a process of {task_id}", every=0.1)

    @property
    def _state(self) -> Path:
        return self._bed.stack.layout.state

    def _health(self, name: str) -> str:
        path = f"{self._of(name)}/getGuestAttributes"
        said = json.loads(self._attributes(path).get("health", "{}"))
        return str(said["image"]) if said.get("state") == "healthy" else ""

    def _boot_id(self, name: str) -> str:
        said = self._attributes(f"{self._of(name)}/getGuestAttributes").get("health", "{}")
        return str(json.loads(said).get("boot_id", ""))

    def _attributes(self, path: str) -> dict[str, str]:
        try:
            found = self._compute.call("GET", path, params={"queryPath": "bakehouse/"})
        except RuntimeError:
            return {}
        return {item["key"]: item["value"] for item in found["queryValue"]["items"]}

    def _of(self, name: str) -> str:
        return f"{HERE}/instances/{name}"


def _identity(instance: dict[str, Any]) -> dict[str, Any]:
    kept = ("id", "name", "labels", "metadata", "machineType", "creationTimestamp")
    nics = [{k: n.get(k) for k in ("name", "networkIP")} for n in instance["networkInterfaces"]]
    data = [d for d in instance["disks"] if not d.get("boot")]
    boot = [
        {k: d.get(k) for k in ("deviceName", "autoDelete", "mode", "index")}
        for d in instance["disks"]
        if d.get("boot")
    ]
    return {**{k: instance.get(k) for k in kept}, "nics": nics, "data": data, "boot": boot}


def _boot(instance: dict[str, Any]) -> str:
    return next((_last(d["source"]) for d in instance["disks"] if d.get("boot")), "")


def _last(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _program(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(PROGRAM, ""))
    except psutil.Error:
        return ""


def kill_triggerer(state: Path) -> None:
    """Kill -9 the triggerer of a stack and the process in which its triggers run."""
    for process in marked(state):
        if "airflow triggerer" in _command(process):
            process.kill()
