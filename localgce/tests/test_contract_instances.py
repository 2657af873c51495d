"""The contract of instances, with both kinds of machines."""

from __future__ import annotations

import base64
import re

import pytest

from .gce import DEBIAN, ZONE, Gce, instance

VMS = f"zones/{ZONE}/instances"
pytestmark = pytest.mark.timeout(600)


def test_an_instance_from_insert_to_delete(gce: Gce, name: str) -> None:
    operation = gce.start("POST", VMS, instance(name, labels={"test": "life"}))
    assert operation["kind"] == "compute#operation"
    assert operation["operationType"] == "insert"
    assert operation["status"] in {"PENDING", "RUNNING"}
    assert operation["targetLink"].endswith(f"/{VMS}/{name}")
    done = gce.finish(operation)
    assert (done["status"], done["progress"]) == ("DONE", 100)

    made = gce.instance(name)
    assert made["status"] == "RUNNING"
    assert made["id"] == done["targetId"]
    assert made["id"].isdigit()
    assert made["selfLink"] == f"https://www.googleapis.com/compute/v1/projects/demo/{VMS}/{name}"
    assert made["labels"] == {"test": "life"}
    assert made["networkInterfaces"][0]["networkIP"].startswith("10.128.")
    assert "accessConfigs" not in made["networkInterfaces"][0]
    assert len(base64.urlsafe_b64decode(made["labelFingerprint"])) == 8
    disk = gce.get(f"zones/{ZONE}/disks/{name}")
    assert disk["users"] == [made["selfLink"]]
    assert disk["status"] == "READY"

    gce.do("DELETE", f"{VMS}/{name}")
    gce.fails(404, "notFound", "GET", f"{VMS}/{name}")
    gce.fails(404, "notFound", "GET", f"zones/{ZONE}/disks/{name}")


def test_stop_start_and_reset_keep_the_instance(gce: Gce, name: str) -> None:
    before = gce.create(name)
    gce.do("POST", f"{VMS}/{name}/stop")
    stopped = gce.instance(name)
    assert stopped["status"] == "TERMINATED"
    assert "lastStopTimestamp" in stopped
    gce.do("POST", f"{VMS}/{name}/stop")
    gce.do("POST", f"{VMS}/{name}/start")
    after = gce.instance(name)
    assert after["status"] == "RUNNING"
    assert after["id"] == before["id"]
    assert after["networkInterfaces"] == before["networkInterfaces"]
    gce.do("POST", f"{VMS}/{name}/reset")
    assert gce.instance(name)["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}")


def test_suspend_and_resume(gce: Gce, name: str) -> None:
    gce.create(name)
    gce.do("POST", f"{VMS}/{name}/suspend")
    assert gce.instance(name)["status"] == "SUSPENDED"
    gce.fails(400, "invalidResourceUsage", "POST", f"{VMS}/{name}/reset")
    gce.do("POST", f"{VMS}/{name}/resume")
    assert gce.instance(name)["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}")


def test_the_guest_writes_output_and_powers_itself_off(gce: Gce, name: str) -> None:
    said = "attribute bake/result fine\nserial work is done\npoweroff"
    real = """#!/bin/sh
url=http://169.254.169.254/computeMetadata/v1/instance/guest-attributes/bake/result
curl -s -X PUT -H 'Metadata-Flavor: Google' --data fine $url
echo 'work is done' >/dev/ttyS0
systemctl poweroff
"""
    metadata = {
        "enable-guest-attributes": "TRUE",
        "instant-script": said,
        "startup-script": real,
    }
    gce.create(name, metadata=metadata)
    gce.until(lambda: gce.instance(name)["status"] == "TERMINATED", 300)

    values = gce.get(f"{VMS}/{name}/getGuestAttributes", queryPath="bake/")
    assert values["queryValue"]["items"] == [
        {"namespace": "bake", "key": "result", "value": "fine"}
    ]
    output = gce.get(f"{VMS}/{name}/serialPort")
    assert "work is done" in output["contents"]
    about = f"targetId={gce.instance(name)['id']}"
    wanted = f'operationType="compute.instances.guestTerminate" AND {about}'
    system = gce.items(f"zones/{ZONE}/operations", filter=wanted)
    assert [op["status"] for op in system] == ["DONE"]
    gce.do("DELETE", f"{VMS}/{name}")


