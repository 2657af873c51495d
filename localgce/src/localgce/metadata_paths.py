"""Metadata as paths: `network-interfaces/0/ip` of the tree, listings, and recursive forms."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_VERBATIM = {"attributes", "guestAttributes", "serviceAccounts"}
_LINES = {"scopes", "aliases"}


def kebab(name: str) -> str:
    """`network-interfaces` for `networkInterfaces`."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def find(tree: Any, parts: list[str]) -> tuple[bool, Any, str]:
    """Whether there is something at the path, what it is, and the tree's own name for it."""
    current, verbatim, own = tree, False, ""
    for part in parts:
        if isinstance(current, list) and _is_folder(current, own):
            if not (part.isascii() and part.isdigit() and int(part) < len(current)):
                return False, None, ""
            current, verbatim, own = current[int(part)], False, part
            continue
        if not isinstance(current, dict):
            return False, None, ""
        names = {name if verbatim else kebab(name): name for name in current}
        if part not in names:
            return False, None, ""
        own = names[part]
        current = current[own]
        verbatim = (not verbatim and own in _VERBATIM) or (verbatim and isinstance(current, dict))
        if verbatim and own not in _VERBATIM and "email" in current:
            verbatim = False  # one service account: its fields are the server's own again
    return True, current, own


def is_folder(value: Any, own: str) -> bool:
    """Whether the path of it ends in a slash."""
    return isinstance(value, dict) or (isinstance(value, list) and _is_folder(value, own))


def _is_folder(value: list[Any], own: str) -> bool:
    """Lists of objects and of addresses are folders; `tags` and `scopes` are values."""
    return own not in {"tags", *_LINES}


def listing(value: Any, own: str) -> str:
    """The entries of a folder, one in each line, folders with a slash."""
    if isinstance(value, list):
        return "".join(f"{i}/\n" if isinstance(v, dict) else f"{i}\n" for i, v in enumerate(value))
    verbatim = own in _VERBATIM
    if "email" in value and "scopes" in value:  # a service account has two that are made on demand
        value = {**value, "identity": "", "token": ""}
    lines = []
    for name, item in sorted(value.items()):
        shown = name if verbatim else kebab(name)
        lines.append(f"{shown}/\n" if is_folder(item, name) else f"{shown}\n")
    return "".join(lines)


def leaf_text(value: Any, own: str) -> str:
    """A value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and own in _LINES:
        return "".join(f"{item}\n" for item in value)
    return json.dumps(value)


def recursive_text(value: Any, own: str) -> str:
    """`path value` in each line."""
    lines: list[str] = []
    _flatten(value, own, own in _VERBATIM, "", lines)
    return "".join(f"{line}\n" for line in lines)


def _flatten(value: Any, own: str, verbatim: bool, path: str, lines: list[str]) -> None:
    if isinstance(value, dict):
        for name, item in sorted(value.items()):
            shown = name if verbatim else kebab(name)
            inner = name in _VERBATIM and not verbatim
            _flatten(item, name, inner, f"{path}/{shown}" if path else shown, lines)
    elif isinstance(value, list) and _is_folder(value, own):
        for index, item in enumerate(value):
            _flatten(item, str(index), False, f"{path}/{index}" if path else str(index), lines)
    else:
        lines.append(f"{path} {leaf_text(value, own)}".strip())


def etag(value: Any) -> str:
    """16 hex digits that change with the value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
