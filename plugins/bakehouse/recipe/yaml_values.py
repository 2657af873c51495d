"""YAML as it stands in the file: a value keeps its text, or is refused. Pure.

YAML 1.1 guesses the types of unquoted values: 0644 is 420, 22:22 is 1342, NO is false, 3.10 is 3.1.
Here a value that is not quoted is a number, true or false only if it is written as such again;
every other guess is a mistake, whose remedy is quotes. Keys are texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bakehouse.recipe.mistakes import Mistake, Mistakes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml is ten times slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

Path = tuple[str | int, ...]

MAX_BYTES = 262_144  # of a file: what people write by hand is far smaller
_MAX_DEPTH = 50  # libyaml's composer recurses in C, and ends the process at some thousand
_MAX_VALUES = 10_000  # with aliases expanded
_MAX_LENGTH = 60
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # fits 64 bits, as JSON and msgpack carry it
_TAGS = "tag:yaml.org,2002:"
_TEXT, _NULL = f"{_TAGS}str", f"{_TAGS}null"
_KEYS_ONLY = frozenset({"value", "merge"})  # = and << are special as keys alone
_FLAGS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


class Document(NamedTuple):
    """The nodes of a file, its values, and the mistakes among them."""

    root: Node | None
    data: Any
    mistakes: list[Mistake]


def read(text: str, path: str, is_flag: Callable[[Path], bool] = lambda _: False) -> Document:
    """Read a file with one document. Raises Mistakes if it is not YAML.

    Args:
        text: The content of the file.
        path: The file, for messages.
        is_flag: Whether the field at a path is either true or false; YAML's yes and off are too.
    """
    if len(text) > MAX_BYTES:
        raise Mistakes([too_big(path)])
    try:
        _refuse_depth(text, path)
        mistakes = list(_unused_anchors(text, path))
        root = compose(text)
    except Mistakes:
        raise
    except yaml.MarkedYAMLError as broken:
        raise Mistakes([_not_yaml(broken, text, path)]) from None
    except yaml.reader.ReaderError as broken:
        raise Mistakes([_not_text(broken, text, path)]) from None
    except (ValueError, yaml.YAMLError) as broken:
        raise Mistakes([Mistake(path, 1, "the file", "", f"is not YAML: {broken}", "")]) from None
    reader = _Reader(path, is_flag)
    data = reader.value(root, ()) if root else {}
    return Document(root, data, [*mistakes, *reader.mistakes])


def compose(text: str) -> Node | None:
    """Return the nodes of a text, which `read` has found to be a document."""
    loader = Loader(text)
    try:
        node: Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def too_big(path: str) -> Mistake:
    """Return the mistake of a file with more than MAX_BYTES."""
    return Mistake(path, 1, "the file", "", f"has more than {MAX_BYTES:,} bytes", "Shorten it")


def dotted(loc: Path) -> str:
    """Write ('builder', 'zones', 0) as builder.zones[0]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the file"


def show(node: Node) -> str:
    """Return a value for a message."""
    if not isinstance(node, ScalarNode):
        return "a list" if isinstance(node, SequenceNode) else "a mapping"
    return shorten(repr(node.value))


def shorten(text: str) -> str:
    """Return a text for a message."""
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def quoted(text: str) -> str:
    """Return the remedy for a value that must be a text."""
    written = f'"{text}"' if re.fullmatch(r"[\w .:+~/=-]*", text) else f"'{text}'"
    return f"Write it in quotes: {shorten(written)}"


class _Reader:
    """Turns nodes into values, and notes every mistake on the way."""

    def __init__(self, path: str, is_flag: Callable[[Path], bool]) -> None:
        self.mistakes: list[Mistake] = []
        self._path = path
        self._is_flag = is_flag
        self._around: set[int] = set()  # nodes that contain the current one
        self._count = 0

    def value(self, node: Node, loc: Path) -> Any:
        self._count += 1
        if self._count > _MAX_VALUES:
            problem = f"has more than {_MAX_VALUES:,} values with its aliases"
            raise Mistakes([*self.mistakes, self._at(node, (), problem, "Shorten the file")])
        if isinstance(node, ScalarNode):
            return self._scalar(node, loc)
        if id(node) in self._around:
            self._note(node, loc, "contains itself", "Write the value instead of its alias")
            return None
        self._around.add(id(node))
        self._expect_tag(node, loc, "map" if isinstance(node, MappingNode) else "seq")
        found = self._mapping(node, loc) if isinstance(node, MappingNode) else self._list(node, loc)
        self._around.remove(id(node))
        return found

    def _list(self, node: Node, loc: Path) -> list[Any]:
        return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, loc: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                remedy = "Write the whole value in quotes if it is a text"
                self._note(key, loc, "has a list or mapping as a key", remedy)
            elif key.value in lines:
                self._twice(key, loc, lines[key.value])
                found[key.value] = self.value(value, (*loc, key.value))
            else:
                lines[key.value] = key.start_mark.line + 1
                if key.value == "<<" and not key.style:
                    merged = self._merged(value, loc)
                else:
                    found[key.value] = self.value(value, (*loc, key.value))
        return {**merged, **found}

    def _merged(self, node: Node, loc: Path) -> dict[str, Any]:
        """The mappings of a merge key; the first of a list wins."""
        values = self.value(node, loc)
        listed = values if isinstance(values, list) else [values]
        if not all(isinstance(one, dict) for one in listed):
            self._note(node, (*loc, "<<"), "does not merge a mapping", "Write the keys here")
            return {}
        return {key: value for one in reversed(listed) for key, value in one.items()}

    def _twice(self, key: ScalarNode, loc: Path, first: int) -> None:
        remedy = f"Keep one of them: the other is on line {first}"
        where = dotted((*loc, key.value))
        line = key.start_mark.line + 1
        self.mistakes.append(Mistake(self._path, line, where, "", "is given twice", remedy))

    def _scalar(self, node: ScalarNode, loc: Path) -> Any:
        text: str = node.value
        tag = node.tag.removeprefix(_TAGS)
        if node.tag == _TEXT or (not node.style and tag in _KEYS_ONLY):
            return text
        if node.style or node.tag != _guess(text):
            self._expect_tag(node, loc, "str")
            return text
        if node.tag == _NULL:
            return None
        if tag == "bool" and self._is_flag(loc):
            return _FLAGS[text.lower()]
        meant = _READERS[tag](text) if tag in _READERS else None
        if meant is not None and _written(meant) == text:
            return meant
        remedy, what = quoted(text), f"a YAML {tag}"
        if meant is not None:
            what = _written(meant)
            remedy += f", or {what} without them if you mean that"
        self._note(node, loc, f"is {what} and not the text in the file", remedy)
        return text

    def _expect_tag(self, node: Node, loc: Path, kind: str) -> None:
        if node.tag == f"{_TAGS}{kind}":
            return
        tag = node.tag.replace(_TAGS, "!!")
        remedy = "Remove the tag"
        if isinstance(node, ScalarNode):
            remedy += ", or write the whole value in quotes if the tag belongs to it"
        self._note(node, loc, f"has the tag {shorten(tag)}, which is not read", remedy)

    def _note(self, node: Node, loc: Path, problem: str, remedy: str) -> None:
        self.mistakes.append(self._at(node, loc, problem, remedy))

    def _at(self, node: Node, loc: Path, problem: str, remedy: str) -> Mistake:
        line = node.start_mark.line + 1
        return Mistake(self._path, line, dotted(loc), show(node), problem, remedy)


