"""Jinja2 for shell scripts: undefined names are errors, and `sh` quotes for the shell.

Comments are `<# … #>`, since `{#` is bash's own in `${#array[@]}`. Templates are programs of whoever
may push a branch: they are compiled here and rendered by recipe/rendering.py, in a limited process.
"""

from __future__ import annotations

import re
import secrets
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import FunctionLoader, nodes

from bakehouse.guest.render import Fault, Sandbox, noting, where
from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

TEMPLATES = "templates/"
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
        self._values: list[Value] = []
        self._inside: set[int] = set()  # values of a text that was captured

    def place(self, value: Quoted, template: str, number: int) -> str:
        self._values.append(Value(str(value), value.words, template, number))
        return f"{self._prefix}{len(self._values) - 1}E"

    def sh(self, value: object) -> Quoted:
        return sh(self._token.sub(self._captured, value) if isinstance(value, str) else value)

    def script(self, text: str) -> Script:
        parts = self._token.split(text)
        pieces = tuple(int(part) if n % 2 else part for n, part in enumerate(parts))
        found = {piece for piece in pieces if isinstance(piece, int)} | self._inside
        if len(found) < len(self._values):
            lost = next(v for n, v in enumerate(self._values) if n not in found)
            raise ValueError(f"a value of {lost.template} is changed after its filter sh")
        return Script(pieces, tuple(self._values))

    def _captured(self, token: re.Match[str]) -> str:
        self._inside.add(int(token[1]))
        return self._values[int(token[1])].text


class ScriptSandbox(Sandbox):
    """The sandbox for scripts; each rendering needs an environment of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.placer = _Placer()
        self.filters["sh"] = self.placer.sh
        self.filters["bakehouse_place"] = self.placer.place

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, **options: Any
    ) -> str:
        for number, (output, index) in enumerate(outputs(source)):
            output.nodes[index] = _placed(output.nodes[index], name or "", number)
        return super()._generate(source, name, filename, **options)


def outputs(node: nodes.Node) -> Iterator[tuple[nodes.Output, int]]:
    """Yield all expressions that write into a script, in the order of the template."""
    if isinstance(node, nodes.Output):
        for index, child in enumerate(node.nodes):
            if not isinstance(child, nodes.TemplateData):
                yield node, index
        return
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Stmt):
            yield from outputs(child)


def captured(node: nodes.Node) -> Iterator[nodes.Output]:
    """Yield what does not write into the script itself: a value, or a filter, takes it."""
    for child in node.find_all(_CAPTURING):
        yield from child.find_all(nodes.Output)


def _placed(value: nodes.Expr, template: str, number: int) -> nodes.Expr:
    if isinstance(value, nodes.CondExpr):
        value.expr1 = _placed(value.expr1, template, number)
        value.expr2 = _placed(value.expr2, template, number) if value.expr2 else None
    if not isinstance(value, nodes.Filter) or value.name != "sh":
        return value
    arguments = [nodes.Const(template), nodes.Const(number)]
    return nodes.Filter(
        value, "bakehouse_place", arguments, [], None, None, lineno=value.lineno
    )


def script_environment(sources: Mapping[str, str], folder: str) -> ScriptSandbox:
    """Return an environment with templates by path; `folder` is their prefix in messages."""

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (sources[name], f"{folder}/{name}", lambda: True) if name in sources else None

    return ScriptSandbox(
        loader=FunctionLoader(load),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="<#",
        comment_end_string="#>",
    )


def render_script(environment: ScriptSandbox, name: str, names: Mapping[str, Any]) -> Script:
    """Render a script. Raises Faults with every undefined name, or another error."""
    try:
        return environment.placer.script(environment.get_template(name).render(names))
    except Exception as error:
        undefined = _undefined(environment, name, names)
        raise Faults([where(error, name, _is_template), *undefined]) from error


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
