"""A bake's way through real machines: scripts, images from disks, disks, ports, names, kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Server
from .gce import ZONE, Gce

VMS = f"zones/{ZONE}/instances"
pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
SLOW = 240
ATTRIBUTES = "http://169.254.169.254/computeMetadata/v1/instance/guest-attributes"
TELL = f"tell() {{ curl -sf -X PUT -H 'Metadata-Flavor: Google' --data \"$2\" {ATTRIBUTES}/t/$1; }}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    cache = os.environ.get("LOCALGCE_TEST_CACHE")
    options = ["--cache", cache] if cache else []
    made = Server(tmp_path / "state", *options, machines="qemu")
    yield made
    if made.process and made.process.poll() is None:
        made.stop()
    # also what a server that was killed has left running
    reset = [made.command[0], "-m", "localgce", "reset", "--state", str(made.state)]
    os.spawnv(os.P_WAIT, reset[0], reset)


def serial(gce: Gce, name: str) -> str:
    return str(gce.get(f"{VMS}/{name}/serialPort", port=1)["contents"])


def said(gce: Gce, name: str, key: str) -> str | None:
    answer = gce.call("GET", f"{VMS}/{name}/getGuestAttributes", queryPath=f"t/{key}")
    return str(answer.json()["queryValue"]["items"][0]["value"]) if answer.is_success else None


def page(address: str) -> str | None:
    """What the guest serves; None while nothing listens there."""
    try:
        return httpx.get(f"http://{address}:8080/", trust_env=False).text
    except httpx.TransportError:
        return None


def script(*lines: str) -> dict[str, str]:
    text = "\n".join(["#!/bin/bash", TELL, *lines])
    return {"enable-guest-attributes": "TRUE", "startup-script": text}


def external(**more: Any) -> dict[str, Any]:
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    return {"networkInterfaces": [nic], **more}


def test_a_disk_becomes_an_image_whose_machine_outlives_the_server(server: Server) -> None:
    gce = server.start()
    gce.create("builder", metadata=script("echo baked >/baked", "tell result ok", "poweroff"))
    gce.until(lambda: gce.instance("builder")["status"] == "TERMINATED", SLOW)
    assert said(gce, "builder", "result") == "ok"
    assert "Finished running startup scripts" in serial(gce, "builder")

    source = f"zones/{ZONE}/disks/builder"
    gce.do("POST", "global/images", {"name": "baked", "sourceDisk": source})
    gce.do("DELETE", f"{VMS}/builder")
    gce.do("POST", f"zones/{ZONE}/disks", {"name": "data", "sizeGb": "1"})

    disk: dict[str, Any] = {"boot": True, "autoDelete": True}
    disk["initializeParams"] = {"sourceImage": "global/images/baked", "diskSizeGb": "12"}
    lines = [
        'tell size "$(df --output=size -BG / | tail -1)"',
        "mkdir /www && cp /baked /www/index.html",
        "python3 -m http.server --directory /www 8080 &",
        "tell up $(hostname -f)",
        "until [ -e /dev/disk/by-id/google-kept ]; do sleep 0.2; done",
        "tell disk $(blockdev --getsize64 /dev/disk/by-id/google-kept)",
        "while [ -e /dev/disk/by-id/google-kept ]; do sleep 0.2; done",
        "tell disk gone",
    ]
    gce.create("web", metadata=script(*lines), **external(disks=[disk]))
    name = f"web.{ZONE}.c.demo.internal"
    gce.until(lambda: said(gce, "web", "up") == name, SLOW)
    assert 11 <= int((said(gce, "web", "size") or "0").strip(" G")) <= 12

    attached = {"source": f"zones/{ZONE}/disks/data", "deviceName": "kept"}
    gce.do("POST", f"{VMS}/web/attachDisk", attached)
    gce.until(lambda: said(gce, "web", "disk") == str(1 << 30), 30)
    gce.do("POST", f"{VMS}/web/detachDisk", deviceName="kept")
    gce.until(lambda: said(gce, "web", "disk") == "gone", 30)

    address = gce.instance("web")["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    gce.until(lambda: page(address) == "baked\n", 60)

    server.stop(signal.SIGKILL)
    assert page(address) == "baked\n"
    gce = server.start()
    assert gce.instance("web")["status"] == "RUNNING"
    before = len(serial(gce, "web"))
    gce.do("POST", f"{VMS}/web/stop")
    assert gce.instance("web")["status"] == "TERMINATED"
    # it was the guest that switched off, not the plug that was pulled
    assert "Power down" in serial(gce, "web")[before:]


def test_machines_reach_each_other_by_name(server: Server) -> None:
    gce = server.start()
    serve = "mkdir /w; echo one >/w/index.html; python3 -m http.server --directory /w 8080 &"
    gce.create("one", metadata=script(serve, "tell up yes"))
    ask = "until answer=$(curl -sf http://one:8080/); do sleep 1; done"
    long = f"getent hosts one.{ZONE}.c.demo.internal | cut -d' ' -f1"
    gce.create("two", metadata=script(ask, "tell answer $answer", f"tell address $({long})"))
    gce.until(lambda: said(gce, "two", "address"), SLOW * 2)
    assert said(gce, "two", "answer") == "one"
    assert said(gce, "two", "address") == gce.instance("one")["networkInterfaces"][0]["networkIP"]


def test_a_machine_that_dies_while_no_server_runs_is_terminated(server: Server) -> None:
    gce = server.start()
    machine = gce.create("short")
    server.stop(signal.SIGKILL)
    pidfile = server.state / "machines" / machine["id"] / "qemu.pid"
    os.kill(int(pidfile.read_text()), signal.SIGKILL)
    gce = server.start()
    assert gce.instance("short")["status"] == "TERMINATED"
    gce.do("POST", f"{VMS}/short/start")
    assert gce.instance("short")["status"] == "RUNNING"


def test_a_stopped_server_leaves_no_process(server: Server) -> None:
    gce = server.start()
    machine = gce.create("brief")
    folder = server.state / "machines" / machine["id"]
    pid = int((folder / "qemu.pid").read_text())
    gce.do("DELETE", f"{VMS}/brief")
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert not folder.exists()
