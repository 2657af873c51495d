"""The process that renders scripts; recipe/rendering.py starts it and talks to it.

Each line of standard input is a request, each line of standard output its answer, both in JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any

from bakehouse.guest.render import Fault, allow, limit
from bakehouse.recipe.templates import Faults, Script, render_script, script_environment


class View:
    """What a template may read of a model: its fields, and none of its methods."""

    def __init__(self, text: str, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)
        self.__text = text

    def __str__(self) -> str:
        """The form of a recipe file."""
        return self.__text


def main() -> None:
    """Serve until standard input ends."""
    seconds = int(sys.argv[2])
    limit(seconds, sys.stderr.buffer)
    for line in sys.stdin.buffer:
        allow(seconds)
        answer = json.dumps(_answer(json.loads(line)))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    names = _decoded_names(request["names"])
    environment = script_environment(request["sources"], request["folder"])
    scripts, faults = dict[str, Script](), list[Fault]()
    for template, more in request["templates"].items():
        try:
            more_names = {**names, **_decoded_names(more)}
            scripts[template] = render_script(environment, template, more_names)
        except Faults as wrong:
            faults += wrong.faults
    return {"faults": faults} if faults else {"scripts": scripts}


def _decoded_names(names: dict[str, Any]) -> dict[str, Any]:
    return {name: decoded(value) for name, value in names.items()}


def encoded(value: Any) -> Any:
    """Return JSON for a name of a template."""
    if isinstance(value, dict):
        return {"is": "dict", "items": {key: encoded(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    if isinstance(value, timedelta):
        return {"is": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, datetime):
        return {"is": "datetime", "text": value.isoformat()}
    if hasattr(type(value), "model_fields"):
        fields = {name: encoded(getattr(value, name)) for name in _names(type(value))}
        return {"is": "view", "text": str(value), "fields": fields}
    return value


def decoded(value: Any) -> Any:
    """Return the name of a template from its JSON."""
    if isinstance(value, list):
        return tuple(map(decoded, value))
    if not isinstance(value, dict):
        return value
    if value["is"] == "timedelta":
        return timedelta(seconds=value["seconds"])
    if value["is"] == "datetime":
        return datetime.fromisoformat(value["text"])
    if value["is"] == "dict":
        return {key: decoded(item) for key, item in value["items"].items()}
    return View(value["text"], {key: decoded(item) for key, item in value["fields"].items()})


def _names(model: Any) -> list[str]:
    properties = [name for name, found in vars(model).items() if isinstance(found, property)]
    return [*model.model_fields, *properties]
