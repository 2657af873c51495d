"""The JSON schemas of recipe and fleet files, for editors; generated, and held true by a test."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from bakehouse.fleet.model import Fleet
from bakehouse.recipe.duration import format_duration
from bakehouse.recipe.model import Recipe

SCHEMAS: dict[str, type[BaseModel]] = {"recipes": Recipe, "fleets": Fleet}


class _AsWritten(GenerateJsonSchema):
    """Defaults as the file has them: 10m, and not the PT10M of JSON's own convention."""

    def encode_default(self, dft: Any) -> Any:
        """A duration in its shortest form, all else as it is."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Of a file: the name is the file's own, and need not be said."""
    made = model.model_json_schema(schema_generator=_AsWritten)
    made["required"] = [name for name in made["required"] if name != "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "`make schema` writes this file",
        **made,
    }


def text_of(model: type[BaseModel]) -> str:
    """As the file holds it."""
    return json.dumps(schema_of(model), indent=1, ensure_ascii=False) + "\n"


def write_schemas(include: Path) -> list[Path]:
    """Into `<include>/recipes/schema.json` and `<include>/fleets/schema.json`."""
    files = []
    for folder, model in SCHEMAS.items():
        file = include / folder / "schema.json"
        file.write_text(text_of(model), encoding="utf-8")
        files.append(file)
    return files
