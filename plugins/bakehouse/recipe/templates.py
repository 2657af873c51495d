"""Jinja2 for shell scripts: undefined names are errors, `sh` quotes for the shell.

Comments are `<# … #>`, since `{#` is bash's own in `${#array[@]}`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError

from bakehouse.recipe.mistakes import Mistake

TEMPLATES = "templates/"


class RenderError(ValueError):
    """A script or template that cannot be rendered; the message names file and line."""


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
    """Raises RenderError with the file and line of the template that is wrong."""
    try:
        return environment.get_template(name).render(names)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        file, line, problem = where(error, name)
        raise RenderError(f"{file}:{line}: {problem}") from error


def bad_templates(texts: Mapping[str, str], folder: str) -> list[Mistake]:
    """Of a recipe's scripts (`<scripts>/<path>`) those that the guest will render, parsed now."""
    plain = Environment(undefined=StrictUndefined)
    wrong = []
    for name, text in texts.items():
        if name.partition("/")[2].startswith(TEMPLATES) and name.endswith(".j2"):
            try:
                plain.parse(text, name, f"{folder}/{name}")
            except TemplateError as error:
                file, line, problem = where(error, f"{folder}/{name}")
                wrong.append(Mistake(file, line, "", "", problem, "Mend it"))
    return wrong


def where(error: Exception, name: str) -> tuple[str, int, str]:
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
    return file, line, str(getattr(error, "message", None) or error)
