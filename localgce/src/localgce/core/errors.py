"""Errors as Compute Engine reports them: of a request (status, reason), of an operation (code)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A request was rejected; `as_json` is the body that Compute Engine sends."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        location: str | None = None,
        location_type: str | None = None,
    ) -> None:
        """Name the status, the reason and, where it applies, the field at fault."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location
        self.location_type = location_type

    @property
    def code(self) -> str:
        """The reason as an operation's error writes it: `QUOTA_EXCEEDED` for `quotaExceeded`."""
        return re.sub(r"(?<!^)([A-Z])", r"_\1", self.reason).upper()

    def as_json(self) -> Json:
        """`{"error": {code, message, errors: [{message, domain, reason}]}}`."""
        item = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            item["location"] = self.location
            item["locationType"] = self.location_type or "parameter"
        return {"error": {"code": self.status, "message": self.message, "errors": [item]}}


class OperationError(Exception):
    """Why an operation failed: shown as `error.errors[]` and as `httpErrorStatusCode`."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        """Name the code of the error and the HTTP status that belongs to it."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status

    @property
    def http_message(self) -> str:
        """The status's name as Compute Engine writes it, such as `SERVICE UNAVAILABLE`."""
        try:
            return HTTPStatus(self.http_status).phrase.upper()
        except ValueError:
            return "ERROR"


class MachineError(Exception):
    """A machine or disk operation failed; the message is one line for the API's client."""


def invalid(field: str, value: object, problem: str) -> ApiError:
    """INVALID_FIELD_VALUE of the catalogue of errors."""
    text = f"Invalid value for field '{field}': '{value}'. {problem}"
    return ApiError(400, "invalid", text)


def required(field: str) -> ApiError:
    """MISSING_REQUIRED_FIELD of the catalogue of errors."""
    return ApiError(400, "required", f"Required field '{field}' not specified")


def not_found(path: str) -> ApiError:
    """`path` is project-relative: `projects/p/zones/z/instances/i`."""
    return ApiError(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> ApiError:
    """A resource of that name exists."""
    return ApiError(409, "alreadyExists", f"The resource '{path}' already exists")


def not_ready(path: str) -> ApiError:
    """The resource is busy with another operation."""
    return ApiError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def in_use(path: str, user: str) -> ApiError:
    """Another resource uses it."""
    text = f"The {kind_of(path)} resource '{path}' is already being used by '{user}'"
    return ApiError(400, "resourceInUseByAnotherResource", text)


def kind_of(path: str) -> str:
    """`projects/p/zones/z/disks/d` is a `disk`."""
    return path.split("/")[-2].removesuffix("s")


def condition_not_met(message: str) -> ApiError:
    """412: a fingerprint is not the current one."""
    return ApiError(412, "conditionNotMet", message, location="If-Match", location_type="header")
