"""From HTTP to handlers and back: all requests of the API pass through `Dispatcher.answer`.

route -> parse query -> validate body -> check project and scope -> faults -> handler -> faults
"""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic
from urllib.parse import parse_qsl
from uuid import UUID

from localgce.core import catalog, errors, permissions
from localgce.core.context import Context
from localgce.core.errors import ApiError, Json
from localgce.core.faults import CALL_KINDS, Rule
from localgce.core.operations import Origin
from localgce.http import fields
from localgce.http.call import Call, Services, request_key, scope_of, subject_of
from localgce.http.schema import drop_nulls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from localgce.core.context import Core
    from localgce.http.call import Handler
    from localgce.http.discovery import Discovery, Method, Parameter
    from localgce.http.schema import Validator

log = logging.getLogger("localgce")
MAX_BODY = 16 << 20
_LENIENT = {
    *("alt", "prettyPrint", "fields", "key", "userIp", "quotaUser", "$.xgafv", "$alt"),
    "returnPartialSuccess",  # gcloud sends it with every list, the document names it for some only
}


@dataclass
class Answer:
    """The answer to a request: a status and a body, or a fault of the connection."""

    status: int
    body: Json | None
    fault: str | None = None  # reset or silence
    pretty: bool = False  # Google's default is true; indentation costs more than everything else

    def encoded(self) -> bytes:
        """The body as bytes."""
        if self.body is None:
            return b""
        return json.dumps(self.body, indent=2 if self.pretty else None).encode()


