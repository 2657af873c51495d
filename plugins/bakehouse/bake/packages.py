"""The manifest that a builder has reported. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.history.manifest import BadManifest, Manifest, Package, decode

if TYPE_CHECKING:
    from bakehouse.cloud.machine_observation import MachineObservation

_KERNEL = re.compile(r"linux-image-(\d\S*)")


def manifest_of(observed: MachineObservation) -> Manifest | None:
    """Return the manifest of serial line or guest attribute; None if neither can be read."""
    for told in (observed.last("manifest"), observed.attributes.get("manifest")):
        if isinstance(told, str):
            try:
                return decode(told)
            except BadManifest:
                continue
    return None


def kernel_of(manifest: Manifest) -> str | None:
    """Return the kernel release that boots: the reported one, else of the newest package."""
    return manifest.files.kernel or _newest_kernel(manifest.packages)


def _newest_kernel(packages: tuple[Package, ...]) -> str | None:
    found = [match[1] for p in packages if (match := _KERNEL.fullmatch(p.name))]
    return max(found, key=_numbers, default=None)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]
