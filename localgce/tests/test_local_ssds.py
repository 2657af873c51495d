"""Local SSDs: empty disks that an instance is made with, and that end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, ZONE, instance

if TYPE_CHECKING:
    from .gce import Gce

VMS = f"zones/{ZONE}/instances"
KIND = f"zones/{ZONE}/diskTypes/local-ssd"
N2 = f"zones/{ZONE}/machineTypes/n2-standard-2"
BOOT = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}


def scratch(**more: Any) -> dict[str, Any]:
    """An entry of `disks` as clients write it."""
    return {"type": "SCRATCH", "initializeParams": {"diskType": KIND}, **more}


def with_ssds(name: str, *ssds: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of an insert."""
    return instance(name, disks=[BOOT, *ssds], **{"machineType": N2, **more})


def test_local_ssds_are_shown_as_compute_engine_shows_them(instant: Gce, name: str) -> None:
    instant.do("POST", VMS, with_ssds(name, scratch(interface="NVME"), scratch()))
    _, first, second = instant.instance(name)["disks"]
    assert first == {
        "kind": "compute#attachedDisk",
        "type": "SCRATCH",
        "mode": "READ_WRITE",
        "deviceName": "local-ssd-0",
        "index": 1,
        "boot": False,
        "autoDelete": True,
        "interface": "NVME",
        "diskSizeGb": "375",
    }
    assert (second["deviceName"], second["interface"]) == ("local-ssd-1", "SCSI")
    assert f"{name}-1" not in {disk["name"] for disk in instant.items(f"zones/{ZONE}/disks")}
    assert instant.get(KIND)["validDiskSize"] == "375GB-375GB"
    page = instant.http.get(f"/_localgce/console/projects/demo/{VMS}/{name}").text
    assert "local-ssd-1, 375 GB, SCSI" in page
    detach = f"{VMS}/{name}/detachDisk"
    instant.fails(400, "invalid", "POST", detach, deviceName="local-ssd-0")
    instant.fails(400, "invalid", "POST", f"{VMS}/{name}/attachDisk", scratch())
    # what is made of the instance has no content of them
    image = {"name": name, "sourceInstance": f"{VMS}/{name}"}
    instant.do("POST", "global/machineImages", image)
    assert len(instant.get(f"global/machineImages/{name}")["savedDisks"]) == 1
    instant.do("POST", "global/instanceTemplates", image)
    like = {"name": f"{name}-2"}
    template = f"global/instanceTemplates/{name}"
    instant.do("POST", VMS, like, sourceInstanceTemplate=template)
    kinds = [disk["type"] for disk in instant.instance(f"{name}-2")["disks"]]
    assert kinds == ["PERSISTENT", "SCRATCH", "SCRATCH"]
    stop = f"{VMS}/{name}/stop"
    instant.do("POST", stop, discardLocalSsd=True)
    small = {"machineType": f"zones/{ZONE}/machineTypes/e2-small"}
    instant.fails(400, "badRequest", "POST", f"{VMS}/{name}/setMachineType", small)
    instant.do("POST", f"{VMS}/{name}/setMachineType", {"machineType": N2})
    for path in (f"{VMS}/{name}", f"{VMS}/{name}-2", template, f"global/machineImages/{name}"):
        instant.do("DELETE", path)


@pytest.mark.parametrize(
    ("entry", "more", "reason"),
    [
        (scratch(boot=True), {}, "invalid"),
        (scratch(diskSizeGb="100"), {}, "invalid"),
        (scratch(source="zones/x/disks/y"), {}, "invalid"),
        ({"type": "SCRATCH"}, {}, "required"),
        (scratch(initializeParams={"diskType": KIND.replace("local", "pd")}), {}, "invalid"),
        (scratch(), {"machineType": f"zones/{ZONE}/machineTypes/e2-small"}, "badRequest"),
    ],
)
def test_what_is_no_local_ssd_is_refused(
    instant: Gce, name: str, entry: dict[str, Any], more: dict[str, Any], reason: str
) -> None:
    instant.fails(400, reason, "POST", VMS, with_ssds(name, entry, **more))
    alone = {"name": name, "type": KIND, "sizeGb": "375"}
    instant.fails(400, "invalid", "POST", f"zones/{ZONE}/disks", alone)


def test_their_content_ends_with_a_stop_unless_it_is_kept(instant: Gce, name: str) -> None:
    write = {"instant-script": "show local-ssd-0 mark\nwrite local-ssd-0 mark hello"}
    instant.do("POST", VMS, with_ssds(name, scratch(), metadata=write))
    path = f"{VMS}/{name}"

    def shows(what: str, times: int) -> bool:
        return str(instant.get(f"{path}/serialPort")["contents"]).count(f"mark: {what}") == times

    instant.until(lambda: shows("absent", 1))
    message = instant.fails(400, "badRequest", "POST", f"{path}/stop")
    assert "--discard-local-ssd" in message
    instant.fails(400, "badRequest", "POST", f"{path}/suspend")
    instant.do("POST", f"{path}/stop", discardLocalSsd=False)
    instant.do("POST", f"{path}/stop", discardLocalSsd=True)  # it is off already
    instant.do("POST", f"{path}/start")
    instant.until(lambda: shows("hello", 1))
    instant.do("POST", f"{path}/reset")
    instant.until(lambda: shows("hello", 2))
    instant.do("POST", f"{path}/stop", discardLocalSsd=True)
    instant.do("POST", f"{path}/start")
    instant.until(lambda: shows("absent", 2))
    instant.do("DELETE", path)
