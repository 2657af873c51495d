"""Line ends and encodings of what a guest executes. Pure.

`#!/bin/bash` with CR LF names a program that does not exist, and `dir=/opt/app` a folder whose name
ends in CR. Files that no machine executes may have whatever they have.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.recipe.commit import SCRIPTS, shown
from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EXECUTED = frozenset({"health", "gate", "drain", "resume", "finalise", "smoke_test.sh"})
_SHELL = (".sh", ".bash")
_SCRIPT, _TEMPLATE, _AT_BOOT = ".sh.j2", ".j2", "templates/"
_ELF = b"\x7fELF"
_WIDE = {  # the longer marks first: that of UTF-16 is the beginning of that of UTF-32
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_LINE_END = re.compile(rb"\r\n?")
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+", re.MULTILINE)
_WITHOUT_CR = "Save it with LF, as `sed -i 's/\\r$//' FILE` does"
_LONE = "Write LF, or $'\\r' where a carriage return is meant"
_LOOK, _PAIR = 64, 2  # bytes
_AS_UTF8 = "Save it as UTF-8 without a byte order mark"


class Problem(NamedTuple):
    """What is wrong with a text, and where it is first so."""

    line: int
    value: str
    problem: str
    remedy: str


def wrong_text(path: str, data: bytes) -> list[Mistake]:
    """Find line ends and encodings that a machine would stumble over; `path` is below SCRIPTS."""
    own = path.partition("/")[2] or path
    found: Iterable[Problem]
    if own.startswith(_AT_BOOT) and own.endswith(_TEMPLATE):
        found = _not_utf8(data)
    elif own.endswith(_SCRIPT):
        found = _encoding(data)  # Jinja2 turns all line ends into LF
    elif own in _EXECUTED or posixpath.splitext(own)[1] in _SHELL or _has_shebang(data):
        found = _script(data, is_ours=own in _EXECUTED)
    else:
        return []
    file = f"{SCRIPTS}/{shown(path)}"
    return [Mistake(file, p.line, "", p.value, p.problem, p.remedy) for p in found]


def _has_shebang(data: bytes) -> bool:
    return data.removeprefix(codecs.BOM_UTF8).startswith(b"#!")


def _script(data: bytes, *, is_ours: bool) -> Iterator[Problem]:
    if data.startswith(_ELF):
        return
    wide = _wide(data)
    if wide:
        yield wide
        return
    if b"\0" in data and not is_ours and data.startswith(b"#!"):  # an archive that unpacks itself
        first = data.partition(b"\n")[0]
        yield from _line_ends(first + b"\n" if first.endswith(b"\r") else b"")
        return
    yield from _encoding(data)
    yield from _line_ends(data)


def _encoding(data: bytes) -> Iterator[Problem]:
    wide = _wide(data)
    if wide:
        yield wide
        return
    if data.startswith(codecs.BOM_UTF8):
        problem = "begins with a byte order mark, which a shell takes for a part of the first word"
        yield Problem(1, "", problem, _AS_UTF8)
    if (nul := data.find(b"\0")) >= 0:
        yield Problem(_line(data, nul), "", "has a NUL byte", "Remove it: a script is a text")
        return
    if not _CODING.search(b"\n".join(data.split(b"\n", 2)[:2])):
        yield from _not_utf8(data)  # Python, Perl and Ruby let a script say its encoding


def _not_utf8(data: bytes) -> Iterator[Problem]:
    if wide := _wide(data):
        yield wide
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as other:
        value = f"the byte 0x{data[other.start]:02x}"
        yield Problem(_line(data, other.start), value, "is not UTF-8", _AS_UTF8)


def _wide(data: bytes) -> Problem | None:
    """Return the problem of a text with two or four bytes a character."""
    for mark, name in _WIDE.items():
        if data.startswith(mark):
            return Problem(1, name, "is not UTF-8", _AS_UTF8)
    start = data[:_LOOK]
    if len(start) >= _PAIR * 2 and (not any(start[1::2]) or not any(start[0::2])) and any(start):
        return Problem(1, "UTF-16", "is not UTF-8", _AS_UTF8)
    return None


def _line_ends(data: bytes) -> Iterator[Problem]:
    ends = list(_LINE_END.finditer(data))
    if not ends:
        return
    crlf = [end for end in ends if end[0] == b"\r\n"]
    lone = [end for end in ends if end[0] == b"\r"]
    for found, name, remedy in ((crlf, "CR LF", _WITHOUT_CR), (lone, "a lone CR", _LONE)):
        if found:
            line = _line(data, found[0].start())
            more = f", as {len(found) - 1} more" if len(found) > 1 else ""
            verb = "ends in" if found is crlf else "has"
            yield Problem(line, "", f"{verb} {name}{more}", remedy)


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1
