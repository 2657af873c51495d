"""The contract of disks and images, with both kinds of machines."""

from __future__ import annotations

import pytest

from .gce import ZONE, Gce

VMS = f"zones/{ZONE}/instances"
pytestmark = pytest.mark.timeout(900)  # the public image may have to be built first


def test_what_a_guest_wrote_is_in_the_image(gce: Gce, name: str) -> None:
    script = "#!/bin/sh\necho baked >/etc/proof\nsync\nsystemctl poweroff\n"
    bake = {"instant-script": "write boot /etc/proof baked\npoweroff", "startup-script": script}
    gce.create(name, metadata=bake)
    gce.until(lambda: gce.instance(name)["status"] == "TERMINATED", 300)
    source = f"projects/demo/zones/{ZONE}/disks/{name}"
    body = {"name": name, "sourceDisk": source, "labels": {"git-sha": "0" * 40}}
    operation = gce.start("POST", "global/images", body)
    assert "zone" not in operation
    gce.finish(operation)
    image = gce.get(f"global/images/{name}")
    assert image["status"] == "READY"
    assert image["labels"] == {"git-sha": "0" * 40}
    assert image["sourceDisk"].endswith(source)

    show = "#!/bin/sh\necho /etc/proof: $(cat /etc/proof) >/dev/ttyS0\n"
    proof = {"instant-script": "show boot /etc/proof", "startup-script": show}
    disk = {"boot": True, "autoDelete": True}
    disk["initializeParams"] = {"sourceImage": f"global/images/{name}"}  # type: ignore[assignment]
    gce.create(f"{name}-2", metadata=proof, disks=[disk])
    path = f"{VMS}/{name}-2/serialPort"
    gce.until(lambda: "/etc/proof: baked" in gce.get(path)["contents"], 300)
    for instance in (name, f"{name}-2"):
        gce.do("DELETE", f"{VMS}/{instance}")
    gce.do("DELETE", f"global/images/{name}")
    gce.fails(404, "notFound", "GET", f"global/images/{name}")


def test_an_image_of_a_running_instances_disk_needs_force(gce: Gce, name: str) -> None:
    gce.create(name)
    body = {"name": name, "sourceDisk": f"zones/{ZONE}/disks/{name}"}
    message = gce.fails(400, "resourceInUseByAnotherResource", "POST", "global/images", body)
    assert f"already being used by 'projects/demo/{VMS}/{name}'" in message
    gce.do("POST", "global/images", body, forceCreate="True")
    assert gce.instance(name)["status"] == "RUNNING"
    assert gce.get(f"global/images/{name}")["status"] == "READY"
    gce.do("DELETE", f"{VMS}/{name}")
    gce.do("DELETE", f"global/images/{name}")


def test_the_family_is_its_newest_image_that_is_not_deprecated(gce: Gce, name: str) -> None:
    gce.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "1"})
    for number in ("1", "2"):
        body = {"name": f"{name}-{number}", "sourceDisk": f"zones/{ZONE}/disks/{name}"}
        gce.do("POST", "global/images", body)
    gce.fails(404, "notFound", "GET", f"global/images/family/{name}")
    for number in ("2", "1"):
        gce.do("PATCH", f"global/images/{name}-{number}", {"family": name})
    assert gce.get(f"global/images/family/{name}")["name"] == f"{name}-2"
    gce.do("POST", f"global/images/{name}-2/deprecate", {"state": "DEPRECATED"})
    assert gce.get(f"global/images/{name}-2")["deprecated"]["state"] == "DEPRECATED"
    assert gce.get(f"global/images/family/{name}")["name"] == f"{name}-1"
    gce.do("POST", f"global/images/{name}-2/deprecate", {})
    old = {"state": "DEPRECATED", "replacement": f"global/images/{name}-2"}
    gce.do("POST", f"global/images/{name}-1/deprecate", old)
    late = {"name": f"{name}-late", "sourceImage": f"global/images/{name}-1"}
    (warning,) = gce.do("POST", f"zones/{ZONE}/disks", late)["warnings"]
    assert warning["code"] == "DEPRECATED_RESOURCE_USED"
    path = f"projects/demo/global/images/{name}-2"
    assert warning["message"].endswith(f"A suggested replacement is '{path}'.")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-late")
    gce.fails(400, "invalid", "PATCH", f"global/images/{name}-2", {"family": "No Name"})
    assert gce.get(f"global/images/family/{name}")["name"] == f"{name}-2"
    view = gce.get(f"zones/{ZONE}/imageFamilyViews/{name}")
    assert view["image"]["name"] == f"{name}-2"

    source = f"projects/demo/zones/-/imageFamilyViews/{name}"
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-from", "sourceImage": source})
    assert gce.get(f"zones/{ZONE}/disks/{name}-from")["sourceImage"].endswith(f"{name}-2")

    gce.do("POST", f"global/images/{name}-2/deprecate", {"state": "OBSOLETE"})
    refused = {"name": f"{name}-no", "sourceImage": f"global/images/{name}-2"}
    gce.fails(400, "resourceNotReady", "POST", f"zones/{ZONE}/disks", refused)
    for disk in (name, f"{name}-from"):
        gce.do("DELETE", f"zones/{ZONE}/disks/{disk}")
    for number in ("1", "2"):
        gce.do("DELETE", f"global/images/{name}-{number}")


