"""The meaning of Compute Engine's errors for a task. Pure; `calls.py` raises them.

Sources: the error catalogue of the Compute Engine reference, and the reasons and operation codes
that its clients handle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bakehouse.core import errors


class Meaning(StrEnum):
    """What a task does after an error."""

    TRANSIENT = "transient"
    BLOCKED = "blocked"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"  # whether it happened: look before acting again


@dataclass(frozen=True)
class Answer:
    """The meaning of one error, with the wait in seconds if blocked."""

    meaning: Meaning
    message: str
    wait: float = 0.0
    zone_unavailable: bool = False  # another zone may have what this one lacks
    reason: str = ""  # Compute Engine's own word for it

    def error(self, doing: str) -> errors.BakehouseError:
        """Return the error to raise; `doing` names the call and its subject."""
        text = f"{doing}: {self.message}"
        if self.meaning is Meaning.BLOCKED:
            return errors.Blocked(text, wait=self.wait)
        if self.meaning is Meaning.PERMANENT:
            return errors.PermanentError(text)
        if self.zone_unavailable:
            return errors.ZoneUnavailable(text, nothing_created=True)
        return errors.TransientError(text)


QUOTA_WAIT = 300.0
RATE_WAIT = 30.0

# The reason decides where there is one, whatever the status.
_BY_REASON: Mapping[str, tuple[Meaning, float]] = {
    "quotaExceeded": (Meaning.BLOCKED, QUOTA_WAIT),
    "rateLimitExceeded": (Meaning.BLOCKED, RATE_WAIT),
    "userRateLimitExceeded": (Meaning.BLOCKED, RATE_WAIT),
    "conditionNotMet": (Meaning.TRANSIENT, 0.0),
    "resourceNotReady": (Meaning.TRANSIENT, 0.0),
    "resourceInUseByAnotherResource": (Meaning.TRANSIENT, 0.0),
    "notImplemented": (Meaning.PERMANENT, 0.0),
}
_BY_STATUS: Mapping[int, tuple[Meaning, float]] = {
    408: (Meaning.UNKNOWN, 0.0),
    409: (Meaning.TRANSIENT, 0.0),
    412: (Meaning.TRANSIENT, 0.0),
    429: (Meaning.BLOCKED, RATE_WAIT),
    501: (Meaning.PERMANENT, 0.0),
}
_BY_CODE: Mapping[str, tuple[Meaning, float]] = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": (Meaning.TRANSIENT, 0.0),
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": (Meaning.TRANSIENT, 0.0),
    "STOCKOUT": (Meaning.TRANSIENT, 0.0),
    "RESOURCE_POOL_EXHAUSTED": (Meaning.TRANSIENT, 0.0),
    "QUOTA_EXCEEDED": (Meaning.BLOCKED, QUOTA_WAIT),
    "RATE_LIMIT_EXCEEDED": (Meaning.BLOCKED, RATE_WAIT),
    "RESOURCE_OPERATION_RATE_EXCEEDED": (Meaning.BLOCKED, RATE_WAIT),
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": (Meaning.TRANSIENT, 0.0),
    "RESOURCE_NOT_READY": (Meaning.TRANSIENT, 0.0),
    "CONDITION_NOT_MET": (Meaning.TRANSIENT, 0.0),
    # the next try looks who has the name: this run, another, or nobody any more
    "RESOURCE_ALREADY_EXISTS": (Meaning.TRANSIENT, 0.0),
    "ALREADY_EXISTS": (Meaning.TRANSIENT, 0.0),
    "INTERNAL_ERROR": (Meaning.TRANSIENT, 0.0),
    "BACKEND_ERROR": (Meaning.TRANSIENT, 0.0),
    "SERVICE_UNAVAILABLE": (Meaning.TRANSIENT, 0.0),
}
_NOT_FOUND = frozenset({"RESOURCE_NOT_FOUND", "NOT_FOUND"})
_ZONE_UNAVAILABLE = ("POOL_EXHAUSTED", "STOCKOUT", "does not have enough resources available")


def of_status(status: int, reason: str, message: str) -> Answer:
    """Return the meaning of an HTTP error."""
    default = (Meaning.UNKNOWN, 0.0) if status >= 500 else (Meaning.PERMANENT, 0.0)
    next_, wait = _BY_REASON.get(reason) or _BY_STATUS.get(status) or default
    label = f"HTTP {status} {reason}".rstrip()
    zone_unavailable = any(word in f"{reason} {message}" for word in _ZONE_UNAVAILABLE)
    if zone_unavailable:
        next_ = (
            Meaning.TRANSIENT
        )  # a 503 as well: refused, so nothing was made and nothing to look for
    return Answer(next_, f"{message} ({label})", wait, zone_unavailable, reason)


def of_body(status: int, body: Mapping[str, Any]) -> Answer:
    """Return the meaning of the JSON body `{"error": {"message", "errors": [{"reason"}]}}`."""
    error = body.get("error")
    found: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    details = found.get("errors") or [{}]
    return of_status(
        status, str(details[0].get("reason", "")), str(found.get("message", "no message"))
    )


def of_operation(operation: Mapping[str, Any]) -> Answer | None:
    """Return why a DONE operation failed; None if it succeeded.

    Both places count: `error.errors[]` and `httpErrorStatusCode` (clients disagree on which one).
    """
    found: Sequence[Mapping[str, Any]] = (operation.get("error") or {}).get("errors") or []
    status = int(operation.get("httpErrorStatusCode") or 0)
    if not found and status < 400:
        return None
    first = found[0] if found else {"code": "", "message": operation.get("httpErrorMessage", "")}
    code, message = str(first.get("code", "")), str(first.get("message", ""))
    if operation.get("operationType") == "delete" and (code in _NOT_FOUND or status == 404):
        return None  # somebody else was faster
    if code in _BY_CODE:
        next_, wait = _BY_CODE[code]
    else:
        known = of_status(status or 400, "", message)
        # The operation has ended: whether it happened is known, nothing is left to look for.
        next_, wait = (
            (Meaning.TRANSIENT if known.meaning is Meaning.UNKNOWN else known.meaning),
            known.wait,
        )
    zone_unavailable = any(word in f"{code} {message}" for word in _ZONE_UNAVAILABLE)
    return Answer(next_, f"{message} ({code or status})", wait, zone_unavailable, code)