def test_serial_output_is_paged_by_bytes(gce: Gce, name: str) -> None:
    gce.create(name)
    whole = gce.until(lambda: _ends(gce, name, "login:"), 300)
    assert whole["start"] == "0"
    size = len(whole["contents"].encode())
    rest = gce.get(f"{VMS}/{name}/serialPort", start=size - 5)
    assert rest["start"] == str(size - 5)
    tail = gce.get(f"{VMS}/{name}/serialPort", start=-4)
    assert int(tail["next"]) - int(tail["start"]) == 4
    beyond = gce.get(f"{VMS}/{name}/serialPort", start=size + 10_000)
    assert (beyond["contents"], beyond["start"]) == ("", beyond["next"])
    gce.do("DELETE", f"{VMS}/{name}")


def _ends(gce: Gce, name: str, text: str) -> dict[str, str] | None:
    output = gce.get(f"{VMS}/{name}/serialPort")
    return output if text in output["contents"] else None


def test_the_boot_disk_is_swapped_and_data_stays(gce: Gce, name: str) -> None:
    before = gce.create(name)
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-data", "sizeGb": "1"})
    data = {"source": f"zones/{ZONE}/disks/{name}-data", "deviceName": "data"}
    gce.do("POST", f"{VMS}/{name}/attachDisk", data)
    assert [d["deviceName"] for d in gce.instance(name)["disks"]] == ["persistent-disk-0", "data"]

    boot = {"deviceName": "persistent-disk-0"}
    message = gce.fails(400, "invalidResourceUsage", "POST", f"{VMS}/{name}/detachDisk", **boot)
    assert "must be in TERMINATED state" in message
    gce.do("POST", f"{VMS}/{name}/stop")
    gce.do("POST", f"{VMS}/{name}/detachDisk", **boot)
    failed = gce.finish(gce.start("POST", f"{VMS}/{name}/start"))
    assert failed["httpErrorStatusCode"] == 400
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-new", "sourceImage": DEBIAN})
    new = {
        "source": f"zones/{ZONE}/disks/{name}-new",
        "boot": True,
        "autoDelete": True,
        **boot,
    }
    gce.do("POST", f"{VMS}/{name}/attachDisk", new)
    gce.do("POST", f"{VMS}/{name}/start")
    after = gce.instance(name)
    assert (after["id"], after["status"]) == (before["id"], "RUNNING")
    assert [d["boot"] for d in after["disks"]] == [True, False]
    gce.do("DELETE", f"{VMS}/{name}")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-data")
    gce.fails(404, "notFound", "GET", f"zones/{ZONE}/disks/{name}-new")


def test_a_disk_is_attached_and_detached_while_the_machine_runs(gce: Gce, name: str) -> None:
    gce.create(name)
    gce.until(lambda: _ends(gce, name, "login:"), 300)
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-data", "sizeGb": "1"})
    data = {"source": f"zones/{ZONE}/disks/{name}-data", "deviceName": "data"}
    gce.do("POST", f"{VMS}/{name}/attachDisk", data)
    in_use = gce.fails(
        400, "resourceInUseByAnotherResource", "DELETE", f"zones/{ZONE}/disks/{name}-data"
    )
    assert "already being used by" in in_use
    gce.fails(400, "invalid", "POST", f"{VMS}/{name}/detachDisk", deviceName="nothing")
    gce.do("POST", f"{VMS}/{name}/detachDisk", deviceName="data")
    assert "users" not in gce.get(f"zones/{ZONE}/disks/{name}-data")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-data")
    gce.do("DELETE", f"{VMS}/{name}")


def test_auto_delete_is_honoured(gce: Gce, name: str) -> None:
    gce.create(name)
    device = {"deviceName": "persistent-disk-0"}
    gce.do("POST", f"{VMS}/{name}/setDiskAutoDelete", autoDelete="False", **device)
    assert gce.instance(name)["disks"][0]["autoDelete"] is False
    gce.do("DELETE", f"{VMS}/{name}")
    disk = gce.get(f"zones/{ZONE}/disks/{name}")
    assert "users" not in disk
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}")


def test_an_external_address_is_one_of_the_loopback(gce: Gce, name: str) -> None:
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    made = gce.create(name, networkInterfaces=[nic])
    config = made["networkInterfaces"][0]["accessConfigs"][0]
    assert re.fullmatch(r"127\.\d+\.\d+\.\d+", config["natIP"])
    gce.do("DELETE", f"{VMS}/{name}")
