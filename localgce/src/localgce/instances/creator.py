"""Which managed instance group has made an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.core.store import Record


def creator_of(instance: Record) -> str | None:
    """The path of the group that looks after an instance; None for one that nobody's group made.

    Source: the metadata `created-by`.
    """
    items = instance.body["metadata"].get("items", [])
    return next((item.get("value", "") for item in items if item["key"] == "created-by"), None)
