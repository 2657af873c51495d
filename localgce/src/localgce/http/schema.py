"""Discovery schemas as JSON schemas, compiled when first used; errors carry the field's path.

Google's JSON is more lenient than JSON schema: nulls count as absent, 64-bit numbers are strings or
numbers, fields that only the server sets are ignored. `Validator.normalise` converts a request to
one form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fastjsonschema

from localgce.core import links
from localgce.core.errors import ApiError, Json, invalid, required

if TYPE_CHECKING:
    from collections.abc import Callable

    from localgce.http.fields import Mask

_INT = r"^-?[0-9]{1,20}$"
_WIDE = {"int64", "uint64"}
_SAYS_URL = re.compile(r"\bUR[LI]s?\b")
_NAMED_ONLY = frozenset({"diskType", "network", "source", "sourceDisk", "subnetwork", "type"})
"""Links whose descriptions do not say so everywhere."""
_TEXTS = frozenset({"description", "headerName", "host", "hosts", "name", "path", "value"})
"""What is no link, though its description speaks of one."""


def references(raw: dict[str, Json]) -> frozenset[str]:
    """The names of fields that hold links: the document says it in their descriptions only."""
    return _NAMED_ONLY | {
        name
        for schema in raw.values()
        for name, field in schema.get("properties", {}).items()
        if name not in _TEXTS and _is_text(field) and _SAYS_URL.search(field.get("description", ""))
    }


def _is_text(schema: Json) -> bool:
    one = schema.get("items", {}) if schema.get("type") == "array" else schema
    return one.get("type") == "string" and "enum" not in one


class Schemas:
    """All schemas of the document; validators are compiled on first use and cached."""

    def __init__(self, raw: dict[str, Json]) -> None:
        """Use the `schemas` of the document."""
        self._raw = raw
        self._references = references(raw)
        self._requests: dict[tuple[str, str], Validator] = {}
        self._responses: dict[str, Validator] = {}

    def request(self, name: str, method_id: str) -> Validator:
        """The validator of a request body, with the fields that this method requires."""
        key = (name, method_id)
        if key not in self._requests:
            self._requests[key] = Validator(self._raw, name, _request(method_id), self._references)
        return self._requests[key]

    def response(self, name: str) -> Validator:
        """The validator of a response: 64-bit integers must be strings."""
        if name not in self._responses:
            self._responses[name] = Validator(self._raw, name, _RESPONSE, frozenset())
        return self._responses[name]

    def unknown(self, name: str, mask: Mask) -> str | None:
        """The path of the mask's first name that the schema does not have."""
        return _unknown(self._raw, {"$ref": name}, mask)


def _unknown(raw: dict[str, Json], schema: Json, mask: Mask) -> str | None:
    while "items" in schema or "$ref" in schema:
        schema = raw[schema["$ref"]] if "$ref" in schema else schema["items"]
    extra = schema if schema.get("type") == "any" else schema.get("additionalProperties")
    properties = schema.get("properties", {})
    for name, inner in mask.items():
        known = extra if name == "*" else properties.get(name, extra)
        if known is None and name != "*":
            return name
        deeper = _unknown(raw, known, inner) if known is not None and inner else None
        if deeper is not None:
            return f"{name}/{deeper}"
    return None


@dataclass(frozen=True)
class _Rules:
    """How scalars are written, and which method's required fields are required."""

    narrow_integer: Json
    wide_integer: Json
    method_id: str | None = None

    def integer(self, wide: bool) -> Json:
        return self.wide_integer if wide else self.narrow_integer

    def requires(self, schema: Json) -> bool:
        needed_by: list[str] = schema.get("annotations", {}).get("required", [])
        return self.method_id is not None and self.method_id in needed_by


_LENIENT_INTEGER: Json = {"type": ["integer", "string"], "pattern": _INT}
_RESPONSE = _Rules({"type": "integer"}, {"type": "string", "pattern": _INT})


def _request(method_id: str) -> _Rules:
    return _Rules(_LENIENT_INTEGER, _LENIENT_INTEGER, method_id)


