"""Durations, names and the recipe's own form."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bakehouse.core.tasks import Flow, task_spec
from bakehouse.images import names
from bakehouse.recipe.base import RECIPE_NAME, BaseFamily, BaseImage, BaseRecipe, parse_base
from bakehouse.recipe.duration import format_duration, parse_duration
from bakehouse.recipe.model import Recipe

RFC1035 = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
recipe_names = st.from_regex(RECIPE_NAME, fullmatch=True)
seconds = st.integers(1, 3650 * 86_400)


@given(seconds)
def test_a_duration_is_read_as_it_is_written(count: int) -> None:
    value = timedelta(seconds=count)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("1h30m", 5400)]
)
def test_durations_as_people_write_them(text: str, expected: int) -> None:
    assert parse_duration(text) == timedelta(seconds=expected)


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats()))
def test_anything_else_is_no_duration(value: object) -> None:
    if isinstance(value, str) and re.fullmatch(r"[0-9dhms]+", value, re.ASCII):
        return
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(
    recipe_names,
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1)),
    st.integers(-12, 14),
    st.text("0123456789abcdef", min_size=40, max_size=40),
    st.text(),
)
def test_every_name_is_one_that_compute_engine_takes(
    recipe: str, when: datetime, hours: int, sha: str, run_id: str
) -> None:
    label = names.run_label(f"bake__{recipe}", run_id)
    zoned = when.replace(tzinfo=timezone(timedelta(hours=hours)))
    made = [
        names.image_name(recipe, zoned, sha, run_id),
        names.builder_name(recipe, label, 99),
        names.smoke_name(recipe, label, 99),
    ]
    assert [name for name in made if not RFC1035.fullmatch(name)] == []
    assert names.image_name(recipe, zoned.astimezone(UTC), sha, run_id) == made[0]


def test_an_image_name_tells_recipe_time_commit_and_run() -> None:
    when = datetime(2026, 11, 23, 3, 0, tzinfo=timezone(timedelta(hours=1)))
    first = names.image_name("web", when, "c0ffee1234", "manual__1")
    assert first.startswith("web-20261123t0200-c0ffee1-")
    assert first != names.image_name("web", when, "c0ffee1234", "manual__2")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        names.image_name("web", datetime(2026, 1, 1), "c0ffee", "r")


def test_run_labels_differ_by_dag_and_run() -> None:
    labels = {names.run_label(d, r) for d in ("a", "b") for r in ("a", "b")}
    assert len(labels) == 4
    assert all(re.fullmatch(r"[0-9a-f]{12}", label) for label in labels)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("debian-cloud/debian-12", BaseFamily(project="debian-cloud", family="debian-12")),
        ("debian-cloud/images/d-1", BaseImage(project="debian-cloud", image="d-1")),
        ("projects/p1/global/images/family/f", BaseFamily(project="p1", family="f")),
        ("projects/p1/global/images/i", BaseImage(project="p1", image="i")),
        ({"recipe": "jre"}, BaseRecipe(recipe="jre")),
    ],
)
def test_bases(written: object, meant: object) -> None:
    assert parse_base(written) == meant


def test_the_json_form_validates_again() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "web",
            "base": {"recipe": "jre"},
            "vars": {"text": "1", "number": 1, "ratio": 0.5, "flag": True},
            "sla": {"smoke_test": "1h30m"},
            "services": ["nginx", "app@1.service"],
        }
    )
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert recipe.vars == {"text": "1", "number": 1, "ratio": 0.5, "flag": True}
    assert recipe.vars["flag"] is True


def test_defaults_stand_where_nothing_is_told() -> None:
    recipe = Recipe.model_validate({"name": "web", "base": "a/b", "sla": {"smoke_test": "1m"}})
    assert (recipe.scripts, recipe.family) == ("web", "web")
    assert recipe.sla_of("smoke_test") == timedelta(minutes=1)
    assert recipe.sla_of("plan_bake") == task_spec(Flow.BAKE, "plan_bake").sla
    assert recipe.retries_of("plan_bake") == task_spec(Flow.BAKE, "plan_bake").retries


@pytest.mark.parametrize("key", ["startup-script", "bakehouse-role", "a b", ""])
def test_smoke_metadata_cannot_be_bakehouses_own(key: str) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"name": "w", "base": "a/b", "smoke": {"metadata": {key: "x"}}})


def test_the_schema_for_editors_can_be_made() -> None:
    schema = Recipe.model_json_schema()
    assert schema["properties"]["boot_time_limit"]["type"] == "string"
