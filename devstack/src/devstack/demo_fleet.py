"""The demo's fleet, observed from outside before and after; and the same, made by its owner."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devstack.availability import get_page
from devstack.gce_api import Compute, ComputeError, Resource
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

ZONE = "us-central1-a"
MEMBERS = ("web-1", "web-2", "web-3")
PORT = 8080
HEALTHY_WITHIN = {"qemu": 420.0, "instant": 30.0}  # seconds

# As a team's own Terraform would do: a data disk, mounted where nginx serves it. The machine
# itself writes a random file onto it once.
MOUNT_DATA = """#!/bin/bash
set -Eeuo pipefail
disk=/dev/disk/by-id/google-data
blkid "$disk" >/dev/null || mkfs.ext4 -q "$disk"
mkdir -p /srv/data
mountpoint -q /srv/data || mount "$disk" /srv/data
[ -e /srv/data/born ] || cat /proc/sys/kernel/random/uuid >/srv/data/born
sync
echo "born as $(</srv/data/born)"
"""


@dataclass(frozen=True)
class Member:
    """One member as seen from outside; only real machines have `page` and `data`."""

    name: str
    instance_id: str
    internal_ip: str
    metadata: str
    boot_image: str  # the image that the boot disk was made of
    data_disk_id: str
    healthy_image: str  # the image that the guest reports
    page: Mapping[str, str]
    data: str


def greeting(name: str) -> str:
    """The runtime config of a member."""
    return f"Hello from {name}"


def create(compute: Compute, image: str, kind: str) -> None:
    """Create all members from one image; returns when each reports that it is healthy."""
    insert(compute, f"global/images/{image}")
    wait_until(
        lambda: all(_health(compute, name).get("image") == image for name in MEMBERS),
        HEALTHY_WITHIN[kind],
        f"{', '.join(MEMBERS)} to get healthy",
        every=1,
    )


def insert(compute: Compute, source: str) -> None:
    """Create all members from an image of any project; they may still boot at the return."""
    for name in MEMBERS:
        compute.call("POST", f"zones/{ZONE}/instances", json=_body(source, name))


def observe(compute: Compute, real: bool) -> dict[str, Member]:
    """Every member as it is now; waits until real machines serve their pages."""
    disks = {disk["name"]: disk for disk in compute.disks()}
    return {name: _state_of(compute, name, disks, real) for name in MEMBERS}


def page_urls(compute: Compute) -> dict[str, str]:
    """Member -> URL of its page."""
    return {name: f"{_address(compute, name)}/bakehouse.json" for name in MEMBERS}


def leftovers(compute: Compute) -> list[str]:
    """Instances and disks that belong to no member, as `kind name`."""
    instances = {item["name"]: item for item in compute.instances()}
    theirs = {_last(d["source"]) for name in MEMBERS for d in instances[name]["disks"]}
    return [f"instance {name}" for name in instances if name not in MEMBERS] + [
        f"disk {disk['name']}" for disk in compute.disks() if disk["name"] not in theirs
    ]


def changes(before: Member, after: Member, image: str, git_sha: str, real: bool) -> list[str]:
    """What is not as a swap promises: a new image, and all else as before."""
    same = ("instance_id", "internal_ip", "metadata", "data_disk_id", "data")
    wrong = [
        f"{field} was {getattr(before, field)!r} and is {getattr(after, field)!r}"
        for field in same
        if getattr(before, field) != getattr(after, field)
    ]
    images = {"boot disk": after.boot_image, "guest": after.healthy_image}
    wrong += [f"its {of} has {it}, not {image}" for of, it in images.items() if it != image]
    if before.boot_image == image:
        wrong.append(f"it ran {image} before the rollout already")
    if real:
        wanted = {"image": image, "git_sha": git_sha, "greeting": greeting(after.name)}
        wrong += [
            f"its page says {key} {after.page.get(key)!r}, not {value!r}"
            for key, value in wanted.items()
            if after.page.get(key) != value
        ]
        if before.page.get("page") == after.page.get("page"):
            wrong.append(f"its page is still {after.page.get('page')!r}")
    return wrong


def _body(source: str, name: str) -> Resource:
    items = {
        "enable-guest-attributes": "TRUE",
        "bakehouse-role": "member",
        "greeting": greeting(name),
        "startup-script": MOUNT_DATA,
    }
    boot = {"diskName": name, "sourceImage": source}
    data = {"diskName": f"{name}-data", "diskSizeGb": "1"}
    return {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "labels": {"fleet": "web"},
        "metadata": {"items": [{"key": key, "value": value} for key, value in items.items()]},
        # with an external address the demo can request the page
        "networkInterfaces": [{"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}],
        "disks": [
            {"boot": True, "autoDelete": True, "initializeParams": boot},
            {"deviceName": "data", "autoDelete": False, "initializeParams": data},
        ],
    }


def _state_of(compute: Compute, name: str, disks: Mapping[str, Resource], real: bool) -> Member:
    instance = _instance(compute, name)
    attached = {bool(d.get("boot")): disks[_last(d["source"])] for d in instance["disks"]}
    page, data = _served(compute, name) if real else ({}, "")
    return Member(
        name=name,
        instance_id=str(instance["id"]),
        internal_ip=str(instance["networkInterfaces"][0]["networkIP"]),
        metadata=json.dumps(sorted(i["key"] + "=" + i["value"] for i in _items(instance))),
        boot_image=_last(attached[True]["sourceImage"]),
        data_disk_id=str(attached[False]["id"]),
        healthy_image=str(_health(compute, name).get("image")),
        page=page,
        data=data,
    )


def _served(compute: Compute, name: str) -> tuple[dict[str, str], str]:
    """The page as JSON, and the file on the data disk, once the machine serves both."""
    url = _address(compute, name)
    found: dict[str, str] = {}

    def there() -> bool:
        answers = {path: get_page(f"{url}/{path}") for path in ("bakehouse.json", "data/born")}
        found.update({path: text for path, text in answers.items() if text})
        return len(found) == len(answers)

    wait_until(there, 120, f"the page and the data of {name} at {url}", every=1)
    return json.loads(found["bakehouse.json"]), found["data/born"].strip()


def health_report(compute: Compute, name: str) -> dict[str, Any]:
    """The last health report of the guest; empty when there is none."""
    path = f"zones/{ZONE}/instances/{name}/getGuestAttributes"
    try:
        found = compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        report: dict[str, Any] = json.loads(found["queryValue"]["items"][0]["value"])
    except (ComputeError, KeyError, ValueError):
        return {}  # no report yet
    return report


def _health(compute: Compute, name: str) -> dict[str, Any]:
    """The health report of the guest when it is healthy, otherwise nothing."""
    report = health_report(compute, name)
    return report if report.get("state") == "healthy" else {}


def _address(compute: Compute, name: str) -> str:
    nic = _instance(compute, name)["networkInterfaces"][0]
    return f"http://{nic['accessConfigs'][0]['natIP']}:{PORT}"


def _instance(compute: Compute, name: str) -> Resource:
    found: Resource = compute.call("GET", f"zones/{ZONE}/instances/{name}")
    return found


def _items(instance: Resource) -> list[Resource]:
    items: list[Resource] = instance["metadata"].get("items", [])
    return items


def _last(url: str) -> str:
    return url.rsplit("/", 1)[-1]