class Validator:
    """One schema, with all that it refers to."""

    def __init__(
        self, raw: dict[str, Json], name: str, rules: _Rules, link_names: frozenset[str]
    ) -> None:
        """Compile the schema; `link_names` are the names of the fields that hold links."""
        self._raw = raw
        self._link_names = link_names
        self._name = name
        properties = raw[name].get("properties", {})
        self.has_name = "name" in properties
        self.required = frozenset(n for n, value in properties.items() if rules.requires(value))
        definitions = {n: _convert(raw[n], rules) for n in _closure(raw, name)}
        schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
        self._check: Callable[..., Any] = fastjsonschema.compile(
            schema, use_default=False, use_formats=False
        )

    def check(self, body: Any) -> None:
        """Raises the 400 that names the field, `resource.disks[0].mode`."""
        try:
            self._check(body, name_prefix="resource")
        except fastjsonschema.JsonSchemaValueException as error:
            raise _as_api_error(error) from None

    def without_unset(self, body: Any) -> Any:
        """The body without empty enums and links: clients write "" for unset (Terraform does)."""
        return self._without_unset(self._raw[self._name], body)

    def _without_unset(self, schema: Json, value: Any) -> Any:
        if "$ref" in schema:
            schema = self._raw[schema["$ref"]]
        if isinstance(value, list):
            inner = schema.get("items", {})
            return [self._without_unset(inner, item) for item in value]
        if not isinstance(value, dict):
            return value
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
        return {
            name: self._without_unset(properties.get(name, extra), item)
            for name, item in value.items()
            if item != "" or not self._may_be_unset(name, properties.get(name, {}))
        }

    def _may_be_unset(self, name: str, schema: Json) -> bool:
        return "enum" in schema or (schema.get("type") == "string" and name in self._link_names)

    def with_canonical_links(self, body: Json, project: str) -> Json:
        """The body with its links as Compute Engine stores them, whatever base they came with."""
        shown: Json = self._canonical(body, "", project)
        return shown

    def _canonical(self, value: Any, name: str, project: str) -> Any:
        if isinstance(value, dict):
            return {key: self._canonical(item, key, project) for key, item in value.items()}
        if isinstance(value, list):
            return [self._canonical(item, name, project) for item in value]
        if isinstance(value, str) and name in self._link_names:
            return links.canonical(value, project)
        return value

    def normalise(self, body: Json) -> Json:
        """The checked body with 64-bit integers as strings and the others as numbers."""
        return _normalise_object(self._raw, self._raw[self._name], body)

    def without_output_only(self, body: Json) -> Json:
        """The body of an insert without what only the server sets.

        Only at the top: the document also marks some nested fields that clients do set.
        """
        properties = self._raw[self._name]["properties"]
        return {k: v for k, v in body.items() if not properties.get(k, {}).get("readOnly")}


def drop_nulls(value: Any) -> Any:
    """Nulls count as absent, in lists too (Packer sends them in metadata items)."""
    if isinstance(value, dict):
        return {k: drop_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [drop_nulls(v) for v in value if v is not None]
    return value


def _closure(raw: dict[str, Json], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop()
        if current in found:
            continue
        found.add(current)
        todo.extend(_refs(raw[current]))
    return found


def _refs(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _refs(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for value in schema.values() for name in _refs(value)]


def _convert(schema: Json, rules: _Rules) -> Json:
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    kind = schema.get("type")
    if kind == "object":
        return _convert_object(schema, rules)
    if kind == "array":
        return {"type": "array", "items": _convert(schema["items"], rules)}
    if kind == "boolean":
        return {"type": "boolean"}
    if kind in {"integer", "string"} and schema.get("format") in {*_WIDE, "int32", "uint32"}:
        return rules.integer(schema["format"] in _WIDE)
    if kind == "number":
        return {"type": "number"}
    return _convert_string(schema) if kind == "string" else {}


def _convert_string(schema: Json) -> Json:
    converted: Json = {"type": "string"}
    if "pattern" in schema:
        converted["pattern"] = f"^(?:{schema['pattern']})\\Z"
    if "enum" in schema:
        converted["enum"] = schema["enum"]
    if schema.get("format") == "byte":
        converted["pattern"] = r"^[A-Za-z0-9+/_-]*={0,2}\Z"
    return converted


def _convert_object(schema: Json, rules: _Rules) -> Json:
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    converted: Json = {
        "type": "object",
        "properties": {name: _convert(value, rules) for name, value in properties.items()},
        "additionalProperties": _convert(extra, rules) if extra is not None else False,
    }
    needed = [name for name, value in properties.items() if rules.requires(value)]
    if needed:
        converted["required"] = needed
    return converted


def _normalise(raw: dict[str, Json], schema: Json, value: Any) -> Any:
    if "$ref" in schema:
        schema = raw[schema["$ref"]]
    if isinstance(value, dict):
        return _normalise_object(raw, schema, value)
    if isinstance(value, list) and "items" in schema:
        return [_normalise(raw, schema["items"], item) for item in value]
    if schema.get("format") in _WIDE and isinstance(value, int):
        return str(value)
    if schema.get("format") in {"int32", "uint32"} and isinstance(value, str):
        return int(value)
    return value


def _normalise_object(raw: dict[str, Json], schema: Json, value: Json) -> Json:
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties", {})
    return {
        name: _normalise(raw, properties.get(name, extra), item) for name, item in value.items()
    }


def _as_api_error(error: fastjsonschema.JsonSchemaValueException) -> ApiError:
    field = re.sub(r"^resource\.data", "resource", str(error.name))
    if error.rule == "required":
        missing = [n for n in error.rule_definition if n not in error.value]
        return required(f"{field}.{missing[0]}")
    if error.rule == "additionalProperties":
        return _unknown_name(error, field)
    if error.rule == "enum":
        return invalid(field, error.value, f"Must be one of: {', '.join(error.rule_definition)}.")
    if error.rule == "pattern":
        pattern = re.sub(r"^\^\(\?:(.*)\)\\Z$", r"\1", str(error.rule_definition))
        return invalid(field, error.value, f"Must be a match of regex '{pattern}'")
    kind = error.rule_definition
    return invalid(field, error.value, f"Must be of type {kind if error.rule == 'type' else '?'}.")


def _unknown_name(error: fastjsonschema.JsonSchemaValueException, field: str) -> ApiError:
    known = error.definition.get("properties", {})
    unknown = sorted(name for name in error.value if name not in known)
    text = f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at '{field}': "
    return ApiError(400, "badRequest", f"{text}Cannot find field.")
