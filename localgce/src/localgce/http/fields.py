"""The `fields` parameter: `items(name,status),nextPageToken`, `items/name`, `*`."""

from __future__ import annotations

from typing import Any

from localgce.core.errors import ApiError, Json

Mask = dict[str, "Mask"]


def parse(text: str) -> Mask:
    """Parse the parameter; raises 400 for an invalid mask."""
    parser = _Parser(text)
    mask = parser.selection(0)
    if parser.at != len(text):
        raise bad(text)
    return mask


def keep(mask: Mask, body: Json) -> Json:
    """The parts of a body that the mask names."""
    kept: Json = _keep(mask, body)
    return kept


def _keep(mask: Mask, value: Any) -> Any:
    if not mask:
        return value
    if isinstance(value, list):
        return [_keep(mask, item) for item in value]
    if not isinstance(value, dict):
        return value
    kept: Json = {}
    for name, item in value.items():
        inner = mask.get(name, mask.get("*"))
        if inner is not None:
            kept[name] = _keep(inner, item)
    return kept


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def selection(self, depth: int) -> Mask:
        if depth > 30:
            raise bad(self._text)
        mask: Mask = {}
        while True:
            name, inner = self._one(depth)
            mask[name] = {**mask.get(name, {}), **inner}
            if not self._takes(","):
                return mask

    def _one(self, depth: int) -> tuple[str, Mask]:
        name = self._name()
        if self._takes("/"):
            inner_name, inner = self._one(depth + 1)
            return name, {inner_name: inner}
        if self._takes("("):
            inside = self.selection(depth + 1)
            if not self._takes(")"):
                raise bad(self._text)
            return name, inside
        return name, {}

    def _name(self) -> str:
        start = self.at
        while self.at < len(self._text) and (
            self._text[self.at].isalnum() or self._text[self.at] in "*_-."
        ):
            self.at += 1
        if self.at == start:
            raise bad(self._text)
        return self._text[start : self.at].strip()

    def _takes(self, character: str) -> bool:
        taken = self._text[self.at : self.at + 1] == character
        self.at += taken
        return taken


def bad(text: str) -> ApiError:
    """400 for an invalid mask, or for a name that the response does not have."""
    message = f"Invalid field selection {text}"
    return ApiError(400, "invalidParameter", message, location="fields")
