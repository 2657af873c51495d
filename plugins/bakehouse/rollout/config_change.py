"""A change of metadata of instances that stay as they are. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.guest.config_changes import metadata_diff
from bakehouse.images.links import attributes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.images.links import Resource


PINNED = "bakehouse-metadata-before"
"""The key under which an instance has the values that it goes back to, until the run has ended."""
AT_BOOT = frozenset({"startup-script", "startup-script-url", "user-data"})
"""Keys that only a boot reads: rendering the files again changes nothing that they did."""


class MetadataChange(Frozen):
    """The keys of a member that get other values; None: the key is absent."""

    before: dict[str, str | None] = Field(description="pinned by the plan, and the way back")
    after: dict[str, str | None]
    begun: bool = Field(default=False, description="an earlier try of this run has set the values")

    @property
    def back(self) -> MetadataChange:
        """The way back."""
        return MetadataChange(before=self.after, after=self.before)

    @property
    def diff(self) -> list[str]:
        """One line for each value; those of keys that look secret are not shown."""
        return metadata_diff(_there(self.before), _there(self.after))

    def values(self, run: str, way: str) -> dict[str, str | None]:
        """Return what the instance gets: the values and, on the way there, what it had before.

        So a plan that is made again in the middle of its run finds the way back on the instance, as
        that of a replacement stands on the new disk.
        """
        pinned = json.dumps({"run": run, "before": self.before}) if way == "forward" else None
        return {**self.after, PINNED: pinned}

    @property
    def keys(self) -> str:
        """The names of the keys."""
        return ", ".join(sorted(self.after))


def change_of(
    instance: Resource, wanted: Mapping[str, str | None], run: str = ""
) -> MetadataChange | None:
    """Return what changes of an instance; None if its metadata are as wanted already.

    What an earlier try of `run` has changed still is a change, from what the instance had before.
    """
    has, pinned = attributes_of(instance), pinned_by(instance, run)
    changed = {key for key in wanted if has.get(key) != wanted[key]} | pinned.keys()
    if not changed:
        return None
    keys = sorted(changed)
    return MetadataChange(
        before={key: pinned[key] if key in pinned else has.get(key) for key in keys},
        after={key: wanted[key] if key in wanted else has.get(key) for key in keys},
        begun=bool(pinned),
    )


def pinned_by(instance: Resource, run: str) -> dict[str, str | None]:
    """Return the values that an instance had before `run` has changed them; none if it has not."""
    try:
        told = json.loads(attributes_of(instance)[PINNED])
        if not run or told["run"] != run:
            return {}
        return {str(key): None if v is None else str(v) for key, v in told["before"].items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def is_pinned(instance: Resource) -> bool:
    """Whether an instance has values that it would go back to, of whatever run."""
    return PINNED in attributes_of(instance)


def is_set(instance: Resource, values: Mapping[str, str | None]) -> bool:
    """Whether an instance has these values."""
    has = attributes_of(instance)
    return all(has.get(key) == value for key, value in values.items())


def with_values(metadata: Mapping[str, Any], values: Mapping[str, str | None]) -> dict[str, Any]:
    """Return metadata with these values, and all others as they are."""
    items = [i for i in metadata.get("items") or [] if i and i.get("key") not in values]
    new = [{"key": key, "value": value} for key, value in values.items() if value is not None]
    return {**metadata, "items": [*items, *new]}


def _there(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
