"""What Compute Engine offers by itself: zones, regions, machine types, disk types, projects.

Regions and machine types are data: `catalog.toml`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from localgce.core import links

if TYPE_CHECKING:
    from localgce.core.errors import Json

_DATA = tomllib.loads(files("localgce.core").joinpath("catalog.toml").read_text(encoding="utf-8"))
REGIONS: dict[str, str] = {name: one["zones"] for name, one in _DATA["regions"].items()}
SUBNETS: dict[str, str] = {name: one["subnet"] for name, one in _DATA["regions"].items()}
_CREATED = "1969-12-31T16:00:00.000-08:00"  # what Compute Engine shows for built-in resources
_SHARED_CORE: dict[str, dict[str, int]] = _DATA["shared_core"]
_MACHINE_TYPES = {
    **{
        name: (one["vcpus"], one["mb"], one.get("emulated", one["vcpus"]))
        for name, one in _SHARED_CORE.items()
    },
    **{
        f"{series}-{vcpus}": (vcpus, int(vcpus * one["mb_each"]), vcpus)
        for series, one in _DATA["machine_types"].items()
        for vcpus in one["vcpus"]
    },
}
_CUSTOM = re.compile(
    r"^(?:(?:e2|n1|n2|n2d|n4)-)?custom-([1-9][0-9]{0,2})-([1-9][0-9]{2,6})(?:-ext)?$"
)
_DISK_TYPES = {
    "pd-standard": ("10GB-65536GB", "500"),
    "pd-balanced": ("10GB-65536GB", "100"),
    "pd-ssd": ("10GB-65536GB", "100"),
    "pd-extreme": ("500GB-65536GB", "1000"),
    "hyperdisk-balanced": ("4GB-65536GB", "100"),
    "local-ssd": ("375GB-375GB", "375"),
}
LOCAL_SSD = "local-ssd"
# the series whose machine types can have local SSDs; a custom type without a series is of N1
_WITH_LOCAL_SSDS = {
    *("n1", "custom", "n2", "n2d", "c2", "c2d", "a2", "g2", "m1", "m3"),
}
_PERSISTENT_DISKS = ("pd-standard", "pd-balanced", "pd-ssd", "pd-extreme")
# the disk types of a series, its default first; of any other one, Persistent Disk
_DISK_TYPES_OF = {
    "c4": ("hyperdisk-balanced",),
    "n4": ("hyperdisk-balanced",),
    "c3": ("pd-balanced", "pd-ssd", "hyperdisk-balanced"),
    "c3d": ("pd-balanced", "pd-ssd", "hyperdisk-balanced"),
}
DEBIAN_PROJECT = "debian-cloud"
LICENSES = ("debian-12-bookworm", "debian-13-trixie")
ACCELERATORS = {  # the most of them that an instance can have
    "nvidia-tesla-t4": 4,
    "nvidia-tesla-p4": 4,
    "nvidia-tesla-v100": 8,
    "nvidia-tesla-p100": 4,
    "nvidia-tesla-a100": 16,
    "nvidia-a100-80gb": 8,
    "nvidia-l4": 8,
    "nvidia-h100-80gb": 8,
}
# `gcloud compute images list` asks for all of them; only Debian's has an image here.
PUBLIC_PROJECTS = frozenset(
    [
        DEBIAN_PROJECT,
        "centos-cloud",
        "cos-cloud",
        "fedora-cloud",
        "fedora-coreos-cloud",
        "google-public-images",
        "opensuse-cloud",
        "oracle-linux-cloud",
        "rhel-cloud",
        "rhel-sap-cloud",
        "rocky-linux-accelerator-cloud",
        "rocky-linux-cloud",
        "suse-cloud",
        "suse-sap-cloud",
        "ubuntu-os-accelerator-images",
        "ubuntu-os-cloud",
        "ubuntu-os-pro-cloud",
        "windows-cloud",
        "windows-sql-cloud",
        "ml-images",
        "deeplearning-platform-release",
        "debian-sap-cloud",
    ]
)


@dataclass(frozen=True)
class MachineType:
    """CPUs and memory of a machine type."""

    name: str
    cpus: int
    memory_mb: int
    emulated_cpus: int  # where there is no KVM


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """All zones: `us-central1-a`, ..."""
    return tuple(f"{region}-{letter}" for region, letters in REGIONS.items() for letter in letters)


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`."""
    return zone.rsplit("-", 1)[0]


def known_scope(scope: str) -> bool:
    """Whether the zone or region exists."""
    if scope == "global":
        return True
    kind, name = scope.split("/", 1)
    return name in (zones() if kind == "zones" else REGIONS)


