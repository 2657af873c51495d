"""Where bash would do more with a value than take it as a word. Pure.

A value in single quotes is a word where bash reads words once. Some places take the quotes for
something else (other quotes, here-documents, comments, backticks). Others evaluate the word again:
arithmetic expands `a[$(reboot)]`, `eval` and `bash -c` run it, `read` and `unset` take it for the
name of a variable. Variables carry a value from the line that assigns it to such a place.

The shell code is read by tree-sitter's grammar of bash. What it cannot read around a value is
refused if `exact`, since nothing can be said about it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.recipe import shell_commands
from bakehouse.recipe.shell_commands import ARITHMETIC, NAME, PROGRAM, QUOTES, Danger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tree_sitter import Node, Parser, Tree

WORD = "'BAKEHOUSE_VALUE'"  # takes the place of a value while the shell code is parsed

_QUOTES = {
    "string": "quotes",
    "raw_string": "quotes",
    "ansi_c_string": "quotes",
    "translated_string": "quotes",
    "heredoc_body": "a here-document",
    "heredoc_start": "a here-document's end",
    "heredoc_end": "a here-document's end",
    "regex": "a pattern",
    "extglob_pattern": "a pattern",
    "simple_expansion": "the name of a variable",
    "variable_name": "the name of a variable",
}
_ARITHMETIC = frozenset({"arithmetic_expansion", "subscript", "c_style_for_statement"})
_COMMANDS = frozenset({"command", "declaration_command", "unset_command", "test_command"})
_STATEMENTS = _COMMANDS | {"variable_assignment", "redirected_statement", "for_statement"}
_WORDS = _STATEMENTS | {
    "array",
    "binary_expression",
    "case_item",
    "case_statement",
    "command_name",
    "command_substitution",
    "compound_statement",
    "concatenation",
    "do_group",
    "elif_clause",
    "else_clause",
    "expansion",
    "file_redirect",
    "function_definition",
    "heredoc_redirect",
    "herestring_redirect",
    "if_statement",
    "list",
    "negated_command",
    "parenthesized_expression",
    "pipeline",
    "process_substitution",
    "program",
    "subshell",
    "unary_expression",
    "variable_assignments",
    "while_statement",
}
_SEVERAL_WORDS = frozenset({"array", "command", "for_statement"})
_LENGTH_OR_KEYS = re.compile(r"\$\{(#|!\w+(\[[@*]\]|[@*])\})")
_SUBSTITUTIONS = frozenset({"command_substitution", "process_substitution"})
# quotes in the word of these are bash's own; ${a:1} is arithmetic, ${a@P} a prompt
_WORD_OPERATORS = frozenset({":-", "-", ":+", "+", ":=", "=", ":?", "?", "#", "##", "%", "%%"})
_COMPARES_NUMBERS = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_TAKES_NAMES = frozenset({"-v", "-R"})
_COMMENT = Danger(
    "a comment", "Remove it: the shell would run what follows a line break in the value"
)
_UNREADABLE = Danger(
    "shell code that cannot be read", 'Assign it on a line of its own, value={}, and write "$value"'
)
_IN_QUOTES = Danger("quotes", QUOTES)
_BACKTICKS = Danger("backticks", "Write $(…) in place of the backticks")
_LIST = Danger(
    "a place for one word, and is a list",
    'Write it into an array, values=({}), and "${{values[@]}}" here',
)
_NEXT_TO_REDIRECT = Danger("the number of a redirection", "Write a space behind it")


class Place(NamedTuple):
    """A value in shell code: the bytes where its words begin, and what comes of it."""

    start: int
    end: int
    words: int = 1
    is_number: bool = False


def dangers(code: bytes, places: Sequence[Place], *, exact: bool) -> list[Danger | None]:
    """Tell for each place what bash would do with a value there; None if it is a word.

    Args:
        code: The shell code, with WORD for each word of a value.
        places: The values.
        exact: Whether the code is the script itself, and not put together of all its branches.
    """
    readable = code.replace(b"\n\\", b"\n \\")  # the grammar joins these lines
    script = _Script(_parser().parse(readable), exact)
    return [script.danger(readable, _moved(place, code)) for place in places]


def _moved(place: Place, code: bytes) -> Place:
    moved = code.count(b"\n\\", 0, place.start)
    return place._replace(start=place.start + moved, end=place.end + moved)


class _Script:
    def __init__(self, tree: Tree, exact: bool) -> None:
        self._root = tree.root_node
        self._exact = exact
        self._integers = frozenset(_integers(self._root))
        self._carried: dict[str, Danger | None] = {}
        self._functions: set[str] = set()
        self._named: dict[str, list[Node]] = {}
        for node in _walk(self._root):
            if node.type == "function_definition":
                self._functions.add(_function_of(node))
            elif node.type in {"variable_name", "special_variable_name", "word"}:
                for name in _names(node):
                    self._named.setdefault(name, []).append(node)

    def danger(self, code: bytes, place: Place) -> Danger | None:
        """Return what happens to a value at a place."""
        if code[place.end : place.end + 1] in {b"<", b">"}:
            return _NEXT_TO_REDIRECT
        if place.is_number:
            return None
        for start in _starts(place):
            node = self._root.descendant_for_byte_range(start, start + len(WORD))
            if danger := self._danger_of_word(code, node, start, place.words):
                return danger
        return None

    def _danger_of_word(
        self, code: bytes, node: Node | None, start: int, words: int
    ) -> Danger | None:
        if node is None:
            return _UNREADABLE if self._exact else None
        is_word = node.type == "raw_string" and node.start_byte == start
        if not is_word or node.end_byte != start + len(WORD) or code[start - 1 : start] == b"$":
            is_beside_quotes = code[start - 1 : start] in {b"'", b'"'}
            return self._around(node, _IN_QUOTES if is_beside_quotes else _UNREADABLE)
        if words != 1 and node.parent and node.parent.type not in _SEVERAL_WORDS:
            return _LIST
        return self._evaluated(node, in_substitution=False) or self._through_variables(node)

    def _around(self, node: Node | None, unknown: Danger) -> Danger | None:
        """Name what a value is inside of, where its quotes are not bash's."""
        is_unreadable = False
        while node is not None and node.type not in _SUBSTITUTIONS:
            if node.type == "comment":
                return _COMMENT
            if node.type in _QUOTES:
                return Danger(_QUOTES[node.type], QUOTES)
            if _is_arithmetic(node):
                return Danger("arithmetic", ARITHMETIC)
            is_unreadable = is_unreadable or node.has_error
            node = node.parent
        return unknown if self._exact or not is_unreadable else None

    def _evaluated(self, node: Node, in_substitution: bool) -> Danger | None:
        """Find what evaluates a word again, from the word outwards."""
        child, around = node, node.parent
        statement_is_read = False
        while around is not None:
            if danger := self._evaluates(around, child, in_substitution):
                return danger
            if around.type in _QUOTES and (not in_substitution or self._ends_early(around, node)):
                return Danger(_QUOTES[around.type], QUOTES)
            if not statement_is_read and around.type in _STATEMENTS:
                statement_is_read = True
                if around.has_error and self._exact:
                    return _UNREADABLE
            if self._exact and not in_substitution and around.type not in _WORDS:
                return _UNREADABLE
            in_substitution = in_substitution or around.type in _SUBSTITUTIONS
            child, around = around, around.parent
        return None

    def _ends_early(self, around: Node, node: Node) -> bool:
        """Whether a line of the value itself may be the end of a here-document."""
        return around.type == "heredoc_body" and _text(node) == WORD

    def _evaluates(self, around: Node, child: Node, in_substitution: bool) -> Danger | None:
        if _is_arithmetic(around):
            return Danger("arithmetic", ARITHMETIC)
        if around.type == "command_substitution" and _text(around).startswith("`"):
            return _BACKTICKS
        if around.type in {"binary_expression", "unary_expression"}:
            return _test(around)
        if around.type == "expansion":
            return _expansion(around, child, in_substitution)
        if around.type == "concatenation":
            return _element(around, child)
        if around.type == "variable_assignment":
            return _assignment(around, child, self._integers)
        if around.type == "declaration_command":
            return _declaration(around, child)
        if around.type == "unset_command":
            return NAME
        if around.type == "command":
            words, index = _words(around), _index(around, child)
            found = shell_commands.danger(words, index, child.type)
            return found or self._in_program(shell_commands.program_of(words, index))
        if around.type in {"pipeline", "redirected_statement"}:
            return _input(around, child)
        if around.type == "file_redirect" and {"<&", ">&"} & {one.type for one in around.children}:
            return Danger("the number of a redirection", "Write a file's name behind > or <")
        return None

    def _in_program(self, program: str | None) -> Danger | None:
        """Find what a program of `bash -c` does with its arguments."""
        if program is None:
            return None
        nested = _Script(_parser().parse(program.encode()), exact=False)
        return nested._danger_of_variable(_positional(""))

    def _through_variables(self, node: Node) -> Danger | None:
        """Find a place that evaluates a variable that has the value."""
        for name in sorted(self._assigned(node)):
            if danger := self._danger_of_variable(name):
                return danger
        return None

    def _danger_of_variable(self, name: str) -> Danger | None:
        if name in self._carried:
            return self._carried[name]
        self._carried[name] = None  # while it is found out: variables may be assigned in a circle
        for use in self._uses(name):
            if danger := self._evaluated(use, in_substitution=True):
                line = use.start_point.row + 1
                self._carried[name] = danger.of_variable(_text(use).lstrip("$"), line)
                break
            if through := self._through_variables(use):
                self._carried[name] = through
                break
        return self._carried[name]

    def _uses(self, name: str) -> Iterator[Node]:
        """Yield where the value of a variable is read; `${#name}` reads its length alone."""
        for node in self._named.get(name, ()):
            around = node.parent
            if around and around.type == "subscript" and around.children[0] == node:
                node, around = around, around.parent
            if around and around.type in {"simple_expansion", "expansion"}:
                if not _LENGTH_OR_KEYS.match(_text(around)):
                    yield node
            elif around and not _is_target(node) and _is_in_arithmetic(node):
                yield node

    def _assigned(self, node: Node) -> set[str]:
        """Return the variables that get a value, or what a command makes of it."""
        names, is_argument = set[str](), False
        child, around = node, node.parent
        while around is not None:
            if around.type == "variable_assignment" and child != around.children[0]:
                if not is_argument:
                    names.add(re.split(r"[\[+]", _text(around.children[0]))[0])
            elif around.type == "for_statement" and child.type != "do_group" and not is_argument:
                variable = around.child_by_field_name("variable")
                names |= {_text(variable)} if variable else set()
            elif around.type == "expansion" and _text(around).startswith("${"):
                operators = {_text(one) for one in around.children}
                names |= {_text(one) for one in around.named_children[:1] if "=" in operators}
                names |= {_text(one) for one in around.named_children[:1] if ":=" in operators}
            elif around.type == "command":
                names |= self._arguments(around, child)
                is_argument = True
            elif around.type == "pipeline":
                later = (one for one in around.named_children if one.start_byte > child.start_byte)
                names |= {name for one in later for name in _read_below(one)}
            elif around.type == "redirected_statement" and child != around.named_children[0]:
                names |= set(_read_below(around.named_children[0]))
            elif around.type in _SUBSTITUTIONS:
                is_argument = False  # what it prints goes on
            child, around = around, around.parent
        return names

    def _arguments(self, command: Node, child: Node) -> set[str]:
        """Return what gets an argument of a command: $1 and its like, of a function or of set."""
        words = _words(command)
        if child.type == "herestring_redirect":
            return shell_commands.read_names(words)
        if words[:1] == ["set"]:
            return {_positional(_function_of(command))}
        return {_positional(words[0])} if words and words[0] in self._functions else set()


