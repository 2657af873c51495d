"""The JSON schemas of recipe and fleet files, for editors, and the tables of the guide.

Both are generated; a test compares them with the models.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from bakehouse.fleet.model import Fleet
from bakehouse.history.prices import Prices
from bakehouse.recipe.duration import format_duration
from bakehouse.recipe.model import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

SCHEMAS: dict[str, type[BaseModel]] = {"recipes": Recipe, "fleets": Fleet}
PRICES_SCHEMA = "prices.schema.json"


BEGIN, END = "<!-- tables: `make schema` -->", "<!-- end of tables -->"


class _AsWritten(GenerateJsonSchema):
    """Writes default durations as in the file: 10m instead of PT10M."""

    def encode_default(self, dft: Any) -> Any:
        """Encode a duration in its shortest form, and anything else as pydantic does."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a file; its `name` is optional, since it is the file's stem."""
    made = model.model_json_schema(schema_generator=_AsWritten)
    made["required"] = [name for name in made["required"] if name != "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "`make schema` writes this file",
        **made,
    }


def text_of(model: type[BaseModel]) -> str:
    """Return the content of the schema file."""
    return json.dumps(schema_of(model), indent=1, ensure_ascii=False) + "\n"


def write_schemas(include: Path) -> list[Path]:
    """Write the `schema.json` of recipes and fleets, and that of the prices."""
    files = []
    for folder, model in SCHEMAS.items():
        file = include / folder / "schema.json"
        file.write_text(text_of(model), encoding="utf-8")
        files.append(file)
    file = include / PRICES_SCHEMA
    file.write_text(text_of(Prices), encoding="utf-8")
    return [*files, file]


def write_tables(guide: Path, model: type[BaseModel]) -> Path:
    """Write the tables into the guide, between its marks."""
    guide.write_text(with_tables(guide.read_text("utf-8"), model), encoding="utf-8")
    return guide


def tables_of(model: type[BaseModel]) -> str:
    """Return Markdown tables of all fields, one for each mapping: name, default, description."""
    schema = schema_of(model)
    parts = [_table("", schema)]
    for name, field in schema["properties"].items():
        if (below := _mapping(field, schema)) is not None:
            parts.append(f"`{name}`:\n\n{_table(f'{name}.', below)}")
            parts += [
                f"`{name}.{inner}`:\n\n{_table(f'{name}.{inner}.', deeper)}"
                for inner, more in below["properties"].items()
                if (deeper := _mapping(more, schema)) is not None
            ]
    return "\n\n".join(parts) + "\n"


def with_tables(text: str, model: type[BaseModel]) -> str:
    """Return a guide's text with the current tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables_of(model)}\n{END}{after}"


def _table(prefix: str, schema: dict[str, Any]) -> str:
    lines = ["| field | default | |", "| --- | --- | --- |"]
    for name, field in schema["properties"].items():
        if (prefix, name) == ("", "name"):
            continue  # the file's own
        description = str(field.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(name, field, schema)} | {description} |")
    return "\n".join(lines)


def _default(name: str, field: dict[str, Any], schema: dict[str, Any]) -> str:
    if name in schema.get("required", []):
        return "**must be given**"
    value = field.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`".replace('"', "")


def _mapping(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any] | None:
    options = [field, *field.get("anyOf", [])]  # a mapping that may be left out has two
    refs = [str(one["$ref"]) for one in options if "$ref" in one]
    name = refs[0].removeprefix("#/$defs/") if refs else ""
    found: dict[str, Any] | None = schema.get("$defs", {}).get(name)
    return found
