"""Reads which formats of data an image can read and write, as its install has written them.

Prints one line for each: format, name, least and greatest version, a tab between. Runs on the
builder; Python 3.9. What is wrong is said all at once, on standard error.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from typing import Any, NoReturn

EXPECTED = '{"metadata.version": {"min": 7, "max": 33}}'
MOST = 200  # formats of an image
GREATEST = 10**9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def main(path: str) -> None:
    """Print the formats that a file declares."""
    try:
        with pathlib.Path(path).open(encoding="utf-8") as file:
            declared = json.load(file, object_pairs_hook=_once)
    except (ValueError, RecursionError, OSError) as unread:
        _refuse([str(unread)])
    if not isinstance(declared, dict) or not declared or len(declared) > MOST:
        _refuse([f"it is no object of 1 to {MOST} formats"])
    wrong = [text for name, given in declared.items() for text in _mistakes(name, given)]
    if wrong:
        _refuse(wrong)
    for name, given in sorted(declared.items()):
        print("format", name, given["min"], given["max"], sep="\t")


def _mistakes(name: str, given: Any) -> list[str]:
    if not _NAME.fullmatch(name):
        return [f"{name!r} is no name of a format: at most 100 of A-Z, a-z, 0-9, '.', '_' and '-'"]
    if not isinstance(given, dict) or set(given) != {"min", "max"}:
        return [f"{name}: {given!r} is not min and max"]
    wrong = [
        f"{name}: {key} is {given[key]!r}, which is no whole number from 0"
        for key in ("min", "max")
        if type(given[key]) is not int or not 0 <= given[key] <= GREATEST
    ]
    if not wrong and given["min"] > given["max"]:
        return [f"{name}: min {given['min']} is greater than max {given['max']}"]
    return wrong


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key, value in pairs:
        if key in known:
            raise ValueError(f"{key!r} stands twice")
        known[key] = value
    return known


def _refuse(wrong: list[str]) -> NoReturn:
    sys.exit("; ".join(wrong) + f". Write it like this: {EXPECTED}")


if __name__ == "__main__":
    main(sys.argv[1])
