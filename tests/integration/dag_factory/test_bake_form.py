"""The trigger form: what it asks, what it refuses, and what the answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.definitions.param import ParamsDict

from bakehouse.bake.params import BakeParams
from bakehouse.dag_factory.bake_form import form
from bakehouse.recipe.load import load_recipe

if TYPE_CHECKING:
    from bakehouse.recipe.model import Recipe

FIELDS = {
    "git_ref",
    "force",
    "vars",
    "zone",
    "spot",
    "keep_builder",
    "snapshot_date",
    "roll_out",
}


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("base: debian-cloud/debian-12\nvars: {page: hello}\n", "web.yaml")


def filled(recipe: Recipe, **answers: Any) -> dict[str, Any]:
    params = ParamsDict(form(recipe))
    params.update(answers)
    told: dict[str, Any] = params.validate()
    return told


def test_every_field_has_a_title_and_help(recipe: Recipe) -> None:
    assert set(form(recipe)) == FIELDS
    for name, param in form(recipe).items():
        assert param.schema["title"], name
        assert len(param.description or "") > 20, name


def test_untouched_it_asks_for_nothing_special(recipe: Recipe) -> None:
    answers = BakeParams.of_run(filled(recipe))
    assert answers.git_ref == "HEAD"
    assert answers.zones(recipe) == recipe.builder.zones
    assert answers.wants_spot(recipe) is recipe.builder.spot
    assert (answers.force, answers.keep_builder, answers.snapshot_date) == (False, False, None)


def test_its_choices_are_the_recipes(recipe: Recipe) -> None:
    assert form(recipe)["zone"].schema["enum"] == ["automatic", *recipe.builder.zones]


@pytest.mark.parametrize(
    "answers",
    [
        {"git_ref": ""},
        {"git_ref": "a b"},
        {"git_ref": "--upload-pack=x"},
        {"git_ref": "main:path"},
        {"git_ref": "main..other"},
        {"git_ref": "@{-1}"},
        {"git_ref": "main@{1}"},
        {"git_ref": "main^{/words}"},
        {"git_ref": "main^!"},
        {"git_ref": "+main"},
        {"git_ref": 7},
        {"git_ref": "x" * 201},
        {"force": "yes"},
        {"zone": "mars-north1-a"},
        {"spot": True},
        {"keep_builder": 1},
        {"snapshot_date": "yesterday"},
        {"snapshot_date": "2026-13-01"},
        {"roll_out": None},
        {"vars": {"pgae": "a misspelt name"}},
        {"vars": {"page": ["a", "list"]}},
    ],
)
def test_a_bad_answer_is_refused(recipe: Recipe, answers: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(answers))):
        filled(recipe, **answers)


@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.2", "HEAD~3", "a" * 40, "HEAD^2"])
def test_what_git_calls_a_ref_is_taken(recipe: Recipe, ref: str) -> None:
    assert BakeParams.of_run(filled(recipe, git_ref=ref)).git_ref == ref


def test_the_answers_mean(recipe: Recipe) -> None:
    answers = BakeParams.of_run(
        filled(recipe, zone="us-central1-b", spot="yes", snapshot_date="2026-11-20", force=True)
    )
    assert answers.zones(recipe) == ("us-central1-b",)
    assert answers.wants_spot(recipe)
    assert str(answers.snapshot_date) == "2026-11-20"


def test_a_run_of_an_older_form_is_understood() -> None:
    assert BakeParams.of_run({"git_ref": "main", "vars": None}).git_ref == "main"


def test_the_builders_settings_are_those_of_the_recipe_until_somebody_says_otherwise() -> None:
    text = "base: debian-cloud/debian-12\nbuilder: {spot: true, keep_builder_on_failure: 8h}\n"
    keeping = load_recipe(text, "web.yaml")
    untouched = BakeParams.of_run(filled(keeping))
    assert (untouched.keep_builder, untouched.wants_spot(keeping)) == (True, True)
    other = BakeParams.of_run(filled(keeping, keep_builder=False, spot="no", zone="us-central1-c"))
    assert (other.keep_builder, other.wants_spot(keeping)) == (False, False)
    assert other.zones(keeping) == ("us-central1-c",)
