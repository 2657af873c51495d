"""A server that is killed at random moments, and one whose disk is full."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .conftest import Server
from .gce import ZONE, Gce, instance
from .test_groups import GROUPS, TEMPLATES

VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"
Make = Callable[..., Server]
SEED = 5
LONGEST = 0.3  # seconds of the scenario before the kill
pytestmark = pytest.mark.timeout(900)

Call = tuple[str, str, Any, dict[str, str]]
Promise = tuple[Call, dict[str, Any]]  # what was answered 200


def scenario(name: str) -> Iterator[Call]:
    """A bake, a fleet and their end; each call is sent whether or not the last one is done."""
    disk = {"boot": True, "autoDelete": True}
    of_image = {**disk, "initializeParams": {"sourceImage": f"global/images/{name}"}}
    properties = {k: v for k, v in instance(name).items() if k != "name"}
    properties["machineType"] = "e2-small"
    template = {"name": name, "properties": properties}
    group = {"name": name, "targetSize": 2, "instanceTemplate": f"{TEMPLATES}/{name}"}
    baking = {"instant-script": "write boot /etc/proof baked"}
    steps: list[tuple[Any, ...]] = [
        ("POST", VMS, instance(name, metadata=baking)),
        ("POST", DISKS, {"name": f"{name}-data", "sizeGb": "1"}),
        ("POST", TEMPLATES, template),
        ("POST", f"{VMS}/{name}/attachDisk", {"source": f"{DISKS}/{name}-data"}),
        ("POST", f"{VMS}/{name}/stop"),
        ("POST", "global/images", {"name": name, "sourceDisk": f"{DISKS}/{name}"}),
        ("POST", GROUPS, group),
        ("POST", "global/snapshots", {"name": name, "sourceDisk": f"{DISKS}/{name}-data"}),
        ("POST", VMS, instance(f"{name}-2", disks=[of_image])),
        ("PATCH", f"global/images/{name}", {"family": "kills"}),
        ("POST", f"{GROUPS}/{name}/resize", None, {"size": "3"}),
        ("POST", f"{VMS}/{name}/start"),
        ("DELETE", f"{VMS}/{name}-2"),
        ("DELETE", f"{GROUPS}/{name}"),
    ]
    for method, path, *more in steps:
        body = more[0] if more else None
        query = more[1] if len(more) > 1 else {}
        yield method, path, body, {**query, "requestId": str(uuid.uuid4())}


def play(server: Server, gce: Gce, name: str, seconds: float) -> list[Promise]:
    """The scenario until the server is killed after that time; what was promised meanwhile."""
    promised: list[Promise] = []
    killer = threading.Timer(seconds, lambda: server.stop(signal.SIGKILL))
    killer.start()
    with contextlib.suppress(httpx.TransportError):  # the kill
        promised.extend((call, send(gce, call)) for call in scenario(name))
    killer.join()
    return promised


def send(gce: Gce, call: Call) -> dict[str, Any]:
    """The operation of a call, tried until what it needs is ready."""
    method, path, body, query = call

    def accepted() -> httpx.Response | None:
        answer = gce.call(method, path, body, **query)
        assert answer.status_code in {200, 400, 404}, answer.text
        return answer if answer.is_success else None

    begun: dict[str, Any] = gce.until(accepted).json()
    return begun


def check(gce: Gce, promised: list[Promise]) -> None:
    """What must hold after a kill, once all that was begun has come to its end."""
    for (method, path, body, query), operation in promised:
        again = gce.start(method, path, body, **query)
        assert again["name"] == operation["name"]  # the same requestId, the same operation
        done = gce.finish(again)
        codes = [error["code"] for error in done.get("error", {}).get("errors", [])]
        assert "INTERNAL_ERROR" not in codes, done
        verb, kept = operation["operationType"], gce.call("GET", _below(done["targetLink"]))
        if verb == "insert" and not codes:
            assert kept.status_code == 200 or _deleted(promised, done["targetLink"]), done
        elif verb == "delete":
            assert kept.status_code == 404, done
    for group in gce.items(GROUPS):
        _wait_for(gce, f"{GROUPS}/{group['name']}")
    _check_resources(gce)


def _wait_for(gce: Gce, group: str) -> None:
    gce.until(lambda: gce.get(group)["status"]["isStable"])


def _below(link: str) -> str:
    return link.split("/projects/demo/")[1]


def _deleted(promised: list[Promise], link: str) -> bool:
    return any(o["operationType"] == "delete" and o["targetLink"] == link for _, o in promised)


def _check_resources(gce: Gce) -> None:
    instances, disks = gce.items(VMS), gce.items(DISKS)
    assert {vm["status"] for vm in instances} <= {"RUNNING", "TERMINATED"}
    assert {disk["status"] for disk in disks} <= {"READY"}
    for kind in ("images", "snapshots"):
        assert {item["status"] for item in gce.items(f"global/{kind}")} <= {"READY"}
    held = {(d["source"], vm["selfLink"]) for vm in instances for d in vm["disks"]}
    assert held == {(disk["selfLink"], user) for disk in disks for user in disk.get("users", [])}
    addresses = [vm["networkInterfaces"][0]["networkIP"] for vm in instances]
    assert len(addresses) == len(set(addresses))
    for vm in instances:
        if vm["status"] == "RUNNING":
            gce.do("POST", f"{VMS}/{vm['name']}/reset")


def prove(gce: Gce, name: str) -> None:
    """Check that a READY image has the baked contents."""
    if gce.call("GET", f"global/images/{name}").status_code == 404:
        return
    source = {"initializeParams": {"sourceImage": f"global/images/{name}"}, "boot": True}
    show = {"instant-script": "show boot /etc/proof"}
    gce.create(f"{name}-proof", disks=[{**source, "autoDelete": True}], metadata=show)
    path = f"{VMS}/{name}-proof/serialPort"
    gce.until(lambda: "/etc/proof: baked" in gce.get(path)["contents"])
    gce.do("DELETE", f"{VMS}/{name}-proof")


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_kill_at_any_moment(make_server: Make, rounds: int) -> None:
    server = make_server()
    gce = server.start()
    chance = random.Random(SEED)
    for name in (f"kill-{number}" for number in range(rounds)):
        promised = play(server, gce, name, chance.uniform(0.01, LONGEST))
        gce = server.start()
        check(gce, promised)
        prove(gce, name)
    assert server.stop() == 0


def test_a_full_disk_fails_operations_and_not_the_server(make_server: Make) -> None:
    server = make_server()
    gce = server.start()
    gce.create("one", metadata={"instant-script": "write boot /etc/proof baked"})
    gce.do("POST", f"{VMS}/one/stop")
    gce.admin("POST", "faults", {"kind": "stuck", "method": "compute.images.insert"})
    begun = gce.start("POST", "global/images", {"name": "img", "sourceDisk": f"{DISKS}/one"})
    assert server.process is not None
    pid, whole = server.process.pid, resource.RLIM_INFINITY
    sizes = [path.stat().st_size for path in server.state.rglob("*") if path.is_file()]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(sizes), whole))

    refused = gce.call("POST", VMS, instance("two"))
    assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (
        503,
        "backendError",
    )
    gce.fails(404, "notFound", "GET", f"{VMS}/two")
    gce.admin("DELETE", "faults")
    failed = gce.finish(begun)
    assert failed["error"]["errors"][0]["code"]
    image = gce.call("GET", "global/images/img")
    assert image.status_code == 404 or image.json()["status"] != "READY"
    assert gce.instance("one")["status"] == "TERMINATED"

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (whole, whole))
    gce.do("POST", VMS, instance("two"))
    gce.do("POST", f"{VMS}/one/start")
    server.stop(signal.SIGKILL)
    gce = server.start()
    gce.admin("DELETE", "faults")  # what was stuck is stuck again, until now
    assert {vm["status"] for vm in gce.items(VMS)} == {"RUNNING"}
    if gce.call("GET", "global/images/img").status_code == 200:
        gce.until(lambda: gce.get("global/images/img")["status"] == "READY")
        gce.do("DELETE", "global/images/img")
    assert server.stop() == 0