def machine_type(name: str) -> MachineType | None:
    """A predefined or custom machine type by name; None when it does not exist."""
    custom = _CUSTOM.match(name)
    if custom:
        cpus = int(custom[1])
        return MachineType(name, cpus, int(custom[2]), cpus)
    found = _MACHINE_TYPES.get(name)
    return MachineType(name, *found) if found else None


def machine_types() -> list[str]:
    """Names of the predefined machine types."""
    return sorted(_MACHINE_TYPES)


def disk_types_of(machine_type: str) -> tuple[str, ...]:
    """The disk types that a machine type can have, the default first."""
    return _DISK_TYPES_OF.get(machine_type.partition("-")[0], _PERSISTENT_DISKS)


def has_local_ssds(machine_type: str) -> bool:
    """Whether a machine type can have local SSDs; those of shared cores cannot."""
    series = machine_type.partition("-")[0]
    return series in _WITH_LOCAL_SSDS and machine_type not in _SHARED_CORE


def least_disk_gb(disk_type: str) -> int:
    """The smallest size; of pd-standard, pd-balanced and pd-ssd the API takes 1 GB too."""
    least = int(_DISK_TYPES[disk_type][0].partition("GB")[0])
    return 1 if disk_type in _PERSISTENT_DISKS[:3] else least


def disk_types(scope: str) -> list[str]:
    """Names of the disk types of a zone or a region; of a region, of disks in two zones."""
    return sorted(_PERSISTENT_DISKS[:3] if scope.startswith("regions/") else _DISK_TYPES)


@lru_cache(maxsize=1024)
def zone_body(project: str, zone: str) -> Json:
    """A Zone."""
    return {
        **_common("zone", zone, f"projects/{project}/zones/{zone}"),
        "description": zone,
        "status": "UP",
        "region": links.url(f"projects/{project}/regions/{region_of(zone)}"),
        "availableCpuPlatforms": ["Intel Broadwell"],
        "supportsPzs": False,
    }


def region_body(project: str, region: str, quotas: list[Json]) -> Json:
    """A Region with its quotas."""
    path = f"projects/{project}/regions/{region}"
    return {
        **_common("region", region, path),
        "description": region,
        "status": "UP",
        "zones": [
            links.url(f"projects/{project}/zones/{region}-{letter}") for letter in REGIONS[region]
        ],
        "quotas": quotas,
        "supportsPzs": False,
    }


@lru_cache(maxsize=32768)  # all of them in all zones: a list of them has fifty pages
def machine_type_body(project: str, zone: str, name: str) -> Json | None:
    """A MachineType; None when it does not exist."""
    found = machine_type(name)
    if found is None:
        return None
    path = f"projects/{project}/zones/{zone}/machineTypes/{name}"
    return {
        **_common("machineType", name, path),
        "description": f"{found.cpus} vCPUs, {found.memory_mb / 1024:g} GB RAM",
        "guestCpus": found.cpus,
        "memoryMb": found.memory_mb,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "zone": zone,
        "isSharedCpu": name in _SHARED_CORE,
        "architecture": "X86_64",
    }


@lru_cache(maxsize=4096)
def disk_type_body(project: str, scope: str, name: str) -> Json | None:
    """A DiskType of a zone or a region (`zones/Z`, `regions/R`); None when it does not exist."""
    if name not in disk_types(scope):
        return None
    valid, default = _DISK_TYPES[name]
    path = f"projects/{project}/{scope}/diskTypes/{name}"
    return {
        **_common("diskType", name, path),
        "description": name,
        "validDiskSize": valid,
        "defaultDiskSizeGb": default,
        scope.partition("s/")[0]: links.url(f"projects/{project}/{scope}"),
    }


def accelerator_body(project: str, zone: str, name: str) -> Json:
    """An AcceleratorType; no machine here has one."""
    path = f"projects/{project}/zones/{zone}/acceleratorTypes/{name}"
    return {
        **_common("acceleratorType", name, path),
        "description": name.replace("-", " ").upper(),
        "maximumCardsPerInstance": ACCELERATORS[name],
        "zone": links.url(f"projects/{project}/zones/{zone}"),
    }


def license_body(name: str) -> Json:
    """A License of the public images."""
    path = f"projects/{DEBIAN_PROJECT}/global/licenses/{name}"
    return {
        **_common("license", name, path),
        "chargesUseFee": False,
        "transferable": True,
        "licenseCode": fixed_id(f"{path}/code"),
    }


def fixed_id(path: str) -> str:
    """The numeric id of a built-in resource: the same on every server."""
    return str(int.from_bytes(hashlib.sha256(path.encode()).digest()[:4]) + 1000)


def _common(kind: str, name: str, path: str) -> Json:
    return {
        "kind": f"compute#{kind}",
        "id": fixed_id(path),
        "creationTimestamp": _CREATED,
        "name": name,
        "selfLink": links.url(path),
    }
