"""A script that bash cannot read is told with the line of the file that somebody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bakehouse.recipe.shell_syntax import wrong_rendered, wrong_syntax

if TYPE_CHECKING:
    from pathlib import Path


def told(path: str, text: str) -> list[tuple[int, str]]:
    found = wrong_syntax(f"app/{path}", text.encode())
    assert all(one.file == f"include/startup_scripts/app/{path}" for one in found)
    return [(one.line, one.problem) for one in found]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("true\nif true; then\n  echo\n", 4, "unexpected end of file"),
        ("true\nfi\n", 2, "near unexpected token `fi'"),
        ("echo 'a\nb\n", 1, "looking for matching `''"),
        ('x="$(date\n', 2, "matching"),
        ("for x in a b\n  echo\ndone\n", 2, "unexpected token"),
        ("case x in a) echo ;;\n", 2, "unexpected end of file"),
        ("f() {\n  echo\n", 3, "unexpected end of file"),
        ("true\ncat <<EOF\nx\n EOF\n", 2, "the here-document has no end EOF"),
        ("echo (a)\n", 1, "unexpected token"),
        ("if [ a = b ] then\n  echo\nfi\n", 3, "unexpected token `fi'"),
        ("while true; do echo; end\n", 2, "unexpected end of file"),
        ("a=(1 2\necho\n", 1, "matching"),
    ],
)
def test_what_bash_cannot_read_is_told(text: str, line: int, words: str) -> None:
    ((at, problem),) = told("smoke_test.sh", text)
    assert words in problem or "has no end" in problem
    assert at == line or "has no end" in problem  # newer ones name the line of the beginning


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("smoke_test.sh", 'check "a" "b" curl -f localhost\n'),
        ("lib.sh", "shopt -s extglob\nrm -- !(a|b)\n"),
        ("lib.sh", "[[ a =~ ^(b|c)$ ]] && echo $((1 + 2)) <(true)\n"),
        ("lib.sh", "echo\nexit 0\nPK(\x01)((binary\n"),
        ("lib.sh", "\x7fELF\0((\n"),
        ("health", "#!/usr/bin/env python3\nif True:\n    print('a')\n"),
        ("tool.sh", "#!/usr/bin/zsh\nfor x (a b) echo $x\n"),
        ("notes.txt", "if true; then\n"),
        ("health", "no interpreter is told by another check ((\n"),
        ("empty.sh", ""),
    ],
)
def test_what_bash_can_read_or_never_does_is_taken(path: str, text: str) -> None:
    assert told(path, text) == []


@pytest.mark.parametrize(
    "first", ["#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env bash", "#!/bin/bash -eu", "#! /bin/dash"]
)
def test_a_program_of_any_name_is_read_by_the_shell_that_it_names(first: str) -> None:
    assert told("health", f"{first}\nfi\n")[0][0] == 2


def test_nothing_of_a_script_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "env").write_text(f"touch {mark}\n")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "env"))
    assert told("lib.sh", f"touch {mark}\nx=$(touch {mark})\n") == []
    assert not mark.exists()


def test_a_missing_bash_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    ((line, problem),) = told("lib.sh", "echo without bash\n")
    assert (line, problem) == (1, "cannot be checked: this computer has no bash")


def rendered(template: str, script: str, **others: str) -> list[tuple[str, int]]:
    texts = {"app/install.sh.j2": template, **others}
    found = wrong_rendered("app/install.sh.j2", script, texts)
    return [(one.file.removeprefix("include/startup_scripts/"), one.line) for one in found]


def test_a_rendered_script_is_told_by_the_line_of_its_template() -> None:
    template = "{% for p in vars.all %}\necho {{ p | sh }}\n{% endfor %}\necho\nfi\n"
    assert rendered(template, "echo 'a'\necho 'b'\necho 'c'\necho\nfi\n") == [
        ("app/install.sh.j2", 5)
    ]


def test_a_line_of_an_included_file_is_told_by_that_file() -> None:
    template = 'echo\n{% include "shared/part.sh.j2" %}\necho end\n'
    part = "echo part\n\ndone\n"
    assert rendered(template, f"echo\n{part}echo end\n", **{"shared/part.sh.j2": part}) == [
        ("shared/part.sh.j2", 3)
    ]


def test_an_open_block_is_told_at_the_end_of_its_template() -> None:
    assert rendered("if true; then\necho\n", "if true; then\necho\n")[0][0] == "app/install.sh.j2"
