"""List filters, in both languages of Compute Engine.

`AIP-160`: `labels.env=prod AND (status=RUNNING OR name:web*)`. `eq`/`ne`: `name eq 'web-.*'`, a
regular expression that must match the whole value. The two cannot be mixed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from localgce.core.errors import ApiError, Json

Predicate = Callable[[Json], bool]
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\()|(?P<close>\))|(?P<op>!=|<=|>=|=|<|>|:)|
        "(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|
        (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[-+][0-9:]+)?)|
        (?P<word>[^\s()=!<>:"']+)
    )""",
    re.VERBOSE,
)
_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_DEPTH = 40


@dataclass(frozen=True)
class _Token:
    kind: str  # open, close, op, word, text
    text: str


def parse(text: str) -> Predicate:
    """The filter as a predicate over resources; raises the 400 of a bad filter."""
    try:
        return _parse(text)
    except (_Bad, re.error, RecursionError) as error:
        message = f"Invalid value for field 'filter': '{text}'. {error or 'Invalid list filter.'}"
        raise ApiError(
            400, "invalid", message, location="filter", location_type="parameter"
        ) from None


@lru_cache(maxsize=256)
def _parse(text: str) -> Predicate:
    tokens = _join_fields(list(_tokens(text)))
    if not tokens:
        return lambda _: True
    words = {t.text for t in tokens if t.kind == "word"}
    matching = bool(words & {"eq", "ne"}) and not any(t.kind == "op" for t in tokens)
    parser = _Parser(tokens, matching=matching)
    predicate = parser.expression(0)
    if parser.peek() is not None:
        raise _Bad("Invalid list filter.")
    return predicate


class _Bad(ValueError):
    pass


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found or found.end() == at:
            raise _Bad("Invalid list filter.")
        at = found.end()
        kind = str(found.lastgroup)
        value = found[kind]
        if kind in {"double", "single"}:
            # Only quotes are unescaped: other backslashes belong to regular expressions.
            yield _Token("text", re.sub(r"\\([\"'])", r"\1", value))
        else:
            yield _Token("text" if kind == "time" else kind, value)


def _join_fields(tokens: list[_Token]) -> list[_Token]:
    """Join `labels."a b"`, which is a word that ends in a dot and a text, to one field."""
    joined: list[_Token] = []
    for token in tokens:
        if joined and joined[-1].kind == "word" and joined[-1].text.endswith("."):
            joined[-1] = _Token("word", f'{joined[-1].text}"{token.text}"')
        else:
            joined.append(token)
    return joined