def _guess(text: str) -> str:
    """The tag that YAML 1.1 gives an unquoted value."""
    return str(_RESOLVER.resolve(ScalarNode, text, (True, False)))


def _written(value: object) -> str:
    """The text of a value in a script; `sh` in recipe/templates.py writes the same."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(text: str) -> int | None:
    """The number that YAML 1.1 reads; None for one that nobody needs as a number."""
    if _INTEGER.fullmatch(text):
        return int(text)
    number: int | None = _constructed("construct_yaml_int", text)
    return number


def _constructed(method: str, text: str) -> Any:
    """The value of PyYAML's constructor; None if it has none, or one that no script can use."""
    try:
        value = getattr(_RESOLVER, method)(ScalarNode(_TEXT, text))
    except ValueError:  # also a number of more digits than Python converts
        return None
    is_usual = isinstance(value, bool) or abs(value) < 10**18
    return value if is_usual else None


_RESOLVER: Any = yaml.SafeLoader("")
_READERS: dict[str, Callable[[str], Any]] = {
    "int": _integer,
    "float": lambda text: _constructed("construct_yaml_float", text),
    "bool": lambda text: _FLAGS.get(text.lower()),
}


def _refuse_depth(text: str, path: str) -> None:
    """Raise Mistakes for nesting that would end the process: the composer recurses in C."""
    if sum(map(text.count, "[{-?")) < _MAX_DEPTH and " " * _MAX_DEPTH not in text:
        return  # nothing can be nested as deep as that
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                line = _line(event)
                problem = f"is nested in more than {_MAX_DEPTH} levels"
                remedy = "Write it in quotes if it is a text"
                raise Mistakes([Mistake(path, line, "the value", "", problem, remedy)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _unused_anchors(text: str, path: str) -> Iterator[Mistake]:
    """Find anchors without an alias: `&` began a text that was meant to have it."""
    if "&" not in text:
        return
    anchors: dict[str, int] = {}
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.AliasEvent):
            anchors.pop(event.anchor or "", None)
        elif isinstance(event, yaml.NodeEvent) and event.anchor:
            anchors[event.anchor] = _line(event)
    for name, line in anchors.items():
        remedy = "Write the whole value in quotes if it begins with &, or remove the anchor"
        yield Mistake(path, line, "the value", "", f"has the anchor &{name}, without alias", remedy)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _not_yaml(broken: yaml.MarkedYAMLError, text: str, path: str) -> Mistake:
    mark = broken.problem_mark or broken.context_mark
    line = mark.line + 1 if mark else 1
    problem = f"is not YAML: {broken.problem or broken.context}"
    found = str(broken.problem)
    if "cannot start any token" in found and mark and _at_mark(text, mark) == "\t":
        remedy = "Indent by spaces, not by tabs"
    elif found == "but found another document":
        remedy = "Keep one document: remove the line ---"
    elif "undefined alias" in found or "undefined tag" in found or "cannot start" in found:
        remedy = "Write the value in quotes"
    else:
        remedy = "Check this line and the one before it"
    return Mistake(path, line, "the file", "", problem, remedy)


def _at_mark(text: str, mark: yaml.Mark) -> str:
    return text.splitlines()[mark.line][mark.column : mark.column + 1]


def _not_text(broken: yaml.reader.ReaderError, text: str, path: str) -> Mistake:
    before = text.encode("utf-8", "surrogatepass")[: broken.position].decode("utf-8", "replace")
    problem = "is not YAML: it contains a control character"
    remedy = 'Write it as an escape in double quotes, such as "\\x07"'
    return Mistake(path, before.count("\n") + 1, "the file", "", problem, remedy)
