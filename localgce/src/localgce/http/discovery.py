"""The API's shape: the discovery document that google-api-python-client ships.

Routing is one tree of path segments, in which a literal wins over a parameter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import googleapiclient

from localgce.core.errors import ApiError, Json
from localgce.http.schema import Schemas, Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localgce.http.fields import Mask

# Fields that the document does not have, but that clients of v1 send: one of the beta document,
# and what Terraform's provider sends with each network and NAT.
_NOT_IN_DOCUMENT: dict[str, Json] = {
    "InstanceGroupManagerUpdatePolicy": {"minReadySec": {"type": "integer", "format": "int32"}},
    "NetworkRoutingConfig": {"deleteBgpAlwaysCompareMed": {"type": "boolean"}},
    "RouterNat": {"initialNatIps": {"type": "array", "items": {"type": "string"}}},
}
DOCUMENT = Path(googleapiclient.__file__).parent / "discovery_cache/documents/compute.v1.json"


@dataclass(frozen=True)
class Parameter:
    """One path or query parameter of a method."""

    name: str
    location: str
    type: str
    required: bool
    repeated: bool
    pattern: re.Pattern[str] | None
    enum: frozenset[str]
    minimum: int | None
    maximum: int | None
    wide: bool = False  # a 64-bit integer, which the document declares as a string

    @classmethod
    def of(cls, name: str, raw: Json) -> Parameter:
        """Parse the document's entry."""
        pattern = raw.get("pattern")
        return cls(
            name=name,
            location=raw["location"],
            type=raw["type"],
            required=bool(raw.get("required")),
            repeated=bool(raw.get("repeated")),
            pattern=re.compile(pattern) if pattern else None,
            enum=frozenset(raw.get("enum", ())),
            minimum=int(raw["minimum"]) if "minimum" in raw else None,
            maximum=int(raw["maximum"]) if "maximum" in raw else None,
            wide=raw.get("format") in {"int64", "uint64"},
        )

    def parse(self, text: str) -> Any:
        """The typed value of one query parameter; raises the 400 that Google answers."""
        if self.type == "boolean":
            return self._boolean(text)
        if self.type == "integer" or self.wide:
            return self._integer(text)
        if self.enum and text not in self.enum:
            raise self._invalid(text, f"Must be one of: {', '.join(sorted(self.enum))}.")
        if self.pattern and not self.pattern.fullmatch(text):
            raise self._invalid(text, f"Must be a match of regex '{self.pattern.pattern}'")
        return text

    def _boolean(self, text: str) -> bool:
        if text.lower() not in {"true", "false"}:
            raise self._invalid(text, "Must be true or false.")
        return text.lower() == "true"

    def _integer(self, text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII):
            raise self._invalid(text, "Must be an integer.")
        number = int(text)
        if self.minimum is not None and number < self.minimum:
            raise self._invalid(text, f"Must be at least {self.minimum}.")
        if self.maximum is not None and number > self.maximum:
            raise self._invalid(text, f"Must be at most {self.maximum}.")
        return number

    def _invalid(self, text: str, problem: str) -> ApiError:
        message = f"Invalid value for field '{self.name}': '{text}'. {problem}"
        return ApiError(
            400, "invalidParameter", message, location=self.name, location_type="parameter"
        )


