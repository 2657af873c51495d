"""What a builder has told about the packages of its disk. Pure."""

from __future__ import annotations

import re

from bakehouse.cloud.facts import Facts
from bakehouse.history.manifest import BadManifest, Package, decode

_KERNEL = re.compile(r"linux-image-(\d\S*)")


def packages_of(facts: Facts) -> tuple[Package, ...] | None:
    """Told by serial line or guest attribute; None when neither can be read."""
    for told in (facts.last("manifest"), facts.attributes.get("manifest")):
        if isinstance(told, str):
            try:
                return decode(told)
            except BadManifest:
                continue
    return None


def kernel_of(packages: tuple[Package, ...]) -> str | None:
    """The release of the newest kernel package, such as 6.1.0-41-cloud-amd64."""
    found = [match[1] for p in packages if (match := _KERNEL.fullmatch(p.name))]
    return max(found, key=_numbers, default=None)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]
