"""What Jinja2 writes into a script is quoted for the shell; the linter insists on it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.paths import PROJECT

from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.lint import unquoted, unquoted_of
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.templates import render_script, script_environment

SCRIPTS = PROJECT / "include" / "startup_scripts"
FILE = "include/startup_scripts/app/install.sh.j2"
# every character that Python can encode but NUL, which bash cannot hold
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
NASTY = [
    "$(id)",
    "`id`",
    "a\nb",
    "'",
    '"',
    "\\",
    "$HOME",
    "*",
    "",
    " ",
    "-n",
    "é\u2028",
    "\r\n",
    "!!",
]


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ("echo {{ vars.page }}", 1, "End it in the filter: {{ vars.page | sh }}"),
        ("\n\necho {{ vars.page | upper }}", 3, "{{ vars.page | upper | sh }}"),
        ("echo {{ vars.page | sh | upper }}", 1, "End it in the filter"),
        ("{% if vars.a %}\necho {{ vars.a }}\n{% endif %}", 2, "End it in the filter"),
        ("{% for x in vars.a %}{{ x }}{% endfor %}", 1, "{{ x | sh }}"),
        ("echo {{ vars.a | sh if vars.b else vars.c }}", 1, "End it in the filter"),
        ('echo "{{ vars.page | sh }}"', 1, 'value={{ vars.page | sh }}, and write "$value"'),
        ("echo '{{ vars.page | sh }}'", 1, "on a line before"),
        ("echo $'{{ vars.page | sh }}'", 1, "on a line before"),
        ('echo "${a:-{{ vars.page | sh }}}"', 1, "on a line before"),
        ("cat <<EOF\n{{ vars.page | sh }}\nEOF", 2, "on a line before"),
        ("cat <<'EOF'\n{{ vars.page | sh }}\nEOF", 2, "on a line before"),
        ("true # {{ vars.page | sh }}", 1, "what follows a line break in the value"),
        ("echo $(( {{ vars.n | sh }} + 1 ))", 1, "{{ vars.n | int | sh }}"),
        ("(( {{ vars.n | sh }} > 1 ))", 1, "{{ vars.n | int | sh }}"),
        ("true\n{{ vars.page", 2, "Correct the template"),
    ],
)
def test_a_value_that_is_not_quoted_is_refused(text: str, line: int, remedy: str) -> None:
    (mistake,) = unquoted(text, FILE)
    assert (mistake.file, mistake.line) == (FILE, line)
    assert remedy in mistake.remedy


@pytest.mark.parametrize(
    "text",
    [
        "echo {{ vars.page | sh }}",
        "timeout {{ vars.minutes | int | sh }}m true",
        "a={{ vars.a | sh }} b=({{ vars.b | sh }})",
        'echo "$(printf %s {{ vars.page | sh }})"',
        "diff <(echo {{ vars.a | sh }}) b",
        "{{ 'true' }}",
        "echo {{ vars.a | sh if vars.b else 'none' }}",
        "{% if vars.a %}echo {{ vars.a | sh }}{% else %}echo {{ vars.b | sh }}{% endif %}",
        "echo '{% raw %}{{ not ours }}{% endraw %}'",
        "<# {{ vars.page }} #>true",
        "case {{ vars.a | sh }} in x) ;; esac",
        "cat <<<{{ vars.a | sh }}",
        'echo "${#a[@]}"',
    ],
)
def test_a_value_that_is_a_word_of_its_own_is_accepted(text: str) -> None:
    assert unquoted(text, FILE) == []


def test_all_values_of_all_scripts_and_of_what_they_include() -> None:
    texts = {
        "app/install.sh.j2": "{% include 'app/part' %}\n{{ a }} {{ b }}\n{% include 'guest/x' %}\n",
        "app/part": "{{ c }}\n",
        "app/notes": "{{ d }}\n",
    }
    found = unquoted_of(texts, "s")
    assert [(m.file, m.line, m.where) for m in found] == [
        ("s/app/install.sh.j2", 2, "{{ a }}"),
        ("s/app/install.sh.j2", 2, "{{ b }}"),
        ("s/app/part", 1, "{{ c }}"),
    ]


def test_every_script_of_ours_passes() -> None:
    files = [file for file in SCRIPTS.rglob("*") if file.suffix in {".j2", ".sh"}]
    texts = {file.relative_to(SCRIPTS).as_posix(): file.read_text() for file in files}
    texts |= {name: file.data.decode() for name, file in guest_scripts().items()}
    assert sum(name.endswith(".sh.j2") for name in texts) >= 4
    assert unquoted_of(texts, "include/startup_scripts") == []


@examples(60)
@given(st.lists(TEXTS | st.sampled_from(NASTY) | INTEGERS | st.booleans(), max_size=6))
def test_whatever_a_value_holds_bash_gets_this_very_text(values: list[Any]) -> None:
    form = {"name": "app", "base": "a/b", "vars": {f"v{n}": v for n, v in enumerate(values)}}
    recipe = Recipe.model_validate(form)
    text = "".join(f"printf '%s\\0' {{{{ vars.v{n} | sh }}}}\n" for n in range(len(values)))
    assert unquoted(text, FILE) == []
    environment = script_environment({"x": text}, "")
    script = render_script(environment, "x", {"vars": recipe.vars}).text()
    done = subprocess.run(["bash"], input=script.encode(), capture_output=True, check=True)
    said = done.stdout.decode().split("\0")[:-1]
    assert said == [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    assert done.stderr == b""


@given(st.text())
def test_no_text_breaks_the_linter(text: str) -> None:
    assert all(mistake.line >= 1 for mistake in unquoted(text, FILE))