@dataclass(frozen=True)
class Method:
    """One method of the API."""

    id: str  # compute.instances.insert
    http_method: str
    segments: tuple[str, ...]  # of flatPath; a parameter is "{name}"
    path_parameters: dict[str, Parameter]
    query_parameters: dict[str, Parameter]
    request: str | None
    response: str | None

    @classmethod
    def of(cls, raw: Json) -> Method:
        """Parse the document's entry."""
        segments = tuple(str(raw.get("flatPath") or raw["path"]).split("/"))
        in_path = {part[1:-1] for part in segments if part.startswith("{")}
        parameters = {n: Parameter.of(n, p) for n, p in raw.get("parameters", {}).items()}
        return cls(
            id=raw["id"],
            http_method=raw["httpMethod"],
            segments=segments,
            path_parameters={n: p for n, p in parameters.items() if n in in_path},
            query_parameters={n: p for n, p in parameters.items() if p.location == "query"},
            request=raw.get("request", {}).get("$ref"),
            response=raw.get("response", {}).get("$ref"),
        )

    @property
    def resource(self) -> str:
        """`instances` of `compute.instances.insert`."""
        return self.id.split(".")[1]

    @property
    def verb(self) -> str:
        """`insert` of `compute.instances.insert`."""
        return self.id.split(".")[2]

    @property
    def collection(self) -> str:
        """As links write it: `healthChecks` of `compute.regionHealthChecks.get`."""
        scopes = {"projects", "zones", "regions", "global", "aggregated"}
        names = [part for part in self.segments if not part.startswith("{") and part not in scopes]
        return names[0] if names else "projects"

    @property
    def kind(self) -> str:
        """As the store calls the records: `addresses` also of `compute.globalAddresses.get`."""
        return self.resource if self.resource.endswith("Operations") else self.collection

    @property
    def subject(self) -> str | None:
        """The path parameter that names the resource itself, if there is one."""
        names = [part[1:-1] for part in self.segments if part.startswith("{")]
        last = names[-1] if names else None
        return None if last in {"project", "zone", "region"} and len(names) < 3 else last


@dataclass
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    methods: dict[str, Method] = field(default_factory=dict)


class Discovery:
    """Routing and validation by the document."""

    def __init__(self, document: Json) -> None:
        """Index the methods of the document."""
        self.revision: str = document["revision"]
        self.common_parameters = {
            name: Parameter.of(name, raw) for name, raw in document["parameters"].items()
        }
        self.methods = {
            raw["id"]: Method.of(raw)
            for resource in document["resources"].values()
            for raw in resource.get("methods", {}).values()
        }
        self._schemas = Schemas(document["schemas"])
        self._root = _Node()
        for method in self.methods.values():
            self._add(method)

    @classmethod
    def load(cls) -> Discovery:
        """The document of the installed google-api-python-client."""
        document = json.loads(DOCUMENT.read_bytes())
        for schema, fields in _NOT_IN_DOCUMENT.items():
            document["schemas"][schema]["properties"].update(fields)
        return cls(document)

    def _add(self, method: Method) -> None:
        node = self._root
        for segment in method.segments:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.methods[method.http_method] = method

    def match(self, http_method: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method of a path below `/compute/v1/` and its path parameters."""
        parts = path.split("/")
        for node in _walk(self._root, parts, 0):
            method = node.methods.get(http_method)
            if method:
                return method, _bind(method, parts)
        return None

    def request_validator(self, method: Method) -> Validator | None:
        """Checks and normalises the body of a request; None when the method takes none."""
        return self._schemas.request(method.request, method.id) if method.request else None

    def response_validator(self, method: Method) -> Validator | None:
        """Checks the body of a response."""
        return self._schemas.response(method.response) if method.response else None

    def unknown_field(self, method: Method, mask: Mask) -> str | None:
        """The path of the mask's first name that the method's response does not have."""
        return self._schemas.unknown(method.response, mask) if method.response else None

    @cached_property
    def resources(self) -> list[str]:
        """Names of the API's resources."""
        return sorted({method.resource for method in self.methods.values()})


def _walk(node: _Node, parts: list[str], at: int) -> Iterator[_Node]:
    if at == len(parts):
        yield node
        return
    child = node.literals.get(parts[at])
    if child:
        yield from _walk(child, parts, at + 1)
    if node.parameter:
        yield from _walk(node.parameter, parts, at + 1)


def _bind(method: Method, parts: list[str]) -> dict[str, str]:
    bound: dict[str, str] = {}
    for segment, value in zip(method.segments, parts, strict=True):
        if not segment.startswith("{"):
            continue
        name = segment[1:-1]
        parameter = method.path_parameters.get(name)
        if parameter and parameter.pattern and not parameter.pattern.fullmatch(value):
            problem = f"Must be a match of regex '{parameter.pattern.pattern}'"
            message = f"Invalid value for field '{name}': '{value}'. {problem}"
            raise ApiError(400, "invalidParameter", message, location=name)
        bound[name] = value
    return bound
