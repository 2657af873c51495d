"""The check of airflow_settings.yaml, Astro's file of connections, pools and variables. Pure.

Astro's own loader ignores what it does not understand; this one reports every mistake with its
line, its value (none that may be a secret) and its remedy.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict
from yaml.nodes import ScalarNode

from bakehouse.config.settings_values import (
    OWN_CONNECTIONS,
    type_of,
    unknown_variable,
    wrong_extra,
    wrong_name,
    wrong_type,
    wrong_variable,
)
from bakehouse.recipe.load import located, node_at
from bakehouse.recipe.mistakes import Mistake, Mistakes, did_you_mean
from bakehouse.recipe.yaml_values import MAX_BYTES, quoted, read, too_big

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from yaml.nodes import Node

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
    "connections": ("conn_id", "conn_uri", *_CONNECTION),
    "pools": ("pool_name", "pool_slot", "pool_description"),
    "variables": ("variable_name", "variable_value"),
}
_ID = {"connections": "conn_id", "pools": "pool_name", "variables": "variable_name"}
_SECRET = frozenset({"conn_password", "conn_uri", "conn_extra"})
_NUMBERS = frozenset({"conn_port", "pool_slot"})
_IN_QUOTES = "Write it in quotes"

_T = TypeVar("_T")
_Loc = tuple[str | int, ...]
_Fields = dict[str, Any]  # the entries of one mapping that are not empty


class SettingsError(ValueError):
    """The file cannot be used; one line for each mistake."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        """Sort the mistakes by their lines."""
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


class Settings(BaseModel):
    """What the file defines, in the form in which Airflow's database stores it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: dict[str, str | dict[str, Any]] = {}  # a URI, or Airflow's JSON form
    pools: dict[str, tuple[int, str]] = {}  # slots, description
    variables: dict[str, str] = {}


def load_settings(path: Path) -> Settings:
    """Read and check the file; raises SettingsError that names every mistake with its line."""
    if not path.exists():
        remedy = "Write `airflow:` into it; it names Airflow's connections and pools"
        raise SettingsError([Mistake(path.name, 1, "the file", "", "is missing", remedy)])
    try:
        return parse_settings(_content(path).decode("utf-8"), path.name)
    except UnicodeDecodeError as unreadable:
        line = unreadable.object.count(b"\n", 0, unreadable.start) + 1
        problem, remedy = "is not UTF-8 text", "Save it as UTF-8"
    except OSError as unreadable:
        line, problem = 1, f"cannot be read: {unreadable.strerror or unreadable}"
        remedy = "Make it a readable file"
    raise SettingsError([Mistake(path.name, line, "the file", "", problem, remedy)])


def parse_settings(text: str, name: str) -> Settings:
    """Check the content of the file `name`. Raises SettingsError."""
    try:
        document = read(text, name)
    except Mistakes as wrong:
        raise SettingsError([_of_text(one) for one in wrong.mistakes]) from None
    reader = _Reader(name, document.root)
    settings = reader.settings(document.data)
    mistakes = [*map(_of_text, document.mistakes)]
    told = {one.where for one in mistakes}
    mistakes += (one for one in reader.mistakes if one.where not in told)
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise OSError("it is not a regular file")  # a pipe or a device may never end
    with path.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SettingsError([too_big(path.name)])
    return content


def _of_text(mistake: Mistake) -> Mistake:
    """Word a mistake of YAML for a field that is a text, and leave out what may be a secret."""
    fields = mistake.where.split(".")
    if not _SECRET.isdisjoint(fields):
        remedy = mistake.remedy.partition(":")[0]
        problem = "is not a text" if " and not the text" in mistake.problem else mistake.problem
        return replace(mistake, value="", problem=problem, remedy=remedy)
    if fields[-1] in _NUMBERS:
        return mistake
    return replace(mistake, remedy=mistake.remedy.partition(", or ")[0])


