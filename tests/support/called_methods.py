"""Which methods of Google's APIs Bakehouse calls, read from its source."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import googleapiclient
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS = Path(googleapiclient.__path__[0]) / "discovery_cache" / "documents"
COMPUTE = "compute.v1"
BUILDERS = ("build", "get_static_doc")
PACKAGE = PROJECT / "plugins" / "bakehouse"


def built_apis() -> set[str]:
    """The APIs for which a discovery client is built, such as `compute.v1`.

    By `build("compute", "v1")`, or by `_client_of("iam", …)`, which builds that of v1, or of a
    document: `get_static_doc("compute", "v1")`.
    """
    found = set()
    for call in (node for source in _sources() for node in ast.walk(ast.parse(source))):
        if not isinstance(call, ast.Call):
            continue
        if _called(call) == "_client_of" and isinstance(call.args[0], ast.Constant):
            found.add(f"{call.args[0].value!s}.v1")
        named = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant)]
        if isinstance(call.func, ast.Name) and call.func.id in BUILDERS and len(named) == 2:
            found.add(".".join(map(str, named)))
    return found


def called_methods(api: str) -> set[str]:
    """The methods of an API that are called, such as `images.insert` of `compute.v1`.

    The discovery client has a method for each resource, `client.images()`, which returns an object
    with a method for each of the resource's. The object is used at once, or kept under a name, or
    handed to `_scopes`, which calls `aggregatedList`. Compute Engine's client is used by several
    modules, that of any other API by the one that builds it.
    """
    resources = _resources(api)
    client = re.compile(rf"\.({'|'.join(resources)})\(\)")
    builds = f'"{api.partition(".")[0]}"'
    found = (
        source
        for source in _sources()
        if client.search(source) and (api == COMPUTE or builds in source)
    )
    return {method for source in found for method in _methods(ast.parse(source), resources)}


@cache
def _resources(api: str) -> dict[str, frozenset[str]]:
    """The methods of each resource of an API."""
    document = json.loads((DOCUMENTS / f"{api}.json").read_text())
    return dict(_below(document))


def _below(of: dict[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    for name, resource in of.get("resources", {}).items():
        yield name, frozenset(resource.get("methods", {}))
        yield from _below(resource)


@cache
def _sources() -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))


def _methods(tree: ast.Module, resources: dict[str, frozenset[str]]) -> Iterator[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    verbs = frozenset[str]().union(*resources.values())
    returned = {function.name: set(_returned(function, resources)) for function in functions}
    for function in functions:
        names = {f"self.{name}": those for name, those in returned.items()}
        for name, resource in _assigned(function, resources):
            names[name] = {resource}
        names |= dict(_unpacked(function, returned))
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in verbs:
                own = _resource(node.value, resources)
                those = {own} if own else names.get(ast.unparse(node.value), set())
                for resource in those:
                    if node.attr in resources[resource]:
                        yield f"{resource}.{node.attr}"
            elif isinstance(node, ast.Call) and _called(node) == "_scopes":
                own = _resource(node.args[0], resources)
                yield from [f"{own}.aggregatedList"] if own else []


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _returned(function: ast.FunctionDef, resources: dict[str, frozenset[str]]) -> Iterator[str]:
    """The resources that a function returns, alone or in a tuple: `client.images(), where`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            yield from filter(None, (_resource(value, resources) for value in values))


def _unpacked(
    function: ast.FunctionDef, returned: dict[str, set[str]]
) -> Iterator[tuple[str, set[str]]]:
    """The names to which a function assigns what another returns: `api, where = self._of(zone)`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target = node.targets[0]
            first = target.elts[0] if isinstance(target, ast.Tuple) else target
            if those := returned.get(_called(node.value)):
                yield ast.unparse(first), those


def _assigned(
    function: ast.FunctionDef, resources: dict[str, frozenset[str]]
) -> Iterator[tuple[str, str]]:
    """The names to which a function assigns resources: `api, doing = client.images(), "…"`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for name, given in pairs:
                if resource := _resource(given, resources):
                    yield ast.unparse(name), resource


def _resource(node: ast.AST | None, resources: dict[str, frozenset[str]]) -> str | None:
    """The resource that an expression calls for, such as `images` of `self._client.images()`."""
    if isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Attribute):
        return node.func.attr if node.func.attr in resources else None
    return None
