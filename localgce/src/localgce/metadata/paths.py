"""Metadata as paths: `network-interfaces/0/ip` of the tree, listings, and recursive forms."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERBATIM = {"attributes", "guestAttributes", "serviceAccounts"}
_LINES = {"scopes", "aliases"}
_VALUES = {"tags", *_LINES}  # lists that are values, not folders


def kebab(name: str) -> str:
    """`network-interfaces` for `networkInterfaces`."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def find(tree: Any, parts: list[str]) -> tuple[bool, Any, str]:
    """Whether the path exists, its value, and its name in the tree."""
    current, own = tree, ""
    for part in parts:
        if not is_folder(current, own):
            return False, None, ""
        names = _names(current, own)
        if part not in names:
            return False, None, ""
        own = str(names[part])
        current = current[names[part]]
    return True, current, own


def _names(folder: Any, own: str) -> dict[str, Any]:
    """The names of a folder's entries in paths, with their keys or indexes."""
    if isinstance(folder, list):
        return {str(index): index for index in range(len(folder))}
    return {name if own in _VERBATIM else kebab(name): name for name in folder}


def is_folder(value: Any, own: str) -> bool:
    """Whether the value is a folder, whose path ends in a slash."""
    return isinstance(value, dict) or (isinstance(value, list) and own not in _VALUES)


def listing(value: Any, own: str) -> str:
    """The entries of a folder, one per line, folders with a slash."""
    if "email" in value and "scopes" in value:  # a service account has two that are made on demand
        value = {**value, "identity": "", "token": ""}
    entries = sorted(_names(value, own).items())
    return "".join(
        f"{shown}/\n" if is_folder(value[key], str(key)) else f"{shown}\n" for shown, key in entries
    )


def leaf_text(value: Any, own: str) -> str:
    """A value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and own in _LINES:
        return "".join(f"{item}\n" for item in value)
    return json.dumps(value)


def recursive_text(value: Any, own: str) -> str:
    """One `path value` per line."""
    return "".join(f"{line}\n" for line in _lines(value, own, ""))


def _lines(value: Any, own: str, path: str) -> Iterator[str]:
    if not is_folder(value, own):
        yield f"{path} {leaf_text(value, own)}".strip()
        return
    for shown, key in sorted(_names(value, own).items()):
        inner = own if own == "guestAttributes" else str(key)  # all names below it are the guest's
        yield from _lines(value[key], inner, f"{path}/{shown}" if path else shown)


def etag(value: Any) -> str:
    """16 hex digits that change with the value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
