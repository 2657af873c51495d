"""What differs between two images besides their packages and files: values and vars. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.time import format_utc
from bakehouse.pages.answers import ValueChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.pages.answers import ImageRow


def differing_values(old: ImageRow, new: ImageRow) -> tuple[ValueChange, ...]:
    """Return what differs between the rows of two images."""
    before, after = _values(old), _values(new)
    return changes(before, after)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ValueChange, ...]:
    """Return what differs between two maps, in the order of their names there."""
    return tuple(
        ValueChange(name=name, old=before.get(name), new=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def _values(row: ImageRow) -> dict[str, str]:
    values = {
        "commit": f"{row.git_sha[:7]} {row.subject}",
        "base image": row.base_image,
        "baked": format_utc(row.time),
        "reason": row.reason,
        "bake": f"{row.bake_seconds} s",
    }
    if row.boot_seconds is not None:
        values["boot"] = f"{row.boot_seconds:.1f} s"
    if row.size_bytes is not None:
        values["stored size"] = f"{row.size_bytes / 10**6:.0f} MB"
    if row.disk_gb is not None:
        values["disk"] = f"{row.disk_gb} GB"
    if row.packages is not None:
        values["packages"] = str(row.packages)
    return values
