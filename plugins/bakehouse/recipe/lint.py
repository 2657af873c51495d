"""A linter for shell quoting: every expression in a script's template must end in the filter `sh`.

A quoted word is safe where the shell expects words and takes them once; recipe/shell_code.py knows
the other places. Templates are checked as they stand, with all branches, and scripts as they are
rendered: includes, loops and conditions decide what stands around a value.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import TemplateSyntaxError, nodes

from bakehouse.guest.render import SIZE
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.shell_code import WORD, Place, dangers
from bakehouse.recipe.templates import SCRIPT, captured, outputs, references, script_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bakehouse.recipe.shell_commands import Danger
    from bakehouse.recipe.templates import Script, ScriptSandbox

_NUMBER = re.compile(r"-?[0-9]+|true|false")
_ANY_NUMBER = "7"


class Source(NamedTuple):
    """An expression of a template."""

    line: int
    text: str

    def mistake(self, file: str, danger: Danger) -> Mistake:
        """Return the mistake of a value at a place where its quotes are not enough."""
        where = f"{{{{ {self.text} }}}}"
        bare = re.sub(r"\s*\|\s*sh$", "", self.text)
        expression = bare if "| int" in danger.remedy else where
        problem = f"is inside {danger.place}, where the quotes of `sh` have no effect"
        if danger.where:
            problem = f"gets into {danger.where}inside {danger.place}"
        return Mistake(file, self.line, where, "", problem, danger.remedy.format(expression))


def unquoted(text: str, file: str) -> list[Mistake]:
    """Find every expression of a script's template whose value the shell could interpret."""
    if len(text) > SIZE:
        problem = f"has more than {SIZE:,} characters"
        return [Mistake(file, 1, "", "", problem, "Let install.sh download the big parts")]
    environment = _environment()
    try:
        tree = environment.parse(text)
        sources = list(_sources(environment, text))
    except TemplateSyntaxError as broken:
        return [Mistake(file, broken.lineno, "", "", f"{broken.message}", "Correct the template")]
    except RecursionError:
        return [Mistake(file, 1, "", "", "is nested too deep", "Write fewer levels")]
    found = [*_statements(tree, file)]
    values = list(outputs(tree))
    if values:
        for (output, index), source in zip(values, sources, strict=True):
            found += _check(output.nodes[index], file, source)
    if values and not found:
        found += _contexts(tree, file, sources)
    return found


def unquoted_of(
    texts: Mapping[str, str], folder: str, of: Collection[str] | None = None
) -> list[Mistake]:
    """Lint all scripts among texts by path, and the templates that they include.

    Args:
        texts: The content of the files by their path.
        folder: The prefix of the paths in messages.
        of: The paths to begin with; all by default.
    """
    found = list[Mistake]()
    begin = texts if of is None else of
    seen, waiting = set[str](), [name for name in begin if name.endswith(SCRIPT)]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in texts:
            continue
        seen.add(name)
        found += unquoted(texts[name], f"{folder}/{name}")
        waiting += (one for one in references(texts[name]) if one)
    return sorted(found)


def unquoted_in(script: Script, texts: Mapping[str, str], folder: str) -> list[Mistake]:
    """Find the values of a rendered script that the shell could interpret where they stand."""
    code, places = "", list[tuple[int, Place]]()
    for piece in script.pieces:
        if isinstance(piece, str):
            code += piece
            continue
        value = script.values[piece]
        is_number = _NUMBER.fullmatch(value.text) is not None
        words = value.text if is_number else " ".join([WORD] * value.words)
        start = len(code.encode())
        places.append((piece, Place(start, start + len(words), value.words, is_number)))
        code += words
    found = dangers(code.encode(), [place for _, place in places], exact=True)
    mistakes = []
    for (number, _), danger in zip(places, found, strict=True):
        if danger:
            value = script.values[number]
            source = list(_sources(_environment(), texts[value.template]))[value.number]
            mistakes.append(source.mistake(f"{folder}/{value.template}", danger))
    return sorted(set(mistakes))


