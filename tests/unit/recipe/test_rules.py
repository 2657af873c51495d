"""What must hold between recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.rules import Relatives, ancestors_of, between, children_of

if TYPE_CHECKING:
    from bakehouse.recipe.model import Recipe

DEBIAN = "debian-cloud/debian-12"


def recipes(**bases: str) -> list[Recipe]:
    """By name: the parent's name, or a family of somebody else's."""
    return [
        load_recipe(f"base: {base if '/' in base else f'{{recipe: {base}}}'}\n", f"{name}.yaml")
        for name, base in bases.items()
    ]


def test_a_chain_has_ancestors_and_children() -> None:
    found = recipes(jre=DEBIAN, kafka="jre", connect="kafka", zoo="jre")
    assert between(found) == []
    assert ancestors_of(found[2], found) == ["kafka", "jre"]
    assert children_of("jre", found) == ["kafka", "zoo"]


def test_relatives_are_all_that_a_recipe_has_above_and_below_it_and_no_others() -> None:
    found = recipes(jre=DEBIAN, kafka="jre", connect="kafka", zoo="jre", apart=DEBIAN, lost="gone")
    relatives = Relatives(found)
    near = {one.name: [other.name for other in relatives.of(one)] for one in found}
    assert near == {
        "jre": ["kafka", "zoo"],
        "kafka": ["jre", "connect"],
        "connect": ["kafka", "jre"],
        "zoo": ["jre"],
        "apart": [],
        "lost": [],
    }
    for one in found:
        assert ancestors_of(one, relatives.of(one)) == ancestors_of(one, found), one.name
        assert children_of(one.name, relatives.of(one)) == children_of(one.name, found), one.name


def test_a_circle_is_refused_in_each_of_its_files_and_named_whole() -> None:
    found = between(recipes(a="b", b="c", c="a", above="a", apart=DEBIAN))
    assert [one.recipe for one in found] == ["a", "b", "c"], "what stands on a circle is not in it"
    assert {one.loc for one in found} == {("base", "recipe")}
    assert found[1].problem == "is part of a cycle: b -> c -> a -> b"
    assert "Give a.yaml or b.yaml or c.yaml a base that is a family" in found[1].remedy


def test_a_recipe_cannot_have_itself_as_base() -> None:
    (one,) = between(recipes(a="a"))
    assert one.problem == "is the recipe itself"


def test_an_unknown_parent_is_refused_with_the_nearest_name() -> None:
    (one,) = between(recipes(jre=DEBIAN, kafka="jer"))
    assert (one.recipe, one.problem) == ("kafka", "names the recipe jer, which does not exist")
    assert one.remedy == "Did you mean jre?"


def test_a_parent_whose_file_is_broken_keeps_its_children() -> None:
    assert between(recipes(kafka="jre"), unreadable=["jre"]) == []


@pytest.mark.parametrize("order", [1, -1])
def test_two_recipes_cannot_share_a_family(order: int) -> None:
    one = load_recipe(f"base: {DEBIAN}\n", "web.yaml")
    other = load_recipe(f"base: {DEBIAN}\nimage: {{family: web}}\n", "api.yaml")
    (told,) = between([one, other][::order])
    assert (told.recipe, told.loc) == ("api", ("image", "family"))
    assert told.problem == "is the family of the recipe web too"
