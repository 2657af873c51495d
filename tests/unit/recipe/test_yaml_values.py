"""A value of a YAML file is the text in the file, or is refused with line and remedy."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bakehouse.fleet.load import load_fleet
from bakehouse.recipe.load import Mistake, Mistakes, load_recipe, load_recipes
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.templates import render_script, script_environment

if TYPE_CHECKING:
    from pathlib import Path

BASE = "base: debian-cloud/debian-12\n"
GUESSED = {
    "0644": "420",
    "3.10": "3.1",
    "NO": "false",
    "22:22": "1342",
    "0123456": "42798",
    "1_000": "1000",
    "0x1F": "31",
    "0b11": "3",
    "+5": "5",
    "-0": "0",
    "1.": "1.0",
    ".5": "0.5",
    "1.5e+3": "1500.0",
    "190:20:30.5": "685230.5",
    "on": "true",
    "Off": "false",
    "yes": "true",
    "True": "true",
}
NO_NUMBERS = [
    ".inf",
    "-.INF",
    ".nan",
    "2026-01-01",
    "2026-01-01 10:00:00",
    "2001-12-14t21:59:43.10-05:00",
    "9" * 19,
    "9" * 5000,
    "1.8e+400",
    ":".join(["1"] * 3000),
    "100000000000000000000.0",
]
REFUSED = [
    "!!timestamp x",
    "!!bool x",
    "!!int ''",
    "!!int '5'",
    "!!float x",
    "!!null x",
    "!!binary aGk=",
    "!!python/object/apply:os.system [id]",
    "!!python/name:os.system",
    "!!set {a, b}",
    "!!omap [a: b]",
    "!foo x",
    "!<tag:example.com,2026:x> x",
    "!e!foo x",
    "&password x",
    "*unknown",
    "{{ x }}",
    "{? [a] : b}",
    "@x",
    "%x",
    "`x`",
    "[" * 100_000,
    "{" * 100_000,
    "- " * 5_000,
    "\x07",
]


def mistakes(text: str) -> tuple[Mistake, ...]:
    with pytest.raises(Mistakes) as caught:
        load_recipe(text, "web.yaml")
    return caught.value.mistakes


def script(vars_: object) -> str:
    """What a script gets of the value `a`."""
    form = {"name": "web", "base": "a/b", "vars": vars_}
    environment = script_environment({"x": "{{ vars.a | sh }}"}, "")
    return render_script(environment, "x", {"vars": Recipe.model_validate(form).vars}).text()


def test_all_guesses_of_a_file_are_told_at_once() -> None:
    lines = "".join(f"  v{n}: {text} # guess\n" for n, text in enumerate(GUESSED))
    found = mistakes(f"{BASE}vars:\n{lines}")
    assert [(m.line, m.where) for m in found] == [(n + 3, f"vars.v{n}") for n in range(len(found))]
    assert [m.value for m in found] == [repr(text) for text in GUESSED]
    assert [m.remedy for m in found] == [
        f'Write it in quotes: "{text}", or {meant} without them if you mean that'
        for text, meant in GUESSED.items()
    ]


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: text[:20])
def test_a_value_that_no_script_can_use_as_a_number_needs_quotes(text: str) -> None:
    (mistake,) = mistakes(f"{BASE}vars:\n  a: {text}\n")
    assert (mistake.line, mistake.where) == (3, "vars.a")
    assert mistake.remedy.startswith("Write it in quotes: ")


@pytest.mark.parametrize("text", [*GUESSED, *NO_NUMBERS, "~", "null", "#fff", "{{ x }}", "!!int 5"])
@pytest.mark.parametrize("quotes", ["'", '"'])
def test_what_is_in_quotes_reaches_a_script_as_it_stands(text: str, quotes: str) -> None:
    recipe = load_recipe(f"{BASE}vars: {{a: {quotes}{text}{quotes}}}\n", "web.yaml")
    assert recipe.vars == {"a": text}
    assert script(dict(recipe.vars)).strip("'") == text


@pytest.mark.parametrize("text", ["0", "80", "-5", "0.5", "3.1", "12345678901234567"])
def test_a_number_that_is_written_as_one_stays_a_number(text: str) -> None:
    value = load_recipe(f"{BASE}vars: {{a: {text}}}\n", "web.yaml").vars["a"]
    assert value == json.loads(text)
    assert type(value) is type(json.loads(text))


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_true_and_false_are_usable_in_conditions(text: str, value: bool) -> None:
    assert load_recipe(f"{BASE}vars: {{a: {text}}}\n", "web.yaml").vars["a"] is value


@pytest.mark.parametrize("text", ["08", "0o17", "1e3", "y", "n", "=", "<<", "!!str 0644", "1.2.3"])
def test_what_is_no_guess_is_a_text(text: str) -> None:
    recipe = load_recipe(f"{BASE}vars:\n  a: {text}\n", "web.yaml")
    assert recipe.vars == {"a": text.removeprefix("!!str ")}


@pytest.mark.parametrize("text", ["~", "null", "Null"])
def test_a_null_needs_quotes(text: str) -> None:
    (mistake,) = mistakes(f"{BASE}vars:\n  a: {text}\n")
    assert mistake.remedy == f'Write it in quotes: "{text}"'


@pytest.mark.parametrize("text", ["", "# comment", "#fff"])
def test_a_value_that_is_a_comment_is_told(text: str) -> None:
    (mistake,) = mistakes(f"{BASE}vars:\n  a: {text}\n")
    assert mistake.problem == "has no value"
    assert "begins with # needs quotes" in mistake.remedy


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20])
def test_what_is_no_value_is_one_message_with_its_line(text: str) -> None:
    (mistake,) = mistakes(f"{BASE}vars:\n  b: c\n  a: {text}\n")
    assert mistake.line in {4, 5}  # an open bracket ends behind the last line
    assert mistake.problem
    assert mistake.remedy


def test_no_hostile_file_takes_another_recipe_down(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(BASE)
    for number, text in enumerate([*REFUSED, *NO_NUMBERS]):
        (tmp_path / f"bad{number}.yaml").write_text(f"{BASE}vars:\n  a: {text}\n")
    recipes, broken = load_recipes(tmp_path)
    assert [recipe.name for recipe in recipes] == ["good"]
    assert len(broken) == len(REFUSED) + len(NO_NUMBERS)


def test_keys_are_texts() -> None:
    recipe = load_recipe(f"{BASE}vars: {{NO: a, on: b, y: c}}\n", "web.yaml")
    assert recipe.vars == {"NO": "a", "on": "b", "y": "c"}
    (mistake,) = mistakes(f"{BASE}vars:\n  a: x\n  'a': y\n")
    assert (mistake.line, mistake.problem) == (4, "is given twice")


def test_merged_keys_are_checked_and_own_keys_win() -> None:
    text = "vars:\n  <<: [{a: x, b: y}, {a: z, c: w}]\n  b: own\n"
    assert load_recipe(BASE + text, "web.yaml").vars == {"a": "x", "b": "own", "c": "w"}
    (mistake,) = mistakes(f"{BASE}vars:\n  <<: {{a: 0644}}\n")
    assert mistake.line == 3
    assert mistakes(f"{BASE}vars:\n  <<: 5\n")[0].problem == "does not merge a mapping"


def test_a_list_that_contains_itself() -> None:
    found = mistakes(f"{BASE}notify: [{{notifier: smtp, arguments: {{to: &a [*a]}}}}]\n")
    assert [(m.line, m.problem) for m in found] == [(2, "contains itself")]


def test_aliases_that_multiply_end_the_reading() -> None:
    lines = ["    a0: &a0 [x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)]
    notify = f"notify:\n- notifier: smtp\n  arguments:\n{''.join(lines)}"
    assert "with its aliases" in mistakes(BASE + notify)[0].problem


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ("vars:\n\ta: b\n", 3, "Indent by spaces, not by tabs"),
        ("---\nbase: x\n", 2, "Keep one document: remove the line ---"),
        ("description: a\x07\n", 2, 'Write it as an escape in double quotes, such as "\\x07"'),
    ],
)
def test_what_is_no_yaml_has_a_remedy(text: str, line: int, remedy: str) -> None:
    (mistake,) = mistakes(BASE + text)
    assert (mistake.line, mistake.remedy) == (line, remedy)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert load_recipe(b"\xef\xbb\xbf" + BASE.encode(), "web.yaml").name == "web"


def test_a_field_that_is_true_or_false_takes_yamls_words_for_it() -> None:
    recipe = load_recipe(f"{BASE}builder: {{spot: yes}}\nimage: {{shielded: off}}\n", "web.yaml")
    assert (recipe.builder.spot, recipe.image.shielded) == (True, False)


def test_numbers_and_texts_of_other_fields_are_not_guessed_either() -> None:
    found = mistakes(f"{BASE}builder: {{disk_gb: 010}}\nsmoke: {{metadata: {{a: on, b: 8080}}}}\n")
    assert [(m.where, m.remedy) for m in found] == [
        ("builder.disk_gb", 'Write it in quotes: "010", or 8 without them if you mean that'),
        ("smoke.metadata.a", 'Write it in quotes: "on", or true without them if you mean that'),
        ("smoke.metadata.b", 'Write it in quotes: "8080"'),
    ]


def test_fleets_are_read_by_the_same_rule() -> None:
    text = "recipe: web\nmembers: {labels: {env: on}, zones: [us-central1-a]}\n"
    with pytest.raises(Mistakes, match=r'labels\.env is true and .* Write it in quotes: "on"'):
        load_fleet(text, "web.yaml")


@pytest.mark.parametrize("value", [math.inf, math.nan, 2**63, 1e300])
def test_numbers_of_a_run_that_json_cannot_carry_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="write it as a text"):
        script({"a": value})


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
@example("1_0.0_0")
@example("0.1e-7")
def test_a_value_is_its_text_or_is_refused(text: str) -> None:
    """Whatever YAML makes of it: a script has the text of the scalar."""
    content = f"{BASE}vars:\n  a: {text}\n"
    with suppress(Mistakes):
        value = load_recipe(content, "web.yaml").vars["a"]
        node: Any = yaml.compose(content)
        written = node.value[1][1].value[0][1].value
        assert script({"a": value}).replace("'\"'\"'", "'").strip("'") == written.strip("'")
