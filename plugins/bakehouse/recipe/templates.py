"""Jinja2 for shell scripts: undefined names are errors, and `sh` quotes for the shell.

Comments are `<# … #>`, since `{#` is bash's own in `${#array[@]}`. Templates are programs of
whoever may push a branch: recipe/rendering.py renders them in a limited process.
"""

from __future__ import annotations

import re
import secrets
import shlex
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import BytecodeCache, FunctionLoader, meta, nodes

from bakehouse.guest.render import Fault, Sandbox, noting, where
from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import CodeType

    from jinja2.bccache import Bucket

TEMPLATES = "templates/"
SCRIPT = ".sh.j2"  # the end of the name of a script's template
_MOST_COMPILED = 256
_CAPTURING = (nodes.Macro, nodes.CallBlock, nodes.AssignBlock, nodes.FilterBlock)


class RenderError(ValueError):
    """A script or template cannot be rendered; the message has file and line."""


class Faults(RenderError):
    """All mistakes of a script, in the order of its lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Sort the faults and drop duplicates."""
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


class Quoted(str):
    """A value as words of the shell."""

    __slots__ = ("words",)
    words: int


def sh(value: object) -> Quoted:
    """Quote a value as one shell word, a list as several; numbers, true and false need no quotes.

    A text is always in quotes: `if` or `A=b` at the start of a command, and `2` before `>`, are no
    words to the shell.
    """
    if isinstance(value, list | tuple):
        found = Quoted(" ".join(map(sh, value)))
        found.words = len(value)
        return found
    if isinstance(value, bool):
        found = Quoted("true" if value else "false")
    elif isinstance(value, int | float):
        found = Quoted(value)
    else:
        text = str(value)
        found = Quoted(f"'{text}'" if "'" not in text else shlex.quote(text))
    found.words = 1
    return found


class Value(NamedTuple):
    """A value in a rendered script: its text, and which expression of which template wrote it."""

    text: str
    words: int
    template: str
    number: int  # of the expression in its template


class Script(NamedTuple):
    """A rendered script, in pieces: a text, or the number of a value."""

    pieces: tuple[str | int, ...]
    values: tuple[Value, ...]

    def text(self) -> str:
        """Return the script itself."""
        return "".join(p if isinstance(p, str) else self.values[p].text for p in self.pieces)


class _Placer:
    """Notes where in a script each value stands.

    While a template is rendered, a token stands for each value that `sh` has written. So the shell
    code around the values is known whatever conditions, loops and includes it was made of.
    """

    def __init__(self) -> None:
        self._prefix = f"BAKEHOUSE{secrets.token_hex(8)}N"
        self._token = re.compile(f"{self._prefix}([0-9]+)E")
        self.begin()

    def begin(self) -> None:
        """Forget the values of another rendering."""
        self._values: list[Value] = []
        self._inside: set[int] = set()  # values of a text that was captured

    def place(self, value: Quoted, template: str, number: int, captured: bool) -> str:
        self._values.append(Value(str(value), value.words, template, number))
        if captured:
            self._inside.add(len(self._values) - 1)
        return f"{self._prefix}{len(self._values) - 1}E"

    def sh(self, value: object) -> Quoted:
        return sh(self._token.sub(self._captured, value) if isinstance(value, str) else value)

    def script(self, text: str) -> Script:
        """Return the script that a rendering has made."""
        values, inside = self._values, self._inside
        parts = self._token.split(text)
        pieces = tuple(int(part) if n % 2 else part for n, part in enumerate(parts))
        found = {piece for piece in pieces if isinstance(piece, int)} | inside
        lost = [value for n, value in enumerate(values) if n not in found]
        left = self._prefix.lower() in "".join(parts[::2]).lower()
        if lost or left:
            names = lost or values
            raise ValueError(f"a value of {names[0].template} is changed after its filter sh")
        return Script(pieces, tuple(values))

    def _captured(self, token: re.Match[str]) -> str:
        self._inside.add(int(token[1]))
        return self._values[int(token[1])].text


class _Compiled(BytecodeCache):
    """Keeps compiled templates: all recipes include the same ones."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Set the code of a template."""
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        if len(self._codes) >= _MOST_COMPILED:
            self._codes.clear()
        self._codes[bucket.key, bucket.checksum] = bucket.code


