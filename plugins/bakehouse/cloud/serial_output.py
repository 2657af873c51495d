"""Parse serial output: whole lines, and the guest's structured lines. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|[\x00-\x08\x0b-\x1f\x7f]")
_SAID = re.compile(r"bakehouse (\{.*\})\s*$")


@dataclass(frozen=True)
class Chunk:
    """Whole lines from an offset, and the offset after them (bytes)."""

    lines: tuple[str, ...]
    next: int
    lost: int = 0  # bytes that the ring had dropped before they were read
    rest: str = field(default="", compare=False)  # read, and not among the lines


def split(answer: Mapping[str, Any], asked: int, limit: int, last: bool = False) -> Chunk:
    """Split a getSerialPortOutput answer into at most `limit` whole lines.

    An unfinished line stays unread unless this is the last read. Offsets are counted from the
    answer's end, which Compute Engine names: a byte that is no UTF-8 comes as another character.
    """
    start = int(answer.get("start", asked))
    text = str(answer.get("contents", ""))
    end = int(answer.get("next", start + len(text.encode())))
    # Keep \r: it belongs to the offset, and is dropped only from what is shown.
    pieces = text.split("\n", limit)
    taken, rest = pieces[:-1], pieces[-1]
    if last and rest and "\n" not in rest and len(taken) < limit:
        taken, rest = [*taken, rest], ""
    at = end - len(rest.encode())
    return Chunk(tuple(clean(t) for t in taken), at, max(0, start - asked), rest)


def clean(line: str) -> str:
    """Remove control characters and escape sequences from a line."""
    return _ESCAPES.sub("", line.rstrip("\r")).rstrip()


def said(lines: Iterable[str], nonce: str) -> tuple[dict[str, Any], ...]:
    """Return the structured lines of this guest, with the right nonce, in order."""
    found = (_parse(line) for line in lines)
    return tuple(f for f in found if f is not None and f.get("nonce") == nonce)


def shown(line: str) -> str:
    """Return the line for the task log; structured lines are written out, others are marked."""
    found = _parse(line)
    return f"  │ {line}" if found is None else f"guest reports: {_in_words(found)}"


def is_structured(line: str) -> bool:
    """Whether it is a structured line, of this guest or of another."""
    return _parse(line) is not None


def _in_words(line: Mapping[str, Any]) -> str:
    if "stage" in line:
        return f"stage {line['stage']}"
    if isinstance(check := line.get("check"), Mapping):
        mark = "passed" if check.get("ok") else "FAILED"
        return f"check {check.get('name')} {mark} {check.get('detail') or ''}".rstrip()
    if isinstance(health := line.get("health"), Mapping):
        return f"health {health.get('state')} {health.get('detail') or ''}".rstrip()
    if "result" in line:
        return f"result {line['result']}"
    return ", ".join(f"{key} {_short(value)}" for key, value in line.items() if key != "nonce")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"({len(text)} characters)"


def _parse(line: str) -> dict[str, Any] | None:
    match = _SAID.search(line)
    if match is None:
        return None
    try:
        value = json.loads(match[1])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
