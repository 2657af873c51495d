"""Whatever a model refuses is told in words, not in those of pydantic."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import core_schema

from bakehouse.core.problems import problem_of, problems_of, words_of
from bakehouse.fleet.model import Fleet
from bakehouse.recipe import duration
from bakehouse.recipe.load import Mistakes, load_recipe
from bakehouse.recipe.model import Recipe
from bakehouse.schedule import window

_NO_LOCATION = "is neither us, eu or asia nor a region: us-central1"
# which have words of their own
_OF_VALIDATORS = {duration.PATTERN, "^([1-9][0-9]?|100)%$", window.HOURS}

OF_PYDANTIC = ("pydantic", "Input should", "String should", "Value error", "pattern", "[type=")
CLASSES = ("Recipe", "Builder", "HttpCheck", "Ready", "Smoke ", "Fleet", "Members", "Keep")
FACTS: dict[str, Any] = {
    **dict.fromkeys(["gt", "ge", "lt", "le", "min_length", "max_length"], 7),
    "expected": "'a' or 'b'",
    "tag": "x",
    "pattern": "^[a-z]+$",
    "class_name": "Recipe",
}


def in_words(text: str) -> bool:
    return not any(word in text for word in (*OF_PYDANTIC, "^", "$", "[a-z"))


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_each_kind_of_error_has_words(kind: str) -> None:
    msg = "Input should match pattern '^[a-z]+$'"
    told = problem_of({"type": kind, "loc": (), "msg": msg, "input": "x", "ctx": FACTS})
    assert told
    assert in_words(told)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("builder", {"disk_gb": 9}, "builder.disk_gb must be at least 10"),
        ("builder", {"disk_gb": "ten"}, "builder.disk_gb is not a whole number"),
        ("builder", {"disk_gb": 10.5}, "builder.disk_gb is not a whole number"),
        ("builder", [], "builder is not a mapping (key: value)"),
        ("builder", {"spot": "perhaps"}, "builder.spot is neither true nor false"),
        ("builder", {"zones": []}, "builder.zones must have 1 or more entries"),
        ("services", "nginx", "services is not a list"),
        ("owner", "", "owner must have at least 1 characters"),
        ("owner", 5, "owner is not a text"),
        ("rebake", "daily", "rebake must be 'on_updates', 'always' or 'never'"),
        ("ready", {"min_ready": timedelta(hours=1)}, "ready.min_ready must be at most 1 minute"),
        ("image", {"storage_location": "US"}, f"image.storage_location {_NO_LOCATION}"),
    ],
)
def test_a_recipes_field_is_told_in_words(field: str, value: object, told: str) -> None:
    form = {"name": "web", "base": "debian-cloud/debian-12", field: value}
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate(form)
    assert problems_of(refused.value) == told


@pytest.mark.parametrize("model", [Recipe, Fleet])
def test_each_pattern_of_a_file_has_words(model: type[BaseModel]) -> None:
    text = json.dumps(model.model_json_schema())
    patterns = {json.loads(one) for one in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', text)}
    assert len(patterns) > 2
    assert {one for one in patterns if words_of(one) is None} <= _OF_VALIDATORS


_FIELDS = sorted({*Recipe.model_fields, *Fleet.model_fields})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "9d", "A"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.just("a"), below),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(sorted({*Recipe.model_fields, *Fleet.model_fields})), _VALUES)
)
def test_no_value_of_a_recipe_or_fleet_is_told_in_pydantics_words(form: dict[str, Any]) -> None:
    for model in (Recipe, Fleet):
        try:
            model.model_validate(form)
        except ValidationError as refused:
            told = problems_of(refused)
            assert in_words(told), told
            assert not any(name in told for name in CLASSES), told


@given(st.sampled_from(sorted(Recipe.model_fields)), st.text(max_size=8))
def test_no_line_of_a_recipe_file_is_told_in_pydantics_words(field: str, text: str) -> None:
    line = "".join(letter for letter in text if letter.isprintable()).replace("'", "")
    try:
        load_recipe(f"base: a/b\n{field}: '{line}'\n", "include/recipes/web.yaml")
    except Mistakes as wrong:
        for mistake in wrong.mistakes:
            assert not any(word in mistake.problem for word in OF_PYDANTIC), str(mistake)
