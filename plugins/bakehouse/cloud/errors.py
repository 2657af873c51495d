"""What an error of Compute Engine means for the step that met it. Pure; `hook.py` raises it.

Sources: the error catalogue of the Compute Engine reference, and the reasons and operation codes
that its clients handle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bakehouse.core import errors


class Next(StrEnum):
    """What a step does after an error."""

    TRY_AGAIN = "try_again"
    NOT_NOW = "not_now"
    STOP = "stop"
    LOOK = "look"  # whether it happened is unknown: look before acting again


@dataclass(frozen=True)
class Answer:
    """The meaning of one error: what to do, and after how many seconds when blocked."""

    next: Next
    message: str
    wait: float = 0.0
    elsewhere: bool = False  # another zone may have what this one lacks
    reason: str = ""  # Compute Engine's own word for it

    def error(self, doing: str) -> errors.TransientError | errors.PermanentError:
        """The exception to raise; `doing` names the call and its subject."""
        text = f"{doing}: {self.message}"
        if self.next is Next.NOT_NOW:
            return errors.Blocked(text, wait=self.wait)
        if self.next is Next.STOP:
            return errors.PermanentError(text)
        return errors.ZoneExhausted(text) if self.elsewhere else errors.TransientError(text)


QUOTA_WAIT = 300.0
RATE_WAIT = 30.0

# The reason decides where there is one, whatever the status.
_BY_REASON: Mapping[str, tuple[Next, float]] = {
    "quotaExceeded": (Next.NOT_NOW, QUOTA_WAIT),
    "rateLimitExceeded": (Next.NOT_NOW, RATE_WAIT),
    "userRateLimitExceeded": (Next.NOT_NOW, RATE_WAIT),
    "conditionNotMet": (Next.TRY_AGAIN, 0.0),
    "resourceNotReady": (Next.TRY_AGAIN, 0.0),
    "resourceInUseByAnotherResource": (Next.TRY_AGAIN, 0.0),
    "notImplemented": (Next.STOP, 0.0),
}
_BY_STATUS: Mapping[int, tuple[Next, float]] = {
    408: (Next.LOOK, 0.0),
    409: (Next.TRY_AGAIN, 0.0),
    412: (Next.TRY_AGAIN, 0.0),
    429: (Next.NOT_NOW, RATE_WAIT),
    501: (Next.STOP, 0.0),
}
_BY_CODE: Mapping[str, tuple[Next, float]] = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": (Next.TRY_AGAIN, 0.0),
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": (Next.TRY_AGAIN, 0.0),
    "STOCKOUT": (Next.TRY_AGAIN, 0.0),
    "RESOURCE_POOL_EXHAUSTED": (Next.TRY_AGAIN, 0.0),
    "QUOTA_EXCEEDED": (Next.NOT_NOW, QUOTA_WAIT),
    "RATE_LIMIT_EXCEEDED": (Next.NOT_NOW, RATE_WAIT),
    "RESOURCE_OPERATION_RATE_EXCEEDED": (Next.NOT_NOW, RATE_WAIT),
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": (Next.TRY_AGAIN, 0.0),
    "RESOURCE_NOT_READY": (Next.TRY_AGAIN, 0.0),
    "CONDITION_NOT_MET": (Next.TRY_AGAIN, 0.0),
    "INTERNAL_ERROR": (Next.TRY_AGAIN, 0.0),
    "BACKEND_ERROR": (Next.TRY_AGAIN, 0.0),
    "SERVICE_UNAVAILABLE": (Next.TRY_AGAIN, 0.0),
}
_ELSEWHERE = ("POOL_EXHAUSTED", "STOCKOUT", "does not have enough resources available")


def of_status(status: int, reason: str, message: str) -> Answer:
    """The meaning of an HTTP answer that is an error."""
    default = (Next.LOOK, 0.0) if status >= 500 else (Next.STOP, 0.0)
    next_, wait = _BY_REASON.get(reason) or _BY_STATUS.get(status) or default
    label = f"HTTP {status} {reason}".rstrip()
    elsewhere = any(word in f"{reason} {message}" for word in _ELSEWHERE)
    if elsewhere:
        next_ = (
            Next.TRY_AGAIN
        )  # a 503 as well: refused, so nothing was made and nothing to look for
    return Answer(next_, f"{message} ({label})", wait, elsewhere, reason)


def of_body(status: int, body: Mapping[str, Any]) -> Answer:
    """The same from the JSON body `{"error": {"message", "errors": [{"reason"}]}}`."""
    error = body.get("error")
    found: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    details = found.get("errors") or [{}]
    return of_status(
        status, str(details[0].get("reason", "")), str(found.get("message", "no message"))
    )


def of_operation(operation: Mapping[str, Any]) -> Answer | None:
    """Why a DONE operation failed, or None when it succeeded.

    Both places count: `error.errors[]` and `httpErrorStatusCode` (clients disagree on which one).
    """
    found: Sequence[Mapping[str, Any]] = (operation.get("error") or {}).get("errors") or []
    status = int(operation.get("httpErrorStatusCode") or 0)
    if not found and status < 400:
        return None
    first = found[0] if found else {"code": "", "message": operation.get("httpErrorMessage", "")}
    code, message = str(first.get("code", "")), str(first.get("message", ""))
    if code in _BY_CODE:
        next_, wait = _BY_CODE[code]
    else:
        known = of_status(status or 400, "", message)
        # The operation has ended: whether it happened is known, nothing is left to look for.
        next_, wait = (Next.TRY_AGAIN if known.next is Next.LOOK else known.next), known.wait
    elsewhere = any(word in f"{code} {message}" for word in _ELSEWHERE)
    return Answer(next_, f"{message} ({code or status})", wait, elsewhere, code)