def test_an_image_keeps_the_deprecation_state_active(gce: Gce, name: str) -> None:
    gce.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "1"})
    source = {"sourceDisk": f"zones/{ZONE}/disks/{name}", "family": name}
    active = {"state": "ACTIVE"}
    gce.do("POST", "global/images", {"name": name, **source})
    image = f"global/images/{name}"
    gce.do("POST", f"{image}/deprecate", active)
    assert gce.get(image)["deprecated"] == active
    assert gce.get(f"global/images/family/{name}")["name"] == name
    disk = {"name": f"{name}-from", "sourceImage": f"global/images/family/{name}"}
    assert "warnings" not in gce.do("POST", f"zones/{ZONE}/disks", disk)

    gce.do("POST", f"{image}/deprecate", {"state": "DEPRECATED"})
    gce.fails(404, "notFound", "GET", f"global/images/family/{name}")
    gce.do("PATCH", image, {"deprecated": active})
    assert gce.get(image)["deprecated"] == active
    assert gce.get(f"global/images/family/{name}")["name"] == name
    gce.do("POST", f"{image}/deprecate", {})
    assert "deprecated" not in gce.get(image)
    gce.fails(400, "invalid", "POST", f"{image}/deprecate", {**active, "deleted": "soon"})

    # the field is output-only for an insert
    gce.do("POST", "global/images", {"name": f"{name}-2", **source, "deprecated": active})
    assert "deprecated" not in gce.get(f"{image}-2")
    for path in (f"zones/{ZONE}/disks/{name}-from", f"zones/{ZONE}/disks/{name}"):
        gce.do("DELETE", path)
    for path in (image, f"{image}-2"):
        gce.do("DELETE", path)


def test_disks_grow_and_do_not_shrink(gce: Gce, name: str) -> None:
    gce.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": 2})
    gce.do("POST", f"zones/{ZONE}/disks/{name}/resize", {"sizeGb": "3"})
    assert gce.get(f"zones/{ZONE}/disks/{name}")["sizeGb"] == "3"
    gce.fails(400, "invalid", "POST", f"zones/{ZONE}/disks/{name}/resize", {"sizeGb": "1"})
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}")


def test_an_image_of_an_image(gce: Gce, name: str) -> None:
    gce.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "1"})
    first = {"name": name, "sourceDisk": f"zones/{ZONE}/disks/{name}"}
    gce.do("POST", "global/images", first)
    gce.do("POST", "global/images", {"name": f"{name}-2", "sourceImage": f"global/images/{name}"})
    assert gce.get(f"global/images/{name}-2")["status"] == "READY"
    gce.fails(400, "invalid", "POST", "global/images", {"name": f"{name}-3"})
    for image in (name, f"{name}-2"):
        gce.do("DELETE", f"global/images/{image}")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}")


def test_a_snapshot_of_a_running_machine(gce: Gce, name: str) -> None:
    script = "#!/bin/sh\necho kept >/etc/proof\nsync\necho all written >/dev/ttyS0\n"
    told = "write boot /etc/proof kept\nserial all written"
    gce.create(name, metadata={"instant-script": told, "startup-script": script})
    path = f"{VMS}/{name}/serialPort"
    gce.until(lambda: "all written" in gce.get(path)["contents"], 300)
    operation = gce.start("POST", f"zones/{ZONE}/disks/{name}/createSnapshot", {"name": name})
    assert operation["zone"].endswith(ZONE)
    assert "error" not in gce.finish(operation)
    assert gce.get(f"global/snapshots/{name}")["status"] == "READY"
    assert gce.instance(name)["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}")

    show = "#!/bin/sh\necho /etc/proof: $(cat /etc/proof) >/dev/ttyS0\n"
    proof = {"instant-script": "show boot /etc/proof", "startup-script": show}
    source = {"sourceSnapshot": f"global/snapshots/{name}"}
    disk = {"boot": True, "autoDelete": True, "initializeParams": source}
    gce.create(name, metadata=proof, disks=[disk])
    gce.until(lambda: "/etc/proof: kept" in gce.get(path)["contents"], 300)
    gce.do("DELETE", f"{VMS}/{name}")
    gce.do("DELETE", f"global/snapshots/{name}")


def test_a_machine_image_holds_all_disks(gce: Gce, name: str) -> None:
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-data", "sizeGb": "1"})
    gce.create(name, labels={"of": "image"}, metadata={"instant-script": "write boot /a kept"})
    data = {"source": f"zones/{ZONE}/disks/{name}-data", "deviceName": "data"}
    gce.do("POST", f"{VMS}/{name}/stop")
    gce.do("POST", f"{VMS}/{name}/attachDisk", data)
    source = f"projects/demo/{VMS}/{name}"
    gce.do("POST", "global/machineImages", {"name": name, "sourceInstance": source})
    image = gce.get(f"global/machineImages/{name}")
    assert image["status"] == "READY"
    assert len(image["savedDisks"]) == 2
    gce.do("DELETE", f"{VMS}/{name}")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-data")

    show = {"items": [{"key": "instant-script", "value": "show boot /a"}]}
    body = {"name": f"{name}-2", "metadata": show}
    gce.do("POST", VMS, body, sourceMachineImage=f"global/machineImages/{name}")
    made = gce.instance(f"{name}-2")
    assert made["labels"] == {"of": "image"}
    assert [d["deviceName"] for d in made["disks"]] == ["persistent-disk-0", "data"]
    assert made["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}-2")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-2-1")
    gce.do("DELETE", f"global/machineImages/{name}")
