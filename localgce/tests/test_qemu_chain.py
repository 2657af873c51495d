"""A bake on real machines: scripts, images from disks, disks, ports, names, kills."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .gce import ZONE
from .guests import SLOW, VMS, external, page, program, said, script, serial

if TYPE_CHECKING:
    from .conftest import Server

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


def test_a_machine_from_a_baked_image_outlives_the_server(real: Server) -> None:
    gce = real.start()
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
    gce.until(lambda: said(gce, "web", "disk") == str(1 << 30), SLOW)
    gce.do("POST", f"{VMS}/web/detachDisk", deviceName="kept")
    gce.until(lambda: said(gce, "web", "disk") == "gone", SLOW)

    address = gce.instance("web")["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    gce.until(lambda: page(address) == "baked\n", SLOW)

    real.stop(signal.SIGKILL)
    assert page(address) == "baked\n"
    gce = real.start()
    assert gce.instance("web")["status"] == "RUNNING"
    before = len(serial(gce, "web"))
    gce.do("POST", f"{VMS}/web/stop")
    assert gce.instance("web")["status"] == "TERMINATED"
    # it was the guest that switched off, not the plug that was pulled
    assert "Power down" in serial(gce, "web")[before:]


def test_machines_reach_each_other_by_name(real: Server) -> None:
    gce = real.start()
    serve = "mkdir /w; echo one >/w/index.html; python3 -m http.server --directory /w 8080 &"
    gce.create("one", metadata=script(serve, "tell up yes"))
    ask = "until answer=$(curl -sf http://one:8080/); do sleep 1; done"
    long = f"getent hosts one.{ZONE}.c.demo.internal | cut -d' ' -f1"
    gce.create("two", metadata=script(ask, "tell answer $answer", f"tell address $({long})"))
    gce.until(lambda: said(gce, "two", "address"), SLOW * 2)
    assert said(gce, "two", "answer") == "one"
    assert said(gce, "two", "address") == gce.instance("one")["networkInterfaces"][0]["networkIP"]


def test_a_machine_killed_while_no_server_runs_is_terminated(real: Server) -> None:
    gce = real.start()
    machine = gce.create("short")
    real.stop(signal.SIGKILL)
    pidfile = real.state / "machines" / machine["id"] / "qemu.pid"
    os.kill(int(pidfile.read_text()), signal.SIGKILL)
    gce = real.start()
    assert gce.instance("short")["status"] == "TERMINATED"
    gce.do("POST", f"{VMS}/short/start")
    assert gce.instance("short")["status"] == "RUNNING"


def test_a_stopped_server_leaves_no_process(real: Server) -> None:
    gce = real.start()
    machine = gce.create("brief")
    folder = real.state / "machines" / machine["id"]
    pid = int((folder / "qemu.pid").read_text())
    gce.do("DELETE", f"{VMS}/brief")
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert not folder.exists()


def test_a_stopped_server_lets_guests_run_their_shutdown_scripts(real: Server) -> None:
    """Which read the metadata server to their end; the next start finds what they have written."""
    gce = real.start()
    bye = program("sleep 2", "ask name >/bye || exit 3", "sync", "sleep 6", "ask zone >>/bye")
    gce.create("vm", metadata={**script("tell up yes"), "shutdown-script": bye})
    gce.until(lambda: said(gce, "vm", "up") == "yes", SLOW)
    gce.until(lambda: "Finished running startup scripts" in serial(gce, "vm"), SLOW)
    assert real.stop() == 0
    log = (real.state.parent / f"{real.state.name}.log").read_text()
    assert "Traceback" not in log, log
    gce = real.start()
    assert gce.instance("vm")["status"] == "TERMINATED"
    body = {"items": [{"key": k, "value": v} for k, v in script('tell bye "$(cat /bye)"').items()]}
    mark = gce.instance("vm")["metadata"]["fingerprint"]
    gce.do("POST", f"{VMS}/vm/setMetadata", {**body, "fingerprint": mark})
    gce.do("POST", f"{VMS}/vm/start")
    gce.until(lambda: said(gce, "vm", "bye") is not None, SLOW)
    number = gce.http.get(gce.root).json()["id"]
    assert said(gce, "vm", "bye") == f"vmprojects/{number}/zones/{ZONE}"


def test_a_machine_whose_process_was_killed_is_started_again(real: Server) -> None:
    gce = real.start()
    machine = gce.create("short")
    pidfile = real.state / "machines" / machine["id"] / "qemu.pid"
    before = int(pidfile.read_text())
    os.kill(before, signal.SIGKILL)

    def restarted() -> bool:
        running = gce.instance("short")["status"] == "RUNNING"
        return running and pidfile.exists() and int(pidfile.read_text() or before) != before

    gce.until(restarted)