def _names(node: Node) -> Iterator[str]:
    """Yield the variables that a word may mean; `let` and arithmetic write them without $."""
    text = _text(node)
    if re.fullmatch(r"[0-9]+|[@*]", text) and node.type != "word":
        yield _positional(_function_of(node))
    yield from set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))


def _positional(function: str) -> str:
    """Return a name for all of $1, $2, $@ and $* of a function; of the script if it is empty."""
    return f"{function} $1"


def _function_of(node: Node) -> str:
    around: Node | None = node
    while around is not None and around.type != "function_definition":
        around = around.parent
    name = around.child_by_field_name("name") if around else None
    return _text(name) if name else ""


def _is_target(node: Node) -> bool:
    around = node.parent
    return bool(around and around.type == "variable_assignment" and around.children[0] == node)


def _read_below(node: Node) -> Iterator[str]:
    for one in _walk(node):
        if one.type == "command":
            yield from shell_commands.read_names(_words(one))


def _starts(place: Place) -> list[int]:
    return [place.start + n * (len(WORD) + 1) for n in range(place.words)]


def _is_arithmetic(node: Node) -> bool:
    if node.type == "compound_statement":
        return node.children[0].type == "(("
    return node.type in _ARITHMETIC


def _is_in_arithmetic(node: Node) -> bool:
    around: Node | None = node.parent
    while around is not None:
        if _is_arithmetic(around) or _test(around):
            return True
        if around.type in _COMMANDS - {"test_command"}:
            words = _words(around) if around.type == "command" else []
            return words[:1] == ["let"]
        around = around.parent
    return False


