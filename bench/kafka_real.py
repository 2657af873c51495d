"""What an image of Kafka is worth on real machines; the figures are kafka_rolls.py's.

A cluster of one without a data disk, small enough for a machine that is emulated.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import bake_real
from figures import CannotMeasure

from devstack.gce_api import ComputeError
from devstack.waiting import DeadlineExceeded

if TYPE_CHECKING:
    from devstack.gce_api import Compute
    from devstack.testbed import Testbed

STARTS = Path(__file__).with_name("kafka_starts.sh")
BAKE_DEADLINE = 3600.0  # seconds
METADATA = {
    "data-disk": "none",
    "kafka-node-id": "1",
    "kafka-cluster-id": "ptuzof_qQAio8bLFRCflfQ",
    "kafka-initial-controllers": "1@localhost:9093:OUtTmYXJQ_-ywdLn2Q1JpA",
    "kafka-heap": "256m",
    "kafka-jvm-options": "-XX:TieredStopAtLevel=1",
}
TOLD = re.compile(r"KAFKA STARTS unit ([\d. ]+) hand ([\d. ]+) alone ([\d. ]+)\r?\n")


@dataclass(frozen=True)
class Starts:
    """Seconds until the broker says that it has started, on one machine, in turn."""

    unit: tuple[float, ...]
    by_hand: tuple[float, ...]  # the same command line
    jars_alone: tuple[float, ...]  # without the archive of classes


@dataclass(frozen=True)
class Installed:
    """Seconds from power on until the instance says that it is healthy."""

    baked: float
    at_boot: float  # both recipes are installed on the plain base first


@cache
def images() -> tuple[Testbed, str]:
    """A stack that has baked both recipes, and the image of Kafka. Raises CannotMeasure."""
    bed = bake_real.stack()
    with redirect_stdout(sys.stderr):
        for recipe in ("jre", "kafka"):
            run = bed.bake(f"bake__{recipe}", BAKE_DEADLINE, roll_out=False)
            if run.state != "success":
                raise CannotMeasure(bed.explain(run))
    return bed, str(bed.compute.newest_of("kafka")["name"])


@cache
def starts() -> Starts:
    """Of a baked broker. Raises CannotMeasure."""
    bed, image = images()
    try:
        return started(bed.compute, image)
    except (DeadlineExceeded, ComputeError) as error:
        raise CannotMeasure(str(error)) from error


@cache
def installed() -> Installed:
    """The baked image, and the plain base on which its recipes are installed at boot."""
    bed, image = images()
    try:
        return both_boots(bed.compute, image, at_boot(bed))
    except (DeadlineExceeded, ComputeError) as error:
        raise CannotMeasure(str(error)) from error


def started(compute: Compute, image: str) -> Starts:
    """One instance of the image, on which the broker is started again and again."""
    script = {"startup-script": STARTS.read_text(encoding="utf-8")}
    disk = bake_real.boot_of(f"global/images/{image}")
    text, _ = bake_real.heard(compute, "kafka-starts", disk, METADATA | script, _told)
    found = TOLD.search(text)
    assert found is not None
    unit, hand, alone = (tuple(map(float, group.split())) for group in found.groups())
    return Starts(unit, hand, alone)


def both_boots(compute: Compute, image: str, install: dict[str, str]) -> Installed:
    """The image first, then the plain base with this metadata."""
    disk = bake_real.boot_of(f"global/images/{image}")
    baked = bake_real.ready_seconds(compute, "kafka-baked", disk, METADATA)
    plain = bake_real.boot_of(bake_real.PLAIN)
    metadata = METADATA | install
    return Installed(baked, bake_real.ready_seconds(compute, "kafka-at-boot", plain, metadata))


def at_boot(bed: Testbed) -> dict[str, str]:
    """Metadata that installs both recipes at boot: that of jre, whose install comes first."""
    metadata = bake_real.install_metadata(bed, "kafka")
    layer = (bed.project / "include/startup_scripts/jre/install.sh.j2").read_text("utf-8")
    if "{{" in layer or "{%" in layer:
        raise CannotMeasure("install.sh.j2 of jre is no plain script any more")
    here = '(cd "$payload/recipe"'
    script = metadata["startup-script"]
    if script.count(here) != 1:
        raise CannotMeasure(f"install_at_boot.sh has no line {here}")
    return metadata | {"startup-script": script.replace(here, f"(\n{layer}\n)\n{here}")}


def _told(text: str) -> bool:
    if "KAFKA STARTS FAILED" in text or '"state": "unhealthy"' in text:
        raise CannotMeasure(f"the starts were not measured: {json.dumps(text[-2000:])}")
    return TOLD.search(text) is not None
