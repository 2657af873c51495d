"""Jinja2 for shell scripts: undefined names are errors, and `sh` quotes for the shell.

Comments are `<# … #>`, since `{#` is bash's own in `${#array[@]}`.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import (
    ChainableUndefined,
    Environment,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    Undefined,
)

from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TEMPLATES = "templates/"
WRONG = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)


class Fault(NamedTuple):
    """A mistake in a template, with file and line."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        """The line that people read."""
        return f"{self.file}:{self.line}: {self.problem}"


class RenderError(ValueError):
    """A script or template cannot be rendered; the message has file and line."""


class Faults(RenderError):
    """All mistakes of a script, in the order of its lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Sort the faults and drop duplicates."""
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


def sh(value: object) -> str:
    """Quote a value as one shell word, a list as several; booleans become true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return " ".join(map(sh, value))
    return shlex.quote(str(value))


def script_environment(sources: Mapping[str, str], folder: str) -> Environment:
    """Return an environment with templates by path; `folder` is their prefix in messages."""

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (sources[name], f"{folder}/{name}", lambda: True) if name in sources else None

    environment = Environment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["sh"] = sh
    return environment


def render_script(environment: Environment, name: str, names: Mapping[str, Any]) -> str:
    """Render a script. Raises Faults with every undefined name, or another error."""
    try:
        return environment.get_template(name).render(names)
    except WRONG as error:
        raise Faults([where(error, name), *_undefined(environment, name, names)]) from error


def _undefined(environment: Environment, name: str, names: Mapping[str, Any]) -> list[Fault]:
    """Find all undefined names; a strict rendering stops at the first one."""
    faults = list[Fault]()
    with suppress(*WRONG):  # reported by the strict rendering, or caused by a name that was noted
        environment.overlay(undefined=_noting(faults)).get_template(name).render(names)
    return faults


def _noting(faults: list[Fault]) -> type[Undefined]:
    """Return an Undefined that records where it is used and lets the rendering continue."""

    def note(self: Undefined, *_arguments: object) -> Undefined:
        frame = sys._getframe(1)
        while "__jinja_template__" not in frame.f_globals and frame.f_back:
            frame = frame.f_back
        if template := frame.f_globals.get("__jinja_template__"):
            line = template.get_corresponding_lineno(frame.f_lineno)
            faults.append(Fault(frame.f_code.co_filename, line, self._undefined_message))
        return self

    def nothing(value: object) -> Callable[..., object]:
        def method(self: Undefined, *_arguments: object) -> object:
            note(self)
            return value

        return method

    failing = Undefined._fail_with_undefined_error
    operators = {name: note for name, method in vars(Undefined).items() if method is failing}
    values = {"__str__": "", "__len__": 0, "__bool__": False, "__eq__": False, "__ne__": True}
    ends = {name: nothing(value) for name, value in {**values, "__iter__": iter(())}.items()}
    return type("Noting", (ChainableUndefined,), {**operators, **ends})


def bad_templates(texts: Mapping[str, str], folder: str) -> list[Mistake]:
    """Find invalid templates among those that an instance renders at boot."""
    plain = Environment(undefined=StrictUndefined)
    wrong = []
    for name, text in texts.items():
        if name.partition("/")[2].startswith(TEMPLATES) and name.endswith(".j2"):
            try:
                plain.parse(text, name, f"{folder}/{name}")
            except TemplateError as error:
                fault = where(error, f"{folder}/{name}")
                wrong.append(Mistake(fault.file, fault.line, "", "", fault.problem, "Correct it"))
    return wrong


def where(error: Exception, name: str) -> Fault:
    """Locate an error of Jinja2: file, line and problem."""
    file = getattr(error, "filename", None) or name
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if "jinja" not in trace.tb_frame.f_code.co_filename.lower():
            code_file = trace.tb_frame.f_code.co_filename
            if not code_file.endswith(".py"):
                file, line = code_file, trace.tb_lineno
        trace = trace.tb_next
    return Fault(file, line, str(getattr(error, "message", None) or error).rstrip("."))