class _Parser:
    def __init__(self, tokens: list[_Token], *, matching: bool) -> None:
        self._tokens = tokens
        self._at = 0
        self._matching = matching

    def peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token:
        token = self.peek()
        if token is None:
            raise _Bad("Invalid list filter.")
        self._at += 1
        return token

    def _takes(self, word: str) -> bool:
        token = self.peek()
        taken = token is not None and token.kind == "word" and token.text == word
        self._at += taken
        return taken

    def expression(self, depth: int) -> Predicate:
        """Terms joined by AND, which may be omitted; OR has precedence, as in AIP-160."""
        if depth > _DEPTH:
            raise _Bad("The filter is nested too deeply.")
        terms = [self._alternatives(depth)]
        while (token := self.peek()) is not None and token.kind != "close":
            self._takes("AND")
            terms.append(self._alternatives(depth))
        return terms[0] if len(terms) == 1 else lambda item: all(term(item) for term in terms)

    def _alternatives(self, depth: int) -> Predicate:
        terms = [self._term(depth)]
        while self._takes("OR"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else lambda item: any(term(item) for term in terms)

    def _term(self, depth: int) -> Predicate:
        token = self._next()
        if token.kind == "word" and token.text == "NOT":
            inner = self._term(depth)
            return lambda item: not inner(item)
        if token.kind == "open":
            inside = self.expression(depth + 1)
            if self._next().kind != "close":
                raise _Bad("Invalid list filter.")
            return inside
        if token.kind != "word":
            raise _Bad("Invalid list filter.")
        if token.text.startswith("-") and len(token.text) > 1:
            compare = self._comparison(token.text[1:])
            return lambda item: not compare(item)
        return self._comparison(token.text)

    def _comparison(self, field: str) -> Predicate:
        path = _path(field)
        operator = self._next()
        if self._matching:
            return self._match(path, operator)
        value = self._next()
        if operator.kind != "op":
            raise _Bad("Invalid list filter.")
        if value.kind == "open":
            return self._values_of(path, operator.text, 0)
        if value.kind not in {"word", "text"}:
            raise _Bad("Invalid list filter.")
        return _compare(path, operator.text, value)

    def _values_of(self, path: list[str], operator: str, depth: int) -> Predicate:
        """`status=(RUNNING OR STOPPING)`: the comparison with each value, combined."""
        if depth > _DEPTH:
            raise _Bad("The filter is nested too deeply.")
        terms = [[self._value_of(path, operator, depth)]]
        while (token := self.peek()) is not None and token.kind != "close":
            if self._takes("OR"):
                terms[-1].append(self._value_of(path, operator, depth))
            else:
                self._takes("AND")
                terms.append([self._value_of(path, operator, depth)])
        if self._next().kind != "close":
            raise _Bad("Invalid list filter.")
        return lambda item: all(any(one(item) for one in either) for either in terms)

    def _value_of(self, path: list[str], operator: str, depth: int) -> Predicate:
        if self._takes("NOT"):
            inner = self._value_of(path, operator, depth)
            return lambda item: not inner(item)
        value = self._next()
        if value.kind == "open":
            return self._values_of(path, operator, depth + 1)
        if value.kind not in {"word", "text"}:
            raise _Bad("Invalid list filter.")
        return _compare(path, operator, value)

    def _match(self, path: list[str], operator: _Token) -> Predicate:
        value = self._next()
        if operator.text not in {"eq", "ne"} or value.kind not in {"word", "text"}:
            raise _Bad("Invalid list filter.")
        pattern = re.compile(value.text)
        wanted = operator.text == "eq"
        return lambda item: _any(path, item, lambda v: bool(pattern.fullmatch(_text(v)))) == wanted


def _path(field: str) -> list[str]:
    parts = [quoted or plain for quoted, plain in _FIELD.findall(field)]
    if not parts:
        raise _Bad("Invalid list filter.")
    return parts


def _compare(path: list[str], operator: str, value: _Token) -> Predicate:
    text = value.text
    if operator == ":":
        return _has(path, value)
    if operator in _ORDER:
        order = _ORDER[operator]
        return lambda item: _any(path, item, lambda v: _ordered(order, v, text))
    glob = _glob(text) if value.kind == "word" and "*" in text else None
    same: Callable[[Any], bool] = (
        (lambda v: bool(glob.fullmatch(_text(v)))) if glob else (lambda v: _equal(v, text))
    )
    wanted = operator == "="
    return lambda item: _any(path, item, same) == wanted


def _has(path: list[str], value: _Token) -> Predicate:
    """`:*` tests that the field exists; `:` is contains for strings, equals for others."""
    text = value.text
    if text == "*":
        return lambda item: any(True for _ in _values(path, item))
    needle = text.strip("*").lower() if value.kind == "word" else text.lower()

    def holds(found: Any) -> bool:
        if isinstance(found, dict):
            return text in found
        return needle in found.lower() if isinstance(found, str) else _equal(found, text)

    return lambda item: _any(path, item, holds)


def _glob(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _any(path: list[str], item: Json, test: Callable[[Any], bool]) -> bool:
    return any(test(value) for value in _values(path, item))


def _values(path: list[str], item: Any) -> Iterator[Any]:
    if isinstance(item, list):
        for one in item:
            yield from _values(path, one)
    elif not path:
        yield item
    elif isinstance(item, dict):
        # A label's key may itself hold dots: the longest name that is there wins.
        for end in range(len(path), 0, -1):
            name = ".".join(path[:end])
            if name in item:
                yield from _values(path[end:], item[name])
                return


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return _text(value) == text.lower()
    if isinstance(value, (int, float)):
        return _number(text) == value
    return bool(value == text)


def _ordered(order: Callable[[Any, Any], bool], value: Any, text: str) -> bool:
    left, right = _number(_text(value)), _number(text)
    if left is not None and right is not None:
        return order(left, right)
    earlier, later = _time(_text(value)), _time(text)
    if earlier is not None and later is not None:
        return order(earlier, later)
    return order(_text(value), text)


def _time(text: str) -> datetime | None:
    """A time with any zone; a date alone is midnight in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
