"""Guest attributes: values that a guest publishes, by namespace and key."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from localgce.core.store import Record
from localgce.metadata.tree import attributes

if TYPE_CHECKING:
    from localgce.core.context import Core

NAME = re.compile(r"^[A-Za-z0-9_-]{1,128}\Z")
VALUE_BYTES = 256 * 1024
_PER_MINUTE = 10
_PER_SECOND = 3


class GuestAttributes:
    """All instances' attributes and their rate limits.

    Documented: at most 10 queries a minute and 3 a second for each VM; Compute Engine may drop
    further values. localgce always drops them, so that clients cannot depend on the difference.
    The limit per minute is a token bucket: after a quiet minute a burst is allowed.
    """

    def __init__(self, core: Core) -> None:
        """Start with full rate limits."""
        self._core = core
        self._tokens: dict[str, tuple[float, float]] = {}
        self._recent: dict[str, deque[float]] = {}

    def enabled(self, instance: Record) -> bool:
        """Whether `enable-guest-attributes` is TRUE, of the instance or else of the project."""
        own = attributes(instance.body.get("metadata", {}))
        project = self._core.project_record(instance.project)
        common = attributes(project.body["commonInstanceMetadata"])
        return {**common, **own}.get("enable-guest-attributes", "").upper() in {"TRUE", "1", "Y"}

    def all(self, instance: Record) -> dict[str, dict[str, str]]:
        """Values by namespace and key."""
        record = self._record(instance)
        found: dict[str, dict[str, str]] = record.body["values"] if record else {}
        return found

    def put(self, instance: Record, namespace: str, key: str, value: str) -> bool:
        """Write a value; False when the rate limit dropped it."""
        if not self._allowed(instance.id):
            return False
        values = {name: dict(keys) for name, keys in self.all(instance).items()}
        values.setdefault(namespace, {})[key] = value
        self._save(instance, values)
        return True

    def delete(self, instance: Record, namespace: str, key: str | None) -> bool:
        """Delete a key or a whole namespace; False when it does not exist."""
        values = {name: dict(keys) for name, keys in self.all(instance).items()}
        if namespace not in values or (key is not None and key not in values[namespace]):
            return False
        if key is not None:
            del values[namespace][key]
        if key is None or not values[namespace]:
            del values[namespace]
        self._save(instance, values)
        return True

    def forget(self, instance: Record) -> None:
        """Delete the attributes of a deleted instance."""
        record = self._record(instance)
        if record is not None:
            self._core.store.delete(record)
        self._tokens.pop(instance.id, None)
        self._recent.pop(instance.id, None)

    def _record(self, instance: Record) -> Record | None:
        return self._core.store.get("_guestAttributes", instance.project, "", instance.id)

    def _save(self, instance: Record, values: dict[str, dict[str, str]]) -> None:
        body = {"id": f"guest-{instance.id}", "values": values}
        self._core.store.put(Record("_guestAttributes", instance.project, "", instance.id, body))
        self._core.changes.notify(f"guest-attributes/{instance.id}")

    def _allowed(self, instance_id: str) -> bool:
        now = self._core.clock.now()
        tokens, last = self._tokens.get(instance_id, (float(_PER_MINUTE), now))
        tokens = min(float(_PER_MINUTE), tokens + (now - last) * _PER_MINUTE / 60)
        recent = self._recent.setdefault(instance_id, deque(maxlen=_PER_SECOND))
        if tokens < 1 or (len(recent) == _PER_SECOND and now - recent[0] < 1):
            self._tokens[instance_id] = (tokens, now)
            return False
        recent.append(now)
        self._tokens[instance_id] = (tokens - 1, now)
        return True