def _check(value: nodes.Expr, file: str, source: Source) -> Iterator[Mistake]:
    if isinstance(value, nodes.Const) or _ends_quoted(value):
        return
    remedy = f"End it in the filter: {{{{ {source.text} | sh }}}}"
    where = f"{{{{ {source.text} }}}}"
    yield Mistake(file, source.line, where, "", "is not quoted for the shell", remedy)


def _ends_quoted(value: nodes.Node | None) -> bool:
    """Whether `sh` is the last filter in every branch of the expression."""
    if isinstance(value, nodes.CondExpr):
        return _ends_quoted(value.expr1) and _ends_quoted(value.expr2)
    if isinstance(value, nodes.Filter):
        return value.name == "sh"
    return isinstance(value, nodes.Const)


def _is_number(value: nodes.Node | None) -> bool:
    """Whether the value is a number whatever it is made of: `| int | sh`."""
    if isinstance(value, nodes.CondExpr):
        return _is_number(value.expr1) and _is_number(value.expr2)
    if isinstance(value, nodes.Filter) and value.name == "sh":
        inner = value.node
        return (
            isinstance(inner, nodes.Filter)
            and inner.name in {"int", "length", "count"}
            and not inner.args
            and not inner.kwargs
        )
    return False


def _statements(tree: nodes.Template, file: str) -> Iterator[Mistake]:
    """Find what would change a value after `sh`, or take templates that are not checked."""
    for block in tree.find_all((nodes.FilterBlock, nodes.ScopedEvalContextModifier)):
        if any(True for _ in outputs_below(block)):
            name = "filter" if isinstance(block, nodes.FilterBlock) else "autoescape"
            problem = f"{{% {name} %}} changes a value after its filter `sh`"
            yield Mistake(file, block.lineno, "", "", problem, "Use filters inside {{ … }} only")
    included: tuple[type[nodes.Stmt], ...]
    included = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
    for block in tree.find_all(included):
        if not _is_constant(dict(block.iter_fields())["template"]):
            problem = "the name of an included template is a value"
            yield Mistake(file, block.lineno, "", "", problem, "Write the name in quotes")


def outputs_below(block: nodes.Node) -> Iterator[nodes.Output]:
    """Yield the outputs below a block that have values."""
    for output in block.find_all(nodes.Output):
        if any(not isinstance(child, nodes.TemplateData) for child in output.nodes):
            yield output


def _is_constant(name: nodes.Expr) -> bool:
    if isinstance(name, nodes.List | nodes.Tuple):
        return all(map(_is_constant, name.items))
    return isinstance(name, nodes.Const)


def _contexts(tree: nodes.Template, file: str, sources: list[Source]) -> Iterator[Mistake]:
    """Check the shell code around the values, with all branches of the template one by one."""
    inside = captured(tree)
    code, places = "", list[tuple[int, Place]]()
    number = 0
    for output in tree.find_all(nodes.Output):
        for child in output.nodes:
            if isinstance(child, nodes.TemplateData):
                code += child.data if id(output) not in inside else ""
                continue
            number += 1
            if id(output) in inside:
                continue
            if isinstance(child, nodes.Const):
                code += str(child.value)
                continue
            is_number = _is_number(child)
            start = len(code.encode())
            code += _ANY_NUMBER if is_number else WORD
            end = len(code.encode())
            places.append((number - 1, Place(start, end, 1, is_number)))
    found = dangers(code.encode(), [place for _, place in places], exact=False)
    for (index, _), danger in zip(places, found, strict=True):
        if danger:
            yield sources[index].mistake(file, danger)


def _sources(environment: ScriptSandbox, text: str) -> Iterator[Source]:
    """Yield each expression that is written into the script: {{ … }}, and {% print … %}."""
    line, words = 0, list[str]()
    for number, kind, word in environment.lex(text):
        if kind in {"variable_begin", "block_begin"}:
            line, words = number, []
        elif kind == "variable_end":
            yield Source(line, "".join(words).strip())
        elif kind == "block_end":
            statement = "".join(words).strip()
            if re.match(r"print\b", statement):
                yield Source(line, statement.removeprefix("print").strip())
        else:
            words.append(word)


@cache
def _environment() -> ScriptSandbox:
    return script_environment({}, "")
