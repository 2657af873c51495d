"""Shell syntax, as `bash -n` reads it: nothing of a script is run."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.recipe.commit import SCRIPTS, shown
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.templates import with_references

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_ALWAYS = frozenset({"smoke_test.sh"})  # bash reads it, whatever its first line says
_NAMED = (".sh", ".bash")
_OURS = frozenset({"sh", "bash", "dash"})
_TOLD = re.compile(r"^[^:]*: line (?P<line>[0-9]+): (?P<problem>.*)$")
_HERE_DOCUMENT = re.compile(r"^warning: here-document at line (?P<line>[0-9]+) .*[`'](.*)'\)")
_FROM = re.compile(r"(?P<what>.*) from [`'](?P<word>.*)' command on line (?P<line>[0-9]+)")
_END = re.compile(r"^exit(?:[ \t]+[0-9]+)?[ \t]*$", re.MULTILINE)
_IS_ASKED = ContextVar("bash_is_asked", default=True)
_ENVIRONMENT = {"LC_ALL": "C"}  # neither BASH_ENV, which bash would run, nor a language of messages


class SyntaxProblem(NamedTuple):
    """A line that bash cannot read."""

    line: int
    problem: str


def wrong_syntax(path: str, data: bytes) -> list[Mistake]:
    """Check a file of a recipe's folder that a shell runs; `path` is below SCRIPTS."""
    own = path.partition("/")[2] or path
    if own.endswith(".j2") or b"\0" in data or not _is_shell(own, data):
        return []  # a template is no script before it is rendered
    return [_mistake(path, one) for one in _problems(data.decode("utf-8", "replace"))]


def wrong_rendered(template: str, script: str, texts: Mapping[str, str]) -> list[Mistake]:
    """Check a rendered script; its mistakes get the lines of its template, or of one included.

    Args:
        template: The script's template, by its path below SCRIPTS.
        script: What it was rendered to.
        texts: All templates.
    """
    return [_mistake(*_located(template, script, one, texts)) for one in _problems(script)]


def _mistake(path: str, found: SyntaxProblem) -> Mistake:
    file = f"{SCRIPTS}/{shown(path)}"
    if found.line < 0:
        problem = "cannot be checked: this computer has no bash"
        return Mistake(file, 1, "", "", problem, "Install bash, which reads it with `bash -n`")
    problem = f"is no script that bash can read: {found.problem}"
    return Mistake(file, found.line, "", "", problem, "Correct it: `bash -n FILE` tells the same")


def _is_shell(own: str, data: bytes) -> bool:
    if own in _ALWAYS:
        return True
    if data.startswith(b"#!"):
        words = data[2:].split(b"\n", 1)[0].decode("utf-8", "replace").split()
        names = [posixpath.basename(word) for word in words if not word.startswith("-")]
        program = names[1] if len(names) > 1 and names[0] == "env" else (names or [""])[0]
        return program in _OURS
    return own.endswith(_NAMED)


@contextmanager
def without_bash() -> Generator[None]:
    """Run no bash meanwhile: scripts count as read. A parse of DAGs starts no process a script."""
    token = _IS_ASKED.set(False)
    try:
        yield
    finally:
        _IS_ASKED.reset(token)


def _problems(text: str) -> tuple[SyntaxProblem, ...]:
    return _read(text) if _IS_ASKED.get() else ()


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[SyntaxProblem, ...]:
    bash = shutil.which("bash")
    if bash is None:
        return (SyntaxProblem(-1, ""),)
    found = _ask(bash, text)
    end = next((one for one in _END.finditer(text)), None)
    if found and end and not _ask(bash, text[: end.end()] + "\n"):
        return ()  # what comes after it is data, which bash never reads
    return found


def _ask(bash: str, text: str) -> tuple[SyntaxProblem, ...]:
    options = ["-O", "extglob"] if re.search(r"\bshopt\b.*\bextglob\b", text) else []
    done = subprocess.run(
        [bash, "--norc", "--noprofile", *options, "-n"],
        input=text.encode("utf-8", "replace"),
        env=_ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    told = [match for line in lines if (match := _TOLD.match(line))]
    found = dict[int, str]()
    for match in told:
        line, problem = int(match["line"]), match["problem"]
        if document := _HERE_DOCUMENT.match(problem):
            found[int(document["line"])] = f"the here-document has no end {document[2]}"
        elif problem.startswith("warning: "):
            continue
        elif begun := _FROM.match(problem):
            found[int(begun["line"])] = f"{begun['word']} has no end"
        else:
            found.setdefault(line, problem)  # the line itself follows the problem
    return tuple(SyntaxProblem(line, problem) for line, problem in sorted(found.items()))


def _located(
    template: str, script: str, found: SyntaxProblem, texts: Mapping[str, str]
) -> tuple[str, SyntaxProblem]:
    """Give a line of a rendered script the file and line that it was written in."""
    lines = script.splitlines()
    place = min(max(found.line, 1), max(len(lines), 1)) - 1
    own = texts[template].splitlines()
    text = lines[place] if lines else ""
    if text.strip() and text not in own:
        for name, other in with_references([template], texts).items():
            if name != template and text in (others := other.splitlines()):
                return name, found._replace(line=others.index(text) + 1)
    matcher = SequenceMatcher(None, lines, own, autojunk=False)
    for _, begin, end, there, until in matcher.get_opcodes():
        if begin <= place < end:
            line = there + min(place - begin, max(until - there - 1, 0))
            return template, found._replace(line=min(line, max(len(own) - 1, 0)) + 1)
    return template, found._replace(line=max(len(own), 1))
