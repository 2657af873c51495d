"""Instant machines: clocks, disks that are copied with images, failing guest programs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from .gce import ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

VMS = f"zones/{ZONE}/instances"


def test_a_manual_clock_is_advanced_by_requests(make_server: Callable[..., Server]) -> None:
    gce = make_server("--clock", "manual").start()
    gce.create("slow", metadata={"instant-script": "serial before\nsleep 3600\nserial after"})
    path = f"{VMS}/slow/serialPort"
    gce.admin("POST", "clock", {"advance": 3599})
    assert "after" not in gce.get(path)["contents"]
    before = gce.admin("GET", "clock")["now"]
    gce.admin("POST", "clock", {"advance": 1})
    assert "after" in gce.get(path)["contents"]
    assert gce.admin("GET", "clock")["now"] == before + 1


def test_data_disks_keep_what_was_written(instant: Gce, name: str) -> None:
    instant.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-data", "sizeGb": "1"})
    body = instance(name, metadata={"instant-script": "write data /topic one\npoweroff"})
    body["disks"].append({"source": f"zones/{ZONE}/disks/{name}-data", "deviceName": "data"})
    instant.do("POST", VMS, body)
    instant.until(lambda: instant.instance(name)["status"] == "TERMINATED")
    instant.do("DELETE", f"{VMS}/{name}")
    body["metadata"]["items"][0]["value"] = "show data /topic"
    instant.do("POST", VMS, body)
    path = f"{VMS}/{name}/serialPort"
    instant.until(lambda: "/topic: one" in instant.get(path)["contents"])
    assert instant.instance(name)["disks"][1]["deviceName"] == "data"
    instant.do("DELETE", f"{VMS}/{name}")


def test_an_error_of_a_guest_program_is_on_the_serial_port(instant: Gce, name: str) -> None:
    instant.create(name, metadata={"instant-script": "fail"})
    path = f"{VMS}/{name}/serialPort"
    instant.until(lambda: "the guest program fails" in instant.get(path)["contents"])
    assert instant.instance(name)["status"] == "RUNNING"
    instant.do("DELETE", f"{VMS}/{name}")


def test_each_start_is_a_new_boot(instant: Gce, name: str) -> None:
    instant.create(name)
    instant.do("POST", f"{VMS}/{name}/stop")
    instant.do("POST", f"{VMS}/{name}/start")
    path = f"{VMS}/{name}/serialPort"
    contents = instant.until(lambda: _two_boots(instant.get(path)["contents"]))
    assert len(set(contents)) == 2
    instant.do("DELETE", f"{VMS}/{name}")


def _two_boots(contents: str) -> list[str]:
    boots = [line for line in contents.splitlines() if line.startswith("boot ")]
    return boots if len(boots) == 2 else []


def test_invalid_options_are_reported_in_one_line(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("this is not python")
    for options in (["--guest", str(broken)], ["--guest", str(tmp_path / "absent.py")]):
        command = make_server(*options).command
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("localgce: guest program")
        assert done.stderr.count("\n") == 1


def test_a_scaled_clock_shortens_the_waits_of_guests(make_server: Callable[..., Server]) -> None:
    gce = make_server("--clock-rate", "1000").start()
    before = gce.admin("GET", "clock")["now"]
    gce.create("slow", metadata={"instant-script": "sleep 3600\nserial after"})
    path = f"{VMS}/slow/serialPort"
    gce.until(lambda: "after" in gce.get(path)["contents"])
    assert gce.admin("GET", "clock")["now"] - before >= 3600


def test_instant_machines_have_neither_console_nor_ports(instant: Gce, name: str) -> None:
    instant.create(name)
    console = instant.http.post("/_localgce/consoles", json={"instance": name})
    assert console.status_code == 400
    assert console.json()["error"]["message"] == f"{name} is an instant machine: it has no console"
    ports = {"instance": name, "host_port": 8080, "guest_port": 80}
    assert instant.http.post("/_localgce/forwards", json=ports).status_code == 400
    for wrong in (
        {"host_port": 0},
        {"guest_port": "80"},
        {"guest_port": 65536},
        {"host_port": None},
    ):
        refused = instant.http.post("/_localgce/forwards", json={**ports, **wrong})
        assert refused.status_code == 400
        assert "1 to 65535" in refused.json()["error"]["message"]
    instant.do("POST", f"{VMS}/{name}/stop")
    stopped = instant.http.post("/_localgce/consoles", json={"instance": name})
    assert stopped.json()["error"]["message"] == f"{name} is not running"
    instant.do("DELETE", f"{VMS}/{name}")
    for page in ("consoles", "forwards"):
        assert instant.http.post(f"/_localgce/{page}", json={"instance": name}).status_code == 404
        assert instant.http.post(f"/_localgce/{page}", json=[1]).status_code == 404