def _test(expression: Node) -> Danger | None:
    """[[ a -eq b ]] is arithmetic, and -v takes a name; `[ a -eq b ]` takes numbers only."""
    if expression.type not in {"binary_expression", "unary_expression"}:
        return None
    operators = {_text(one) for one in expression.children if one.type == "test_operator"}
    if operators & _TAKES_NAMES:
        return NAME
    if operators & _COMPARES_NUMBERS and _is_conditional(expression):
        return Danger("arithmetic", ARITHMETIC)
    return None


def _is_conditional(node: Node) -> bool:
    around: Node | None = node
    while around is not None and around.type != "test_command":
        around = around.parent
    return around is not None and around.children[0].type == "[["


def _expansion(around: Node, child: Node, in_substitution: bool) -> Danger | None:
    operators = [_text(one) for one in around.children if not one.is_named]
    if in_substitution:
        if "!" in operators and child == around.named_children[0]:
            return NAME
        if child == around.named_children[0]:
            return PROGRAM if "@" in operators and _text(around).rstrip("}")[-1] == "P" else None
        return Danger("arithmetic", ARITHMETIC) if ":" in operators else None
    if operators and not _WORD_OPERATORS & set(operators):
        return Danger("an expansion", QUOTES)
    return None


def _element(around: Node, child: Node) -> Danger | None:
    """[a]=b in an array: the subscript is arithmetic, unless the array is associative."""
    text = _text(around)
    if around.parent and around.parent.type == "array" and text.startswith("["):
        end = text.find("]=")
        if child.start_byte - around.start_byte < end:
            return Danger("arithmetic", ARITHMETIC)
    return None


