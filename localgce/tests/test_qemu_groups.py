"""Groups of real machines, the guest agent, preemption and the end of a run."""

from __future__ import annotations

import functools
import http.server
import signal
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, ZONE, Gce, instance
from .guests import SLOW, VMS, external, page, program, said, script
from .test_groups import GROUPS, TEMPLATES, members, proactive, template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Server

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
HOST = "169.254.0.1"  # the host's loopback, as a guest sees it
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8m0bMVhSmzQEKO8TLWyQsGjFnpzMzBGyYGiKhc0Xqz jane"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address for guests: an ordinary HTTP server on the host's loopback."""
    folder = tmp_path / "files"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


def stable(gce: Gce, name: str) -> None:
    gce.until(lambda: gce.get(f"{GROUPS}/{name}")["status"]["isStable"], SLOW)


def properties(colour: str, url: str) -> dict[str, Any]:
    boot = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    data = {"deviceName": "data", "autoDelete": True, "initializeParams": {"diskSizeGb": "1"}}
    values = {"enable-guest-attributes": "TRUE", "startup-script-url": url, "colour": colour}
    items = [{"key": key, "value": value} for key, value in values.items()]
    return external(disks=[boot, data], metadata={"items": items}, labels={"of": colour})


def test_a_group_is_updated_and_keeps_its_state(real: Server, files: tuple[Path, str]) -> None:
    folder, address = files
    served = [
        "disk=/dev/disk/by-id/google-data",
        "blkid $disk || { mkfs.ext4 -q $disk; new=yes; }",
        "mkdir -p /data && mount $disk /data",
        '[ -z "$new" ] || ask id >/data/index.html',
        "python3 -m http.server --directory /data 8080 &",
        "tell colour $(ask attributes/colour)",
        "until [ -s /home/jane/.ssh/authorized_keys ]; do sleep 0.5; done",
        "tell agent made-jane",
    ]
    (folder / "start.sh").write_text(program(*served))
    gce = real.start()
    kept = {
        "disks": {"data": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}},
        "internalIPs": {"nic0": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}},
        "externalIPs": {"nic0": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}},
    }
    first = template(gce, "blue", **properties("blue", f"{address}/start.sh"))
    body = {"name": "web", "targetSize": 1, "instanceTemplate": first}
    policy = proactive(maxUnavailable={"fixed": 1}, maxSurge={"fixed": 0})
    policy["replacementMethod"] = "RECREATE"
    body |= {"updatePolicy": policy, "statefulPolicy": {"preservedState": kept}}
    gce.do("POST", GROUPS, body)
    stable(gce, "web")
    (member,) = members(gce, "web")
    name = member["name"]
    gce.until(lambda: said(gce, name, "colour") == "blue", SLOW)
    before = gce.instance(name)
    nat = before["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert gce.until(lambda: page(nat), SLOW) == before["id"]

    # Google's guest agent sees new keys and makes the account
    items = [*before["metadata"]["items"], {"key": "ssh-keys", "value": f"jane:{KEY}"}]
    new = {"items": items, "fingerprint": before["metadata"]["fingerprint"]}
    gce.do("POST", f"{VMS}/{name}/setMetadata", new)
    gce.until(lambda: said(gce, name, "agent") == "made-jane", SLOW)

    real.stop(signal.SIGKILL)
    gce = real.start()
    stable(gce, "web")
    assert [m["id"] for m in members(gce, "web")] == [before["id"]]
    assert page(nat) == before["id"]

    second = template(gce, "green", **properties("green", f"{address}/start.sh"))
    versions = [{"instanceTemplate": second, "name": "2"}]
    gce.do("PATCH", f"{GROUPS}/web", {"versions": versions})
    gce.until(lambda: gce.get(f"{GROUPS}/web")["status"]["versionTarget"]["isReached"], SLOW)
    stable(gce, "web")
    after = gce.instance(name)
    assert after["id"] != before["id"]
    nics = [vm["networkInterfaces"][0] for vm in (before, after)]
    assert nics[0]["networkIP"] == nics[1]["networkIP"]
    gce.until(lambda: said(gce, name, "colour") == "green", SLOW)
    assert gce.until(lambda: page(nat), SLOW) == before["id"]  # the first one wrote it on its disk
    gce.do("DELETE", f"{GROUPS}/web")
    assert gce.items(VMS) == []
    assert gce.items(f"zones/{ZONE}/disks") == []
    gce.do("DELETE", f"{TEMPLATES}/blue")


def test_preemption_after_thirty_seconds_and_the_end_of_a_run(real: Server) -> None:
    gce = real.start()
    spot = {"provisioningModel": "SPOT"}
    gce.do("POST", VMS, instance("deaf", scheduling=spot))
    gce.admin("POST", "faults", {"kind": "freeze", "instance": "deaf"})
    gce.admin("POST", "faults", {"kind": "preempt", "instance": "deaf"})
    gce.until(lambda: gce.instance("deaf")["status"] == "TERMINATED", SLOW)
    (preempted,) = gce.items(
        f"zones/{ZONE}/operations", filter='operationType="compute.instances.preempted"'
    )
    stopped = datetime.fromisoformat(gce.instance("deaf")["lastStopTimestamp"])
    assert stopped - datetime.fromisoformat(preempted["insertTime"]) >= timedelta(seconds=29)
    gce.do("DELETE", f"{VMS}/deaf")

    metadata = script("tell up $(ask preempted)")
    metadata["shutdown-script"] = program("tell down $(ask preempted)")
    gce.create("spot", metadata=metadata, scheduling=spot)
    gce.until(lambda: said(gce, "spot", "up") == "FALSE", SLOW)
    gce.admin("POST", "faults", {"kind": "preempt", "instance": "spot"})
    gce.until(lambda: gce.instance("spot")["status"] == "TERMINATED", SLOW)
    assert said(gce, "spot", "down") == "TRUE"
    kinds = [op["operationType"] for op in gce.items(f"zones/{ZONE}/operations")]
    assert kinds.count("compute.instances.preempted") == 2

    end = {"maxRunDuration": {"seconds": "30"}, "instanceTerminationAction": "DELETE"}
    gce.do("POST", f"{VMS}/spot/setScheduling", end)
    gce.do("POST", f"{VMS}/spot/start")
    gce.until(lambda: gce.call("GET", f"{VMS}/spot").status_code == 404, SLOW)
