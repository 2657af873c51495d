"""Machine types, zones, regions and base disks that Compute Engine is known to have. Pure.

Sources: the pages "Machine families resource and comparison guide", "Regions and zones" and
"Operating system details" of Compute Engine's documentation, as of 2026-11. Google adds to them:
`builder.unlisted` of a recipe says that a name is newer than these lists.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bakehouse.core.nearest import nearest


class _Series(NamedTuple):
    """What the types of a series are called.

    `sizes` are the numbers of processors, where Google adds none any more; else empty. `shapes`
    are the words between series and number.
    """

    shapes: tuple[str, ...]
    sizes: frozenset[int] = frozenset()
    custom: bool = False
    shared: frozenset[str] = frozenset()  # without a number: e2-small


_ALL = ("standard", "highmem", "highcpu")
_N2 = frozenset({2, 4, 8, 16, 32, 48, 64, 80, 96, 128})
_SERIES = {
    "e2": _Series(
        _ALL, frozenset({2, 4, 8, 16, 32}), True, frozenset({"micro", "small", "medium"})
    ),
    "f1": _Series((), shared=frozenset({"micro"})),
    "g1": _Series((), shared=frozenset({"small"})),
    "n1": _Series(
        (*_ALL, "megamem", "ultramem"), frozenset({1, 2, 4, 8, 16, 32, 40, 64, 80, 96, 160}), True
    ),
    "n2": _Series(_ALL, _N2, True),
    "n2d": _Series(_ALL, _N2 | {224}, True),
    "n4": _Series(_ALL, custom=True),
    "n4a": _Series(_ALL, custom=True),
    "n4d": _Series(_ALL, custom=True),
    "t2a": _Series(("standard",), frozenset({1, 2, 4, 8, 16, 32, 48})),
    "t2d": _Series(("standard",), frozenset({1, 2, 4, 8, 16, 32, 48, 60})),
    "c2": _Series(("standard",), frozenset({4, 8, 16, 30, 60})),
    "c2d": _Series(_ALL, frozenset({2, 4, 8, 16, 32, 56, 112})),
    "c3": _Series(_ALL),
    "c3d": _Series(_ALL),
    "c4": _Series(_ALL),
    "c4a": _Series(_ALL),
    "c4d": _Series(_ALL),
    "m1": _Series(("megamem", "ultramem")),
    "m2": _Series(("megamem", "ultramem", "hypermem")),
    "m3": _Series(("megamem", "ultramem")),
    "m4": _Series(("megamem", "ultramem", "hypermem")),
    "x4": _Series(("megamem",)),
    "h3": _Series(("standard",)),
    "h4d": _Series(("standard", "highmem")),
    "z3": _Series(("standard", "highmem")),
    "a2": _Series(("highgpu", "megagpu", "ultragpu")),
    "a3": _Series(("highgpu", "megagpu", "edgegpu", "ultragpu")),
    "a4": _Series(("highgpu",)),
    "a4x": _Series(("highgpu", "maxgpu")),
    "g2": _Series(("standard",), custom=True),
    "g4": _Series(("standard",)),
}
_CUSTOM = re.compile(r"(?P<cpus>[0-9]+|micro|small|medium)-(?P<memory>[0-9]+)(?:-ext)?")
_MEMORY_STEP = 256  # MiB

MULTI_REGIONS = frozenset({"us", "eu", "asia"})
REGIONS = frozenset(
    {
        *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2"),
        *("asia-northeast3", "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2"),
        *("asia-southeast3", "australia-southeast1", "australia-southeast2", "europe-central2"),
        *("europe-north1", "europe-north2", "europe-southwest1", "europe-west1", "europe-west2"),
        *("europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9"),
        *("europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1"),
        *("northamerica-northeast1", "northamerica-northeast2", "northamerica-south1"),
        *("southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4"),
        *("us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4"),
    }
)
# zones of the regions that have others than a, b and c
_ZONES = {
    "us-central1": "abcf",
    "us-east1": "bcd",
    "us-east4": "abc",
    "europe-west1": "bcd",
}

# GB of the public images of a project, which all of its families have at least
BASE_DISK_GB = {
    "debian-cloud": 10,
    "ubuntu-os-cloud": 10,
    "ubuntu-os-pro-cloud": 10,
    "cos-cloud": 10,
    "rocky-linux-cloud": 20,
    "rhel-cloud": 20,
    "rhel-sap-cloud": 20,
    "centos-cloud": 20,
    "windows-cloud": 32,
    "windows-sql-cloud": 50,
    "deeplearning-platform-release": 40,
}


def unknown_machine_type(name: str) -> tuple[str, str] | None:
    """Return problem and remedy of a machine type that Compute Engine does not have."""
    if name.startswith("custom-"):
        return _custom(name.removeprefix("custom-"), "n1")
    series, _, shape = name.partition("-")
    known = _SERIES.get(series)
    if known is None:
        problem = f"is of the series {series}, which is not known"
        near = nearest(name, [one for kind in _SERIES for one in _examples(kind)])
        series_known = ", ".join(sorted(_SERIES))
        return problem, f"Did you mean {near}?" if near else f"Known are {series_known}"
    if shape in known.shared:
        return None
    if shape.startswith("custom-"):
        if known.custom:
            return _custom(shape.removeprefix("custom-"), series)
        return f"is custom, which machines of the series {series} cannot be", _choices(series)
    word, _, size = shape.partition("-")
    if word not in known.shapes or not size:
        return f"is no machine type of the series {series}", _choices(series)
    count = size.partition("-")[0].removesuffix("g").removesuffix("t")
    if known.sizes and not (size.isdigit() and int(count) in known.sizes):
        sizes = ", ".join(str(one) for one in sorted(known.sizes))
        return f"is no machine type of the series {series}", f"{series}-{word} has {sizes}"
    return None


def unknown_region(name: str) -> tuple[str, str] | None:
    """Return problem and remedy of a region that Compute Engine does not have."""
    if name in REGIONS:
        return None
    near = nearest(name, sorted(REGIONS))
    remedy = f"Did you mean {near}?" if near else "Choose a region, such as us-central1"
    return f"names the region {name}, which is not known", remedy


def unknown_zone(name: str) -> tuple[str, str] | None:
    """Return problem and remedy of a zone that Compute Engine does not have."""
    region, _, letter = name.rpartition("-")
    if wrong := unknown_region(region):
        return wrong
    letters = _ZONES.get(region, "abc")
    if letter in letters:
        return None
    zones = ", ".join(f"{region}-{one}" for one in letters)
    return f"is no zone of {region} that is known", f"Choose one of: {zones}"


def _examples(series: str) -> list[str]:
    known = _SERIES[series]
    sizes = sorted(known.sizes)[:4] or [2, 4]
    return [
        *(f"{series}-{one}" for one in sorted(known.shared)),
        *(f"{series}-{shape}-{size}" for shape in known.shapes for size in sizes),
    ]


def _choices(series: str) -> str:
    known = _SERIES[series]
    names = [f"{series}-{one}" for one in sorted(known.shared)]
    names += [f"{series}-{shape}-N" for shape in known.shapes]
    names += [f"{series}-custom-CPUS-MEMORY"] if known.custom else []
    return f"Choose one of: {', '.join(names)}"


def _custom(shape: str, series: str) -> tuple[str, str] | None:
    """A custom type's numbers: processors are even, or one, and memory is in steps of 256 MiB."""
    found = _CUSTOM.fullmatch(shape)
    example = "Write it as e2-custom-4-8192: processors, then MiB of memory"
    if found is None:
        return "is no custom machine type", example
    cpus, memory = found["cpus"], int(found["memory"])
    if not cpus.isdigit():
        if series == "e2":
            return None
        return f"is no custom machine type of the series {series}", example
    if memory % _MEMORY_STEP or not memory:
        below = max(memory - memory % _MEMORY_STEP, _MEMORY_STEP)
        return f"has {memory} MiB, which is no multiple of {_MEMORY_STEP}", f"Such as {below}"
    if not int(cpus) or (int(cpus) % 2 and not (series in {"n1", "n4a"} and cpus == "1")):
        return f"has {cpus} processors", "Their number is even"
    return None
