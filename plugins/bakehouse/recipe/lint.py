"""A linter for shell quoting: every expression in a script's template must end in the filter `sh`.

A quoted word is safe where the shell expects words. Inside quotes, comments, here-documents and
arithmetic the quotes of `sh` have another meaning, and `$(…)` in a value would run. So the linter
also parses the shell code around each expression, with tree-sitter's grammar of bash.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import TemplateSyntaxError, meta, nodes

from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.templates import script_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from jinja2 import Environment
    from tree_sitter import Node, Parser

ENDING = ".sh.j2"
_WORD = "BAKEHOUSE_VALUE"  # takes the place of an expression while the shell code is parsed
_NOT_A_WORD = {
    "comment": "a comment",
    "string": "quotes",
    "raw_string": "quotes",
    "ansi_c_string": "quotes",
    "heredoc_body": "a here-document",
    "heredoc_start": "a here-document's end",
    "heredoc_end": "a here-document's end",
    "arithmetic_expansion": "arithmetic",
    "subscript": "arithmetic",
    "c_style_for_statement": "arithmetic",
}
_WORDS_AGAIN = frozenset({"command_substitution", "process_substitution", "program"})


def unquoted(text: str, file: str) -> list[Mistake]:
    """Find every expression of a script's template whose value the shell could interpret."""
    environment = _environment()
    try:
        pieces = list(_pieces(environment.parse(text)))
        values = [piece for piece in pieces if not isinstance(piece, nodes.TemplateData)]
        sources = list(_sources(environment, text)) if values else []
    except TemplateSyntaxError as broken:
        return [Mistake(file, broken.lineno, "", "", f"{broken.message}", "Correct the template")]
    contexts = _contexts(pieces) if values else []
    return [
        mistake
        for value, (line, source), context in zip(values, sources, contexts, strict=True)
        if (mistake := _check(value, file, line, source, context))
    ]


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
    seen, waiting = set[str](), [name for name in begin if name.endswith(ENDING)]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in texts:
            continue
        seen.add(name)
        found += unquoted(texts[name], f"{folder}/{name}")
        waiting += _includes(texts[name])
    return sorted(found)


def _includes(text: str) -> list[str]:
    if "include" not in text and "import" not in text and "extends" not in text:
        return []  # as in most scripts, which are then parsed once
    try:
        referred = meta.find_referenced_templates(_environment().parse(text))
        return [name for name in referred if name]
    except TemplateSyntaxError:
        return []  # `unquoted` has reported it


def _check(
    value: nodes.Expr, file: str, line: int, source: str, context: str | None
) -> Mistake | None:
    if isinstance(value, nodes.Const):
        return None
    where = f"{{{{ {source} }}}}"
    if not _ends_quoted(value):
        remedy = f"End it in the filter: {{{{ {source} | sh }}}}"
        return Mistake(file, line, where, "", "is not quoted for the shell", remedy)
    if context:
        remedy = f'Assign it on a line before, value={where}, and write "$value" here'
        if context == "a comment":
            remedy = "Remove it: the shell would run what follows a line break in the value"
        problem = f"is inside {context}, where the quotes of `sh` have no effect"
        return Mistake(file, line, where, "", problem, remedy)
    return None


def _ends_quoted(value: nodes.Node | None) -> bool:
    """Whether `sh` is the last filter in every branch of the expression."""
    if isinstance(value, nodes.CondExpr):
        return _ends_quoted(value.expr1) and _ends_quoted(value.expr2)
    if isinstance(value, nodes.Filter):
        return value.name == "sh"
    return isinstance(value, nodes.Const)


def _pieces(node: nodes.Node) -> Iterator[nodes.Expr]:
    """Yield text and expressions in the order of the file, inside loops and conditions too."""
    if isinstance(node, nodes.Output):
        yield from node.nodes
        return
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Stmt):
            yield from _pieces(child)


def _sources(environment: Environment, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and source of each expression."""
    line, words = 0, list[str]()
    for number, kind, word in environment.lex(text):
        if kind == "variable_begin":
            line, words = number, []
        elif kind == "variable_end":
            yield line, "".join(words).strip()
        else:
            words.append(word)


def _contexts(pieces: list[nodes.Expr]) -> Iterator[str | None]:
    """Yield the shell construct around each expression; None where the shell expects words."""
    shell, places = "", list[int]()
    for piece in pieces:
        if isinstance(piece, nodes.TemplateData):
            shell += piece.data
        else:
            places.append(len(shell.encode()))
            shell += str(piece.value) if isinstance(piece, nodes.Const) else _WORD
    tree = _parser().parse(shell.encode())
    for place in places:
        yield _context(tree.root_node.descendant_for_byte_range(place, place + len(_WORD)))


def _context(node: Node | None) -> str | None:
    while node is not None and node.type not in _WORDS_AGAIN:
        if node.type in _NOT_A_WORD:
            return _NOT_A_WORD[node.type]
        if node.type == "compound_statement" and node.children[0].type == "((":
            return "arithmetic"
        node = node.parent
    return None


@cache
def _environment() -> Environment:
    return script_environment({}, "")


@cache
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))