def _assignment(around: Node, child: Node, integers: frozenset[str]) -> Danger | None:
    name = _text(around.children[0])
    if child == around.children[0]:
        return None
    return shell_commands.danger_of_assignment(name, integers)


def _declaration(around: Node, child: Node) -> Danger | None:
    """`declare -i a=b` is arithmetic, `declare -n a=b` takes a name."""
    if child.type != "variable_assignment":
        return NAME
    flags = "".join(_text(one)[1:] for one in around.children if _text(one).startswith("-"))
    if "i" in flags:
        return Danger("arithmetic", ARITHMETIC)
    return NAME if "n" in flags else None


def _input(around: Node, child: Node) -> Danger | None:
    """What a shell reads from a pipe, or from a redirection, is a program."""
    if around.type == "pipeline":
        later = [one for one in around.named_children if one.start_byte > child.start_byte]
    else:
        later = [one for one in around.named_children[:1] if one != child]
    for one in later:
        commands = [node for node in _walk(one) if node.type == "command"]
        if any(shell_commands.reads_program(_words(command)) for command in commands):
            return PROGRAM
    return None


def _integers(root: Node) -> Iterator[str]:
    """Yield the names that are declared as integers, anywhere in the script."""
    for node in _walk(root):
        if node.type == "declaration_command":
            texts = [_text(one) for one in node.children]
            if any(re.fullmatch(r"-[A-Za-z]*i[A-Za-z]*", text) for text in texts):
                for text in texts[1:]:
                    if not text.startswith("-"):
                        yield re.split(r"[+=\[]", text)[0]


def _words(command: Node) -> list[str]:
    """Return the words of a command as far as they are known, without the quotes around them."""
    return [_unquoted(one) for one in command.named_children if _is_word(one)]


def _index(command: Node, child: Node) -> int:
    return sum(_is_word(one) for one in command.named_children if one.start_byte < child.start_byte)


def _is_word(node: Node) -> bool:
    return not node.type.endswith("redirect") and node.type != "variable_assignment"


def _unquoted(node: Node) -> str:
    text = _text(node)
    text = re.sub(r"(?<!\\)[\"]|\\", "", text) if node.type == "concatenation" else text
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text.removeprefix("\\")


def _text(node: Node) -> str:
    return node.text.decode("utf-8", "replace") if node.text else ""


def _walk(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(one.children)


@cache
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))
