"""Jinja2 for shell scripts: undefined names are errors, `sh` quotes for the shell.

Comments are `<# … #>`, since `{#` is bash's own in `${#array[@]}`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError


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
        raise RenderError(_where(error, name)) from error


def check_syntax(templates: Iterable[tuple[str, str, str]]) -> None:
    """Templates (path, shown path, text) that the guest will render: parse them here and now.

    Raises RenderError with all that are wrong.
    """
    plain = Environment(undefined=StrictUndefined)
    wrong = []
    for name, shown, text in templates:
        try:
            plain.parse(text, name, shown)
        except TemplateError as error:
            wrong.append(_where(error, shown))
    if wrong:
        raise RenderError("\n".join(wrong))


def _where(error: Exception, name: str) -> str:
    """`include/startup_scripts/web/install.sh.j2:3: 'vars.page' is undefined`"""
    file = getattr(error, "filename", None) or name
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if "jinja" not in trace.tb_frame.f_code.co_filename.lower():
            code_file = trace.tb_frame.f_code.co_filename
            if not code_file.endswith(".py"):
                file, line = code_file, trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}: {getattr(error, 'message', None) or error}"
