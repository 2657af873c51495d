"""The state after a kill -9, and the rejection of a second server."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from .conftest import Server
from .gce import ZONE, Gce, instance

VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"
Make = Callable[..., Server]


def test_everything_acknowledged_is_there_after_a_kill(make_server: Make) -> None:
    server = make_server()
    gce = server.start()
    made = gce.create("web-1", labels={"a": "b"}, metadata={"instant-script": "serial hello"})
    gce.do("POST", f"{VMS}/web-1/stop")
    gce.do("POST", "global/images", {"name": "kept", "sourceDisk": f"{DISKS}/web-1"})
    gce.create("web-2", metadata={"instant-script": "write boot /a b"})
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL

    gce = server.start()
    after = gce.instance("web-1")
    assert (after["id"], after["status"], after["labels"]) == (made["id"], "TERMINATED", {"a": "b"})
    assert gce.get("global/images/kept")["status"] == "READY"
    assert gce.instance("web-2")["status"] == "RUNNING"
    output = gce.get(f"{VMS}/web-1/serialPort")["contents"]
    assert "hello" in output
    boots = gce.until(lambda: gce.get(f"{VMS}/web-2/serialPort")["contents"].count("boot ") == 2)
    assert boots
    fresh = gce.create("web-3")
    taken = {gce.instance(n)["networkInterfaces"][0]["networkIP"] for n in ("web-1", "web-2")}
    assert fresh["networkInterfaces"][0]["networkIP"] not in taken


def test_operations_interrupted_by_a_kill_are_finished(make_server: Make) -> None:
    server = make_server()
    gce = server.start()
    gce.create("source")
    gce.do("POST", f"{VMS}/source/stop")
    gce.admin("POST", "faults", {"kind": "stuck", "times": 9})
    begun = [
        gce.start("POST", VMS, instance("web-1")),
        gce.start("POST", DISKS, {"name": "data", "sizeGb": "1"}),
        gce.start("POST", "global/images", {"name": "img", "sourceDisk": f"{DISKS}/source"}),
        gce.start("POST", f"{VMS}/source/start"),
    ]
    assert gce.get("global/images/img")["status"] == "PENDING"
    server.stop(signal.SIGKILL)

    gce = server.start()
    gce.admin("DELETE", "faults")
    for operation in begun:
        done = gce.finish(_relocate(gce, operation))
        assert "error" not in done
    assert gce.instance("web-1")["status"] == "RUNNING"
    assert gce.instance("source")["status"] == "RUNNING"
    assert gce.get(f"{DISKS}/data")["status"] == "READY"
    assert gce.get("global/images/img")["status"] == "READY"


def _relocate(gce: Gce, operation: dict[str, str]) -> dict[str, str]:
    path = operation["selfLink"].split("/projects/demo/")[1]
    return gce.get(path)


def test_sigterm_powers_machines_off_and_keeps_the_state(make_server: Make) -> None:
    server = make_server()
    gce = server.start()
    gce.create("web-1")
    assert server.stop(signal.SIGTERM) == 0
    gce = server.start()
    assert gce.instance("web-1")["status"] == "TERMINATED"
    gce.do("POST", f"{VMS}/web-1/start")
    assert gce.instance("web-1")["status"] == "RUNNING"


def test_machines_get_no_time_to_power_off_where_the_server_ends_without(make_server: Make) -> None:
    server = make_server("--shutdown-grace", "3600", "--exit-grace", "0")
    gce = server.start()
    gce.create("deaf")
    gce.admin("POST", "faults", {"kind": "freeze", "instance": "deaf"})
    assert server.stop(signal.SIGTERM) == 0  # within the deadline of `stop`
    assert server.start().instance("deaf")["status"] == "TERMINATED"


def test_a_second_server_is_rejected(make_server: Make) -> None:
    server = make_server()
    server.start()
    second = subprocess.run(server.command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.strip().startswith("localgce: the state folder")
    assert "is in use by localgce, pid" in second.stderr


def test_reset_removes_the_state(make_server: Make) -> None:
    server = make_server()
    gce = server.start()
    gce.create("web-1")
    command = [*server.command[:3], "reset", "--state", str(server.state)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "is in use" in refused.stderr
    server.stop(signal.SIGKILL)
    assert subprocess.run(command, check=False).returncode == 0
    assert not server.state.exists()
    assert subprocess.run(command, check=False).returncode == 0


def test_a_folder_that_is_no_state_folder_is_not_deleted(make_server: Make) -> None:
    server = make_server()
    server.state.mkdir()
    precious = server.state / "precious"
    precious.write_text("x")
    command = [*server.command[:3], "reset", "--state", str(server.state)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "is not a state folder of localgce" in refused.stderr
    assert precious.exists()
