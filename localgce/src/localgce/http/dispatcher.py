"""From HTTP to handlers and back: one way in for every call of the API.

route -> check project and scope -> parse query -> check body -> faults -> handler -> faults
"""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from localgce import errors
from localgce.control.faults import CALL_KINDS, Rule
from localgce.errors import ApiError, Json
from localgce.http import fields, handlers
from localgce.http.call import Call
from localgce.http.discovery import Method, Parameter
from localgce.http.schema import drop_nulls
from localgce.resources import catalog
from localgce.service import Service

log = logging.getLogger("localgce")
MAX_BODY = 16 << 20
_LENIENT = {
    *("alt", "prettyPrint", "fields", "key", "userIp", "quotaUser", "$.xgafv", "$alt"),
    "returnPartialSuccess",  # gcloud sends it to every list, the document names it for some only
}


@dataclass
class Answer:
    """What goes back: a status and a body, or a fault of the connection."""

    status: int
    body: Json | None
    fault: str | None = None  # reset or silence
    pretty: bool = False  # Google's default is true; indenting costs more than all the rest

    def encoded(self) -> bytes:
        """The body as bytes."""
        if self.body is None:
            return b""
        return json.dumps(self.body, indent=2 if self.pretty else None).encode()


class Dispatcher:
    """Answers calls of the API."""

    def __init__(self, service: Service, *, check_responses: bool = False) -> None:
        self._service = service
        self._check_responses = check_responses
        self._handlers = {name: handlers.handler(name) for name in service.discovery.methods}

    async def answer(self, http_method: str, path: str, query: str, body: bytes) -> Answer:
        """The answer to one call; `path` is what follows `/compute/v1/`."""
        seen: Json = {"time": self._service.clock.now(), "http": http_method, "path": path}
        try:
            answer = await self._answer(http_method, path, query, body, seen)
        except ApiError as error:
            answer = Answer(error.status, error.as_json())
        except Exception as error:
            log.exception("%s %s failed", http_method, path)
            text = f"Internal error in localgce: {type(error).__name__}: {error}"
            answer = Answer(500, ApiError(500, "internalError", text).as_json())
        seen["status"] = answer.fault or answer.status
        return answer

    async def _answer(
        self, http_method: str, path: str, query: str, body: bytes, seen: Json
    ) -> Answer:
        service = self._service
        matched = service.discovery.match(http_method, path)
        if matched is None:
            text = f"Not found: {http_method} /compute/v1/{path}"
            raise ApiError(404, "notFound", text)
        method, bound = matched
        seen["method"] = method.id
        service.faults.requests.append(seen)
        handler = self._handlers[method.id]
        if handler is None:
            text = f"localgce does not implement {method.id}"
            raise ApiError(501, "notImplemented", text)
        parsed, common = self._query(method, query)
        seen.update(query=parsed, resource=bound.get(method.subject or "", None))
        given = self._body(method, body)
        call = Call(service, method, bound, parsed, given, _cleared(body, method))
        seen["resource"] = call.subject
        self._check_scope(call)
        mask = self._mask(method, common.get("fields"))
        rules = service.faults.for_call(method.id, call.subject)
        fault = _call_fault(rules, "before")
        if fault is None:
            call.faults = [rule for rule in rules if rule.kind not in CALL_KINDS]
            shown = await self._effect(call, handler)
            fault = _call_fault(rules, "after")
        if fault is not None:
            return fault
        pretty = common.get("prettyPrint", "").lower() == "true"
        return Answer(200, fields.keep(mask, shown) if mask else shown, pretty=pretty)

    def _mask(self, method: Method, text: str | None) -> fields.Mask | None:
        if text is None:
            return None
        mask = fields.parse(text)
        unknown = self._service.discovery.unknown_field(method, mask)
        if unknown is not None:
            raise fields.bad(unknown)
        return mask

    async def _effect(self, call: Call, handler: handlers.Handler) -> Json:
        earlier = call.service.operations.repeated(call)
        if earlier is not None:
            return earlier.body
        with call.service.store.transaction():
            result = handler(call)
        shown: Json = await result if inspect.isawaitable(result) else result
        if self._check_responses:
            validator = call.service.discovery.response_validator(call.method)
            if validator is not None:
                _check_response(validator, call.method, shown)
        return shown

    def _check_scope(self, call: Call) -> None:
        call.service.check_project(call.project)
        if call.method.http_method != "GET" and call.project != call.service.settings.project:
            raise _forbidden(call)
        if not catalog.known_scope(call.scope) and call.method.resource not in {"zones", "regions"}:
            kind, name = call.scope.split("/", 1)
            kind = kind.removesuffix("s")
            raise errors.invalid(kind, name, f"Unknown {kind}.")

    def _query(self, method: Method, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        own: dict[str, Any] = {}
        common: dict[str, Any] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            parameter = method.query_parameters.get(name)
            if parameter is not None:
                _add(own, parameter, value)
            elif name in self._service.discovery.common_parameters or name in _LENIENT:
                common[name] = value
                _check_form(name, value)
            else:
                message = (
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                )
                raise ApiError(400, "badRequest", f"{message}parameter. Field could not be found.")
        for parameter in method.query_parameters.values():
            if parameter.required and parameter.name not in own:
                raise errors.required(parameter.name)
        if "requestId" in own:
            _check_request_id(own["requestId"])
        return own, common

    def _body(self, method: Method, raw: bytes) -> Json:
        validator = self._service.discovery.request_validator(method)
        if validator is None:
            return {}
        body = drop_nulls(_json(raw)) if raw.strip() else {}
        validator.check(body)
        shown = validator.normalise(body)
        return validator.without_output_only(shown) if method.verb == "insert" else shown


def _forbidden(call: Call) -> ApiError:
    """The public projects are everybody's to read."""
    verb = {"insert": "create"}.get(call.method.verb, call.method.verb)
    permission = f"compute.{call.method.resource}.{verb}"
    where = "/".join(filter(None, (f"projects/{call.project}", call.scope)))
    text = f"Required '{permission}' permission for '{where}'"
    return ApiError(403, "forbidden", text)


def _cleared(raw: bytes, method: Method) -> frozenset[str]:
    """Fields that the body names with a null: how clients take a value away."""
    body = _json(raw) if method.request and raw.strip() else {}
    return frozenset(key for key, value in body.items() if value is None)


def _add(found: dict[str, Any], parameter: Parameter, text: str) -> None:
    if text == "" and (parameter.wide or parameter.type != "string"):
        return
    value = parameter.parse(text)
    if parameter.repeated:
        found.setdefault(parameter.name, []).append(value)
    else:
        found[parameter.name] = value


def _check_form(name: str, value: str) -> None:
    """Only JSON is answered; google-cloud-compute says `json;enum-encoding=int`."""
    if name in {"alt", "$alt"} and value.partition(";")[0] not in {"", "json"}:
        text = f"Invalid value for field '{name}': '{value}'. Must be one of: json."
        raise ApiError(400, "invalidParameter", text, location=name)


def _check_request_id(text: str) -> None:
    try:
        number = UUID(text).int
    except ValueError:
        number = 0
    if number == 0:
        raise errors.invalid("requestId", text, "Must be a valid UUID that is not zero.")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        text = "Invalid JSON payload received. Unexpected token."
        raise ApiError(400, "parseError", text) from None


def _call_fault(rules: list[Rule], when: str) -> Answer | None:
    for rule in rules:
        if rule.kind in CALL_KINDS and rule.when == when:
            if rule.kind == "http":
                error = rule.call_error()
                return Answer(error.status, error.as_json())
            return Answer(0, None, fault=rule.kind)
    return None


def _check_response(validator: Any, method: Method, shown: Json) -> None:
    try:
        validator.check(shown)
    except ApiError as error:
        text = f"the answer to {method.id} breaks the discovery document: {error.message}"
        raise AssertionError(text) from None
