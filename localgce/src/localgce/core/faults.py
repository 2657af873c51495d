"""Fault injection for tests of clients: which request fails, when, and how.

A rule (JSON, see README.md) has `method` (a glob over ids such as `compute.instances.*`),
`resource` (a glob over names), `nth` (the first request it applies to, from 1), `times` (how many
from there), `kind`, and the fields of that kind. With `since` (a glob over ids) the requests before
the first one of such a method do not count.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from math import inf
from typing import Any

from localgce.core.errors import ApiError, Json, OperationError
from localgce.core.request_log import RequestLog

CALL_KINDS = {"http", "reset", "silence"}
OPERATION_KINDS = {"operation", "slow", "stuck"}
MACHINE_KINDS = {"kill", "preempt", "freeze", "thaw", "host_error"}
STATE_KINDS = {"deny_guest_attributes", "deny_permission", "enforce_org_policy"}
KINDS = CALL_KINDS | OPERATION_KINDS | MACHINE_KINDS | STATE_KINDS

_RANGES = {
    "nth": (1, 1_000_000),
    "times": (1, 1_000_000),
    "status": (400, 599),
    "seconds": (0, 86_400),
}
_REASONS = {
    400: "badRequest",
    403: "forbidden",
    404: "notFound",
    409: "alreadyExists",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    502: "backendError",
    503: "backendError",
}


@dataclass
class Rule:
    """One fault; `seen` and `hits` count, `begun` says that `since` has come about."""

    id: str
    kind: str
    method: str = "*"
    resource: str = "*"
    since: str = ""
    nth: int = 1
    times: int = 1
    when: str = "before"  # or "after": the effect happens, then the fault
    status: int = 503
    reason: str = ""
    code: str = "INTERNAL_ERROR"
    message: str = ""
    seconds: float = 0.0
    instance: str = ""
    permission: str = ""  # of deny_permission: a glob over permissions
    constraint: str = ""  # of enforce_org_policy: such as constraints/compute.requireOsLogin
    begun: bool = False
    seen: int = 0
    hits: int = 0

    @classmethod
    def of(cls, number: str, raw: Json) -> Rule:
        """Parse JSON; raises ApiError 400 that names the mistake."""
        allowed = set(cls.__dataclass_fields__) - {"id", "begun", "seen", "hits"}
        unknown = sorted(set(raw) - allowed)
        if unknown:
            raise ApiError(400, "invalid", f"a fault knows no {unknown[0]!r}: {sorted(allowed)}")
        if raw.get("kind") not in KINDS:
            raise ApiError(400, "invalid", f"kind must be one of {sorted(KINDS)}")
        if raw.get("when", "before") not in {"before", "after"}:
            raise ApiError(400, "invalid", "when must be before or after")
        for name, value in raw.items():
            _check_type(name, value)
        return cls(id=number, **raw)

    def call_error(self) -> ApiError:
        """The response of an `http` rule."""
        reason = self.reason or _REASONS.get(self.status, "backendError")
        return ApiError(self.status, reason, self.message or f"{reason} (a fault asked for)")

    def operation_error(self) -> OperationError:
        """The failure of an `operation` rule."""
        text = self.message or f"{self.code} (a fault asked for)"
        return OperationError(self.code, text, self.status)

    def counts(self, method: str, resource: str | None) -> bool:
        """Count a request; returns whether the rule applies to it."""
        if self.since and not self.begun:
            self.begun = fnmatchcase(method, self.since)
            return False
        if not (fnmatchcase(method, self.method) and fnmatchcase(resource or "", self.resource)):
            return False
        self.seen += 1
        hit = self.nth <= self.seen < self.nth + self.times
        self.hits += hit
        return hit


def _check_type(name: str, value: Any) -> None:
    expected: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("nth", "times", "status"), int),
        "seconds": (int, float),
    }
    if not isinstance(value, expected.get(name, str)) or isinstance(value, bool):
        raise ApiError(400, "invalid", f"{name} cannot be {value!r}")
    least, most = _RANGES.get(name, (-inf, inf))
    if isinstance(value, (int, float)) and not least <= value <= most:
        raise ApiError(400, "invalid", f"{name} must be {least} to {most}, not {value!r}")


@dataclass
class Faults:
    """The current rules, and the log of requests."""

    rules: list[Rule] = field(default_factory=list)
    requests: RequestLog = field(default_factory=RequestLog)
    cleared: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, raw: Json) -> Rule:
        """Add a rule; raises ApiError when it is invalid."""
        rule = Rule.of(str(next(self._numbers)), raw)
        if rule.kind not in MACHINE_KINDS:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules; operations that they hold continue."""
        self.rules.clear()
        self.cleared.set()
        self.cleared = asyncio.Event()

    def for_call(self, method: str, resource: str | None) -> list[Rule]:
        """The rules that apply to this request; counts the request."""
        callable_kinds = CALL_KINDS | OPERATION_KINDS
        matching = [rule for rule in self.rules if rule.kind in callable_kinds]
        return [rule for rule in matching if rule.counts(method, resource)]

    def denies_guest_attributes(self, name: str, status: str) -> bool:
        """Whether a rule withholds the guest attributes of a stopped instance."""
        return status != "RUNNING" and any(
            rule.kind == "deny_guest_attributes" and fnmatchcase(name, rule.resource)
            for rule in self.rules
        )

    def denies(self, permission: str) -> bool:
        """Whether a rule takes the permission away from every caller."""
        return any(
            rule.kind == "deny_permission" and fnmatchcase(permission, rule.permission)
            for rule in self.rules
        )

    def enforces(self, constraint: str) -> bool:
        """Whether a rule enforces a boolean constraint of the organization policies."""
        return any(
            rule.kind == "enforce_org_policy" and rule.constraint == constraint
            for rule in self.rules
        )

    def as_json(self) -> Json:
        """The body of `GET /_localgce/faults`."""
        return {"faults": [asdict(rule) for rule in self.rules]}
