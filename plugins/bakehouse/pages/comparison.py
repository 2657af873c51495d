"""What differs between the rows of two images, which have neither packages nor files. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.time import format_utc
from bakehouse.history.comparison import changes

if TYPE_CHECKING:
    from bakehouse.history.comparison import ValueChange
    from bakehouse.pages.answers import ImageRow


def differing_values(old: ImageRow, new: ImageRow) -> tuple[ValueChange, ...]:
    """Return what differs between the rows of two images."""
    return changes(_values(old), _values(new))


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
