"""The check of airflow_settings.yaml, Astro's file of connections, pools and variables. Pure.

Astro's own loader ignores what it does not understand; this one reports every mistake with its
line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Astro's name of a field -> the name in Airflow's JSON form of a connection
_CONNECTION = {
    "conn_type": "conn_type",
    "conn_host": "host",
    "conn_schema": "schema",
    "conn_login": "login",
    "conn_password": "password",
    "conn_port": "port",
    "conn_extra": "extra",
}
_KEYS = {
    "connections": {"conn_id", "conn_uri", *_CONNECTION},
    "pools": {"pool_name", "pool_slot", "pool_description"},
    "variables": {"variable_name", "variable_value"},
}
_T = TypeVar("_T")
_Fields = dict[str, yaml.Node]  # the entries of one mapping that are not empty
_ID = {"connections": "conn_id", "pools": "pool_name", "variables": "variable_name"}


class SettingsError(ValueError):
    """The file cannot be used; one line for each mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        """Keep the mistakes, one line each."""
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Settings(BaseModel):
    """What the file defines, in the form in which Airflow's database stores it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: dict[str, str | dict[str, Any]] = {}  # a URI, or Airflow's JSON form
    pools: dict[str, tuple[int, str]] = {}  # slots, description
    variables: dict[str, str] = {}


def load_settings(path: Path) -> Settings:
    """Read and check the file; raises SettingsError that names every mistake with its line."""
    if not path.is_file():
        raise SettingsError([f"{path}: is missing; it names Airflow's connections and pools"])
    return parse_settings(path.read_text(encoding="utf-8"), path.name)


def parse_settings(text: str, name: str) -> Settings:
    """`name` stands before each mistake, as `name:line`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SettingsError([f"{name}:{line}: is not YAML: {error.problem}"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{name}:1: is not YAML: {' '.join(str(error).split())}"]) from None
    reader = _Reader(name)
    settings = reader.read(root)
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    return settings


class _Reader:
    """Walks the YAML nodes, which have line numbers, and collects every mistake."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[str] = []

    def wrong(self, node: yaml.Node, problem: str) -> None:
        self.mistakes.append(f"{self.name}:{node.start_mark.line + 1}: {problem}")

    def read(self, root: yaml.Node | None) -> Settings:
        if root is None:
            return Settings()
        top = self.mapping(root, {"airflow"}, "the file")
        body = self.mapping(top["airflow"], set(_KEYS), "airflow") if "airflow" in top else {}
        return Settings(
            connections=dict(self.entries(body, "connections", self.connection)),
            pools=dict(self.entries(body, "pools", self.pool)),
            variables=dict(self.entries(body, "variables", self.variable)),
        )

    def mapping(self, node: yaml.Node, allowed: set[str], where: str) -> dict[str, yaml.Node]:
        """The node's values by key; an empty one counts as a mapping without keys."""
        if _empty(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{where} must be a mapping (key: value)")
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.value not in allowed:
                self.wrong(key, f"{where} has no key {key.value!r}; known: {_listed(allowed)}")
            elif key.value in found:
                self.wrong(key, f"{where} names {key.value!r} twice")
            else:
                found[key.value] = value
        return found

    def entries(
        self, body: dict[str, yaml.Node], kind: str, make: Callable[[_Fields], _T | None]
    ) -> Iterator[tuple[str, _T]]:
        """(name, value) of each entry of the list `kind`, without Astro's empty samples."""
        node = body.get(kind)
        if node is None or _empty(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"airflow.{kind} must be a list")
            return
        seen: set[str] = set()
        for item in node.value:
            entry = f"an entry of {kind}"
            fields = {
                key: value
                for key, value in self.mapping(item, _KEYS[kind], entry).items()
                if not _empty(value)
            }
            if not fields:
                continue
            identity = fields.get(_ID[kind])
            if identity is None:
                self.wrong(item, f"{entry} has no {_ID[kind]}")
                continue
            name = str(identity.value)
            if name in seen:
                self.wrong(identity, f"{_ID[kind]} {name!r} is defined twice")
            seen.add(name)
            made = make(fields)
            if made is not None:
                yield name, made

    def connection(self, fields: _Fields) -> str | dict[str, Any] | None:
        if "conn_uri" in fields:
            if "conn_type" in fields:
                self.wrong(fields["conn_uri"], "conn_uri and conn_type exclude each other")
            return self.text(fields["conn_uri"], "conn_uri")
        if "conn_type" not in fields:
            self.wrong(fields["conn_id"], "the connection has neither conn_type nor conn_uri")
        out: dict[str, Any] = {}
        for key, node in fields.items():
            if key in _CONNECTION:
                out[_CONNECTION[key]] = self.connection_field(key, node)
        return out

    def connection_field(self, key: str, node: yaml.Node) -> object:
        if key == "conn_port":
            return self.number(node, key, 1, 65535)
        if key == "conn_extra":
            return self.extra(node)
        return self.text(node, key)

    def extra(self, node: yaml.Node) -> dict[str, Any]:
        """A mapping, or (as Astro lower-cases the keys of one) a string of JSON."""
        value = _plain(node)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
                line = node.start_mark.line + error.lineno + (1 if block else 0)
                where = f"{self.name}:{line}"
                self.mistakes.append(f"{where}: conn_extra is not JSON: {error.msg}")
                return {}
        if not isinstance(value, dict):
            self.wrong(node, "conn_extra must be a mapping or a string with a JSON object")
            return {}
        return value

    def pool(self, fields: _Fields) -> tuple[int, str] | None:
        if "pool_slot" not in fields:
            self.wrong(fields["pool_name"], "the pool has no pool_slot")
            return None
        description = fields.get("pool_description")
        words = self.text(description, "pool_description") if description else ""
        return self.number(fields["pool_slot"], "pool_slot", -1, 1_000_000), words

    def variable(self, fields: _Fields) -> str | None:
        node = fields.get("variable_value")
        if node is None:
            self.wrong(fields["variable_name"], "the variable has no variable_value")
            return None
        return self.text(node, "variable_value")

    def text(self, node: yaml.Node, key: str) -> str:
        value = _plain(node)
        if not isinstance(value, str):
            self.wrong(node, f"{key} must be text; put quotes around {node.value!r}")
            return ""
        return value

    def number(self, node: yaml.Node, key: str, least: int, most: int) -> int:
        value = _plain(node)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(node, f"{key} must be a whole number from {least} to {most}, not {value!r}")
            return least
        return value


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _plain(node: yaml.Node) -> Any:
    """The node as Python's own values; what YAML cannot make one of stays text."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError):
        return node.value
    finally:
        loader.dispose()


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