class Dispatcher(Generic[Services]):
    """Answers requests of the API."""

    def __init__(
        self,
        core: Core,
        discovery: Discovery,
        handlers: Mapping[str, Handler[Services]],
        services: Services,
        *,
        check_responses: bool = False,
    ) -> None:
        """Route to `handlers`, by method id; `check_responses` validates what they return."""
        self._core = core
        self._discovery = discovery
        self._handlers = handlers
        self._services = services
        self._check_responses = check_responses

    async def answer(
        self, http_method: str, path: str, query: str, body: bytes, agent: str = ""
    ) -> Answer:
        """The answer to one request; `path` is what follows `/compute/v1/`, `agent` the client."""
        seen: Json = {"time": self._core.clock.now(), "http": http_method, "path": path}
        seen["agent"] = agent
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
        matched = self._discovery.match(http_method, path)
        if matched is None:
            text = f"Not found: {http_method} /compute/v1/{path}"
            raise ApiError(404, "notFound", text)
        method, bound = matched
        seen["method"] = method.id
        self._core.faults.requests.append(seen)
        handler = self._handlers.get(method.id)
        if handler is None:
            text = f"localgce does not implement {method.id}"
            raise ApiError(501, "notImplemented", text)
        parsed, common = self._query(method, query)
        seen.update(query=parsed, resource=bound.get(method.subject or "", None))
        given = self._body(method, bound, body)
        subject = subject_of(method, bound, given)
        seen["resource"] = subject
        self._check_scope(method, bound)
        seen["permissions"] = permissions.needed(method.id, given, parsed)
        self._check_permissions(method, bound, seen["permissions"], subject)
        mask = self._mask(method, common.get("fields"))
        rules = self._core.faults.for_call(method.id, subject)
        fault = _call_fault(rules, "before")
        if fault is None:
            context = self._context(method, bound, parsed, rules, seen.get("agent", ""))
            cleared = _cleared(body, method)
            call = Call(context, self._services, method, bound, parsed, given, cleared)
            shown = await self._handle(call, handler)
            fault = _call_fault(rules, "after")
        if fault is not None:
            return fault
        pretty = common.get("prettyPrint", "").lower() == "true"
        return Answer(200, fields.keep(mask, shown) if mask else shown, pretty=pretty)

    def _context(
        self,
        method: Method,
        path: dict[str, str],
        query: dict[str, Any],
        rules: list[Rule],
        agent: str,
    ) -> Context:
        request_id = query.get("requestId")
        origin = Origin(
            method.id,
            request_id,
            request_key(method, path, request_id),
            tuple(rule for rule in rules if rule.kind not in CALL_KINDS),
            agent,
        )
        return Context(self._core, path["project"], scope_of(path), origin)

    def _mask(self, method: Method, text: str | None) -> fields.Mask | None:
        if text is None:
            return None
        mask = fields.parse(text)
        unknown = self._discovery.unknown_field(method, mask)
        if unknown is not None:
            raise fields.bad(unknown)
        return mask

    async def _handle(self, call: Call[Services], handler: Handler[Services]) -> Json:
        earlier = self._core.operations.repeated(call.context.origin.request_key)
        if earlier is not None:
            return earlier.body
        with self._core.store.transaction():
            result = handler(call)
        shown: Json = await result if inspect.isawaitable(result) else result
        if self._check_responses:
            validator = self._discovery.response_validator(call.method)
            if validator is not None:
                _check_response(validator, call.method, shown)
        return shown

    def _check_permissions(
        self, method: Method, path: dict[str, str], needed: list[str], subject: str | None
    ) -> None:
        """Raise 403 when a fault denies a permission that the request needs."""
        if not self._core.faults.rules or method.verb == "testIamPermissions":
            return
        where = f"projects/{path['project']}/{scope_of(path)}"
        where = f"{where}/{method.collection}/{subject}" if subject else where
        for permission in needed:
            if self._core.faults.denies(permission):
                raise permissions.forbidden(permission, where)

    def _check_scope(self, method: Method, path: dict[str, str]) -> None:
        project, scope = path["project"], scope_of(path)
        if project not in catalog.PUBLIC_PROJECTS:
            self._core.project_record(project)
        reads = method.http_method == "GET" or method.verb == "testIamPermissions"
        if not reads and project != self._core.settings.project:
            permission = permissions.permission_of(method.id)
            raise permissions.forbidden(permission, f"projects/{project}/{scope}")
        if not catalog.known_scope(scope) and method.resource not in {"zones", "regions"}:
            kind, name = scope.split("/", 1)
            kind = kind.removesuffix("s")
            raise errors.invalid(kind, name, f"Unknown {kind}.")

    def _query(self, method: Method, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        own: dict[str, Any] = {}
        common: dict[str, Any] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            parameter = method.query_parameters.get(name)
            if parameter is not None:
                _add(own, parameter, value)
            elif name in self._discovery.common_parameters or name in _LENIENT:
                common[name] = value
                _check_form(name, value)
            elif name not in method.path_parameters or value:
                # google-cloud-compute repeats `license`, a reserved word of Python, empty
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

    def _body(self, method: Method, path: dict[str, str], raw: bytes) -> Json:
        validator = self._discovery.request_validator(method)
        if validator is None:
            return {}
        body = validator.without_unset(drop_nulls(_json(raw))) if raw.strip() else {}
        if method.verb in {"patch", "update"} and isinstance(body, dict):
            body = _named(method, path, validator.required, body)
        validator.check(body)
        if method.verb == "insert" and validator.has_name and "name" not in body:
            # the document marks it as required for some resources only; Google for all
            raise errors.required("resource.name")
        shown = validator.with_canonical_links(validator.normalise(body), path["project"])
        return validator.without_output_only(shown) if method.verb == "insert" else shown


def _named(method: Method, path: dict[str, str], needed: frozenset[str], body: Json) -> Json:
    """The body with the name that the URL holds, where the document requires it again."""
    if "name" not in needed or method.subject is None:
        return body
    name = path[method.subject]
    if body.get("name", name) != name:
        raise errors.invalid("resource.name", body["name"], f"The URL names '{name}'.")
    return {**body, "name": name}


def _cleared(raw: bytes, method: Method) -> frozenset[str]:
    """The fields that the body sets to null, by dotted path (`a.0.b`): clients clear values so."""
    body = _json(raw) if method.request and raw.strip() else {}
    return frozenset(_nulls(body))


def _nulls(body: Json, path: str = "") -> Iterator[str]:
    for key, value in body.items():
        if value is None:
            yield f"{path}{key}"
        elif isinstance(value, dict):
            yield from _nulls(value, f"{path}{key}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _nulls(item, f"{path}{key}.{index}.")


def _add(found: dict[str, Any], parameter: Parameter, text: str) -> None:
    if text == "" and (parameter.wide or parameter.type != "string"):
        return
    value = parameter.parse(text)
    if parameter.repeated:
        found.setdefault(parameter.name, []).append(value)
    else:
        found[parameter.name] = value


def _check_form(name: str, value: str) -> None:
    """Accept JSON only; google-cloud-compute asks for `json;enum-encoding=int`."""
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


def _check_response(validator: Validator, method: Method, shown: Json) -> None:
    try:
        validator.check(shown)
    except ApiError as error:
        text = f"the answer to {method.id} breaks the discovery document: {error.message}"
        raise AssertionError(text) from None