class ScriptSandbox(Sandbox):
    """The sandbox for scripts; one rendering at a time."""

    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(**options)
        self.folder = folder
        self.placer = _Placer()
        del self.filters["random"], self.globals["lipsum"]  # a bundle is rendered again, and equal
        self.filters["sh"] = self.placer.sh
        self.filters["bakehouse_place"] = self.placer.place

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        inside = captured(source)
        for number, (output, index) in enumerate(outputs(source)):
            place = (name or "", number, id(output) in inside)
            output.nodes[index] = _placed(output.nodes[index], place)
        return super()._generate(source, name, filename, defer_init)


def outputs(node: nodes.Node) -> Iterator[tuple[nodes.Output, int]]:
    """Yield all expressions that write into a script, in the order of the template."""
    if isinstance(node, nodes.Output):
        for index, child in enumerate(node.nodes):
            if not isinstance(child, nodes.TemplateData):
                yield node, index
        return
    for below in node.iter_child_nodes():
        if isinstance(below, nodes.Stmt):
            yield from outputs(below)


def captured(node: nodes.Node) -> set[int]:
    """Return the ids of outputs that do not write into the script: a value or filter takes them."""
    return {id(one) for block in node.find_all(_CAPTURING) for one in block.find_all(nodes.Output)}


def _placed(value: nodes.Expr, place: tuple[str, int, bool]) -> nodes.Expr:
    if isinstance(value, nodes.CondExpr):
        value.expr1 = _placed(value.expr1, place)
        value.expr2 = _placed(value.expr2, place) if value.expr2 else None
    if not isinstance(value, nodes.Filter) or value.name != "sh":
        return value
    arguments = [nodes.Const(argument) for argument in place]
    return nodes.Filter(value, "bakehouse_place", arguments, [], None, None, lineno=value.lineno)


_COMPILED = _Compiled()


def script_environment(sources: Mapping[str, str], folder: str) -> ScriptSandbox:
    """Return an environment with templates by path; `folder` is their prefix in messages."""

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (sources[name], f"{folder}/{name}", lambda: True) if name in sources else None

    return ScriptSandbox(
        folder,
        bytecode_cache=_COMPILED,
        loader=FunctionLoader(load),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="<#",
        comment_end_string="#>",
    )


def render_script(environment: ScriptSandbox, name: str, names: Mapping[str, Any]) -> Script:
    """Render a script. Raises Faults with every undefined name, or another error."""
    environment.placer.begin()
    try:
        return environment.placer.script(environment.get_template(name).render(names))
    except Exception as error:
        fault = where(error, f"{environment.folder}/{name}", _is_template)
        raise Faults([fault, *_undefined(environment, name, names)]) from error


@lru_cache(maxsize=1024)
def references(text: str) -> tuple[str | None, ...]:
    """Return the templates that one includes or imports; None for a name that is a value."""
    if "include" not in text and "import" not in text and "extends" not in text:
        return ()  # as in most scripts, which are then parsed once
    with suppress(Exception):  # of the parser: its rendering reports it
        return tuple(meta.find_referenced_templates(script_environment({}, "").parse(text)))
    return ()


def with_references(templates: Iterable[str], sources: Mapping[str, str]) -> dict[str, str]:
    """Return the templates, and all that they include, by path."""
    found, waiting = dict[str, str](), list(templates)
    while waiting:
        name = waiting.pop()
        if name not in found and name in sources:
            found[name] = sources[name]
            waiting += (one for one in references(found[name]) if one)
    return found


def _undefined(environment: ScriptSandbox, name: str, names: Mapping[str, Any]) -> list[Fault]:
    """Find all undefined names; a strict rendering stops at the first one."""
    faults = list[Fault]()
    with suppress(Exception):  # reported by the strict rendering, or caused by a noted name
        environment.overlay(undefined=noting(faults)).get_template(name).render(names)
    return faults


def bad_templates(texts: Mapping[str, str], folder: str) -> list[Mistake]:
    """Find invalid templates among those that an instance renders at boot."""
    plain = Sandbox()
    wrong = []
    for name, text in texts.items():
        if name.partition("/")[2].startswith(TEMPLATES) and name.endswith(".j2"):
            try:
                plain.compile(text, name, f"{folder}/{name}")
            except Exception as error:  # of Jinja2's parser, or of Python's compiler
                fault = where(error, f"{folder}/{name}", _is_template)
                wrong.append(Mistake(fault.file, fault.line, "", "", fault.problem, "Correct it"))
    return wrong


def _is_template(file: str) -> bool:
    return not file.endswith(".py") and not file.startswith("<")
