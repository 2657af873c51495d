"""Jinja2 for shell scripts: undefined names are errors, `sh` quotes for the shell.

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
    """What is wrong in a template, and where."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


class RenderError(ValueError):
    """A script or template that cannot be rendered; the message names file and line."""


class Faults(RenderError):
    """All that is wrong in a script, in the order of its lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


def sh(value: object) -> str:
    """One shell word, or a list's words; true and false as a shell script spells them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return " ".join(map(sh, value))
    return shlex.quote(str(value))


def script_environment(sources: Mapping[str, str], folder: str) -> Environment:
    """Templates by their path; `folder` stands before it in messages and tracebacks."""

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
    """Raises Faults with every name that is undefined, or what else ends the rendering."""
    try:
        return environment.get_template(name).render(names)
    except WRONG as error:
        raise Faults([where(error, name), *_undefined(environment, name, names)]) from error


def _undefined(environment: Environment, name: str, names: Mapping[str, Any]) -> list[Fault]:
    """A strict rendering ends at the first undefined name; this one goes on as far as it can."""
    faults = list[Fault]()
    with suppress(*WRONG):  # told by the strict one, or a consequence of what was noted
        environment.overlay(undefined=_noting(faults)).get_template(name).render(names)
    return faults


def _noting(faults: list[Fault]) -> type[Undefined]:
    """An undefined name that notes where it is used, and goes on as itself or as nothing."""

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
    """Of a recipe's scripts (`<scripts>/<path>`) those that the guest will render, parsed now."""
    plain = Environment(undefined=StrictUndefined)
    wrong = []
    for name, text in texts.items():
        if name.partition("/")[2].startswith(TEMPLATES) and name.endswith(".j2"):
            try:
                plain.parse(text, name, f"{folder}/{name}")
            except TemplateError as error:
                fault = where(error, f"{folder}/{name}")
                wrong.append(Mistake(fault.file, fault.line, "", "", fault.problem, "Mend it"))
    return wrong


def where(error: Exception, name: str) -> Fault:
    """File and line of the template that is wrong, and what is."""
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