class _Reader:
    """Walks the values of a file, and collects every mistake with the line of its field."""

    def __init__(self, name: str, root: Node | None) -> None:
        self.mistakes = list[Mistake]()
        self._name, self._root = name, root

    def wrong(self, loc: _Loc, problem: str, remedy: str, *, value: bool = True) -> None:
        shown = value and _SECRET.isdisjoint(loc)
        self.mistakes.append(located(self._name, self._root, loc, problem, remedy, shown))

    def settings(self, data: Any) -> Settings:
        top = self.mapping(data, (), ("airflow",))
        body = self.mapping(top.get("airflow"), ("airflow",), tuple(_KEYS))
        return Settings(
            connections=dict(self.entries(body, "connections", self.connection)),
            pools=dict(self.entries(body, "pools", self.pool)),
            variables=dict(self.entries(body, "variables", self.variable)),
        )

    def mapping(self, data: Any, loc: _Loc, known: tuple[str, ...]) -> _Fields:
        """The values by known key; an empty one counts as a mapping without keys."""
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.wrong(loc, "is not a mapping", f"Write keys and values, such as `{known[0]}: …`")
            return {}
        for key in data:
            if key not in known:
                remedy = did_you_mean(key, known)
                self.wrong((*loc, key), "is not a key", remedy, value=False)
        return {key: value for key, value in data.items() if key in known}

    def entries(
        self, body: _Fields, kind: str, make: Callable[[_Fields, _Loc], _T | None]
    ) -> Iterator[tuple[str, _T]]:
        """(name, value) of each entry of the list `kind`, without Astro's empty samples."""
        data, above = body.get(kind), ("airflow", kind)
        if data is None:
            return
        if not isinstance(data, list):
            self.wrong(above, "is not a list", f"Begin each entry with `- {_ID[kind]}: …`")
            return
        seen = dict[str, int]()
        for index, item in enumerate(data):
            loc: _Loc = (*above, index)
            given = self.mapping(item, loc, _KEYS[kind])
            fields = {key: value for key, value in given.items() if value is not None}
            if not fields:
                continue
            name = self.identity(fields, kind, loc, seen)
            made = make(fields, loc)
            if name is not None and made is not None:
                yield name, made

    def identity(self, fields: _Fields, kind: str, loc: _Loc, seen: dict[str, int]) -> str | None:
        key = _ID[kind]
        if key not in fields:
            self.wrong((*loc, key), "is missing", "Add it: Airflow knows the entry by it")
            return None
        name, where = self.text(fields[key], (*loc, key)), (*loc, key)
        if not isinstance(fields[key], str):
            return None
        if not name.strip():
            self.wrong(where, "is empty", "Write a name")
        elif name in seen:
            remedy = f"Keep one of them: the other is on line {seen[name]}"
            self.wrong(where, "is given twice", remedy)
        elif kind == "connections" and (wrong := wrong_name(name)):
            self.wrong(where, *wrong)
        seen.setdefault(name, node_at(self._root, where)[1])
        return name

    def connection(self, fields: _Fields, loc: _Loc) -> str | dict[str, Any] | None:
        conn_id = str(fields.get("conn_id"))
        if "conn_uri" in fields:
            return self.uri(fields, conn_id, loc)
        if "conn_type" not in fields:
            wanted = OWN_CONNECTIONS.get(conn_id, "postgres")
            remedy = f"Add it, such as `conn_type: {wanted}`, or a conn_uri"
            self.wrong((*loc, "conn_type"), "is missing", remedy)
        out: dict[str, Any] = {}
        for key, value in fields.items():
            if key in _CONNECTION:
                out[_CONNECTION[key]] = self.connection_field(key, value, (*loc, key))
        conn_type = str(out.get("conn_type", ""))
        if conn_type and (wrong := wrong_type(conn_id, conn_type)):
            self.wrong((*loc, "conn_type"), *wrong)
        self.extras(conn_type, out.get("extra", {}), (*loc, "conn_extra"))
        return out

    def uri(self, fields: _Fields, conn_id: str, loc: _Loc) -> str:
        where = (*loc, "conn_uri")
        uri = self.text(fields["conn_uri"], where)
        for key in (key for key in fields if key in _CONNECTION):
            remedy = "Keep one of them: conn_uri names type, host and all else"
            self.wrong((*loc, key), "is not read beside conn_uri", remedy, value=False)
        if isinstance(fields["conn_uri"], str):
            conn_type = type_of(uri)
            if conn_type is None:
                remedy = "Write TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA"
                self.wrong(where, "is not a URI that begins with a connection type", remedy)
            elif wrong := wrong_type(conn_id, conn_type):
                self.wrong(where, f"begins with {conn_type}, which {wrong[0]}", wrong[1])
        return uri

    def connection_field(self, key: str, value: Any, loc: _Loc) -> object:
        if key == "conn_port":
            return self.number(value, loc, 1, 65535)
        if key == "conn_extra":
            return self.extra(value, loc)
        return self.text(value, loc)

    def extra(self, value: Any, loc: _Loc) -> dict[str, Any]:
        """A mapping, or (as Astro lower-cases the keys of one) a string of JSON."""
        if isinstance(value, str):
            if not value.strip():
                return {}
            twice = list[str]()
            try:
                value = json.loads(value, object_pairs_hook=lambda pairs: _unique(pairs, twice))
            except json.JSONDecodeError as error:
                problem, remedy = f"is not JSON: {error.msg}", "Correct this line, or the one above"
                self.json_line(loc, error.lineno, problem, remedy)
                return {}
            except RecursionError:
                self.wrong(loc, "is nested too deep", "Write fewer levels")
                return {}
            for name in twice:
                self.wrong((*loc, name), "is given twice", "Keep one of them")
        if not isinstance(value, dict):
            remedy = 'Write a JSON object, such as \'{"project": "my-project"}\', or a mapping'
            self.wrong(loc, "is not a mapping", remedy)
            return {}
        return value

    def extras(self, conn_type: str, extra: dict[str, Any], loc: _Loc) -> None:
        for name, value, problem, remedy in wrong_extra(conn_type, extra):
            line = self.line_in_json(loc, name)
            found = located(self._name, self._root, (*loc, name), problem, remedy, False)
            self.mistakes.append(replace(found, value=value, line=line or found.line))

    def line_in_json(self, loc: _Loc, name: str) -> int | None:
        """The line of a name in a text of JSON; None where it cannot be told."""
        node, _ = node_at(self._root, loc)
        if not isinstance(node, ScalarNode) or node.style not in {"|", None}:
            return None
        before, found, _ = node.value.partition(json.dumps(name))
        first = node.start_mark.line + (2 if node.style == "|" else 1)
        return first + before.count("\n") if found else None

    def json_line(self, loc: _Loc, line: int, problem: str, remedy: str) -> None:
        found = located(self._name, self._root, loc, problem, remedy, False)
        node, _ = node_at(self._root, loc)
        if isinstance(node, ScalarNode):
            block = node.style in {"|", ">"}
            found = replace(found, line=node.start_mark.line + line + (1 if block else 0))
        self.mistakes.append(found)

    def pool(self, fields: _Fields, loc: _Loc) -> tuple[int, str] | None:
        words = self.text(fields.get("pool_description", ""), (*loc, "pool_description"))
        if "pool_slot" not in fields:
            remedy = "Add it: how many tasks run at a time, -1 for any number"
            self.wrong((*loc, "pool_slot"), "is missing", remedy)
            return None
        slots = self.number(fields["pool_slot"], (*loc, "pool_slot"), -1, 1_000_000)
        if slots == 0:
            problem, remedy = "lets no task run", "Write 1 or more, or -1 for any number"
            self.wrong((*loc, "pool_slot"), problem, remedy)
        return slots, words

    def variable(self, fields: _Fields, loc: _Loc) -> str | None:
        where, name = (*loc, "variable_value"), str(fields.get("variable_name"))
        if wrong := unknown_variable(name):
            self.wrong((*loc, "variable_name"), *wrong)
        if "variable_value" not in fields:
            self.wrong(where, "is missing", 'Add it; write "" for an empty text')
            return None
        value = fields["variable_value"]
        if isinstance(value, dict | list):
            remedy = "Write it as JSON in single quotes; a task reads it by deserialize_json"
            self.wrong(where, "is not a text", remedy)
            return None
        text = self.text(value, where)
        if isinstance(value, str) and (wrong := wrong_variable(name, text)):
            self.wrong(where, *wrong)
        return text

    def text(self, value: Any, loc: _Loc) -> str:
        if isinstance(value, str):
            return value
        node, _ = node_at(self._root, loc)
        is_plain = isinstance(node, ScalarNode) and _SECRET.isdisjoint(loc)
        remedy = quoted(node.value) if is_plain and node else _IN_QUOTES
        self.wrong(loc, "is not a text", remedy)
        return ""

    def number(self, value: Any, loc: _Loc, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            problem = f"is not a whole number from {least:,} to {most:,}"
            remedy = "Write such a number"
            if isinstance(value, str) and value.removeprefix("-").isdigit():
                remedy = f"Write it without quotes: {value}"
            self.wrong(loc, problem, remedy)
            return least
        return value


def _unique(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    found = dict(pairs)
    names = [name for name, _ in pairs]
    twice += [name for name in found if names.count(name) > 1]
    return found
