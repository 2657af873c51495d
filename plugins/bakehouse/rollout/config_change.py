"""A change of metadata of instances that stay as they are. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.guest.config_changes import metadata_diff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.images.links import Resource


class MetadataChange(Frozen):
    """The keys of a member that get other values; None: the key is absent."""

    before: dict[str, str | None] = Field(description="pinned by the plan, and the way back")
    after: dict[str, str | None]

    @property
    def back(self) -> MetadataChange:
        """The way back."""
        return MetadataChange(before=self.after, after=self.before)

    @property
    def diff(self) -> list[str]:
        """One line for each value; those of keys that look secret are not shown."""
        return metadata_diff(_there(self.before), _there(self.after))

    @property
    def keys(self) -> str:
        """The names of the keys."""
        return ", ".join(sorted(self.after))


def change_of(instance: Resource, wanted: Mapping[str, str | None]) -> MetadataChange | None:
    """Return what changes of an instance; None if its metadata are as wanted already."""
    has = _values(instance)
    changed = [key for key in sorted(wanted) if has.get(key) != wanted[key]]
    if not changed:
        return None
    return MetadataChange(
        before={key: has.get(key) for key in changed}, after={key: wanted[key] for key in changed}
    )


def is_set(instance: Resource, values: Mapping[str, str | None]) -> bool:
    """Whether an instance has these values."""
    has = _values(instance)
    return all(has.get(key) == value for key, value in values.items())


def with_values(metadata: Mapping[str, Any], values: Mapping[str, str | None]) -> dict[str, Any]:
    """Return metadata with these values, and all others as they are."""
    items = [i for i in metadata.get("items") or [] if i and i.get("key") not in values]
    new = [{"key": key, "value": value} for key, value in values.items() if value is not None]
    return {**metadata, "items": [*items, *new]}


def _values(instance: Resource) -> dict[str, str]:
    items = (instance.get("metadata") or {}).get("items") or []
    return {str(item["key"]): str(item.get("value", "")) for item in items if item}


def _there(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
