"""Rules across fleets and recipes. Pure."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from bakehouse.fleet.group_rules import of_group, shared_groups
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.recipe.known_names import unknown_zone
from bakehouse.recipe.mistakes import did_you_mean
from bakehouse.recipe.rules import Broken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bakehouse.fleet.model import Fleet
    from bakehouse.recipe.model import Recipe


def between(
    fleets: Sequence[Fleet], recipes: Mapping[str, Recipe], known: Collection[str]
) -> list[Broken]:
    """List every broken rule; `known` includes the recipes whose files have mistakes."""
    own = [one for fleet in fleets for one in _of(fleet, recipes, known)]
    return [*own, *_shared_members(fleets), *shared_groups(fleets)]


def _shared_members(fleets: Sequence[Fleet]) -> Iterator[Broken]:
    """Find instances of two fleets, which two rollouts would replace at the same time."""
    for first, second in _in_question(sorted(fleets, key=lambda one: one.name)):
        zones = sorted(set(first.members.zones) & set(second.members.zones))
        if not zones:
            continue
        remedy = f"Leave it to one of them: {first.name}.yaml or {second.name}.yaml"
        named = set(first.members.names or ())
        for name in second.members.names or ():
            if name in named:
                place = ("members", *second.members.place(name))
                problem = f"is {name} in {zones[0]}, a member of the fleet {first.name} too"
                yield Broken(second.name, place, problem, remedy)
        if _all_alike(first, second):
            problem = f"match members of the fleet {first.name} in {zones[0]} too"
            remedy = f"Add a label that {first.name}.yaml does not have, to both"
            yield Broken(second.name, ("members", "labels"), problem, remedy)


def _in_question(fleets: Sequence[Fleet]) -> list[tuple[Fleet, Fleet]]:
    """Pair the fleets that may share members: of many, each is compared with few.

    These name an instance of the same name, or one has the rarest label of the other.
    """
    labels = [(fleet.members.labels or {}).items() for fleet in fleets]
    number_of = Counter(label for each in labels for label in each)
    named: dict[str, list[int]] = {}
    rarest: dict[tuple[str, str], list[int]] = {}
    for index, fleet in enumerate(fleets):
        for name in set(fleet.members.names or ()):
            named.setdefault(name, []).append(index)
        if labels[index]:
            rarest.setdefault(min(labels[index], key=number_of.__getitem__), []).append(index)
    pairs = {pair for same in named.values() for pair in combinations(same, 2)}
    for index, each in enumerate(labels):
        others = {other for label in each for other in rarest.get(label, ())}
        pairs |= {(min(index, other), max(index, other)) for other in others - {index}}
    return [(fleets[first], fleets[second]) for first, second in sorted(pairs)]


def _all_alike(first: Fleet, second: Fleet) -> bool:
    """Whether an instance that one fleet's labels select is selected by the other's for certain."""
    labels = [fleet.members.labels for fleet in (first, second)]
    if not labels[0] or not labels[1]:
        return False
    one, other = labels[0].items(), labels[1].items()
    return one <= other or other <= one


def _of(fleet: Fleet, recipes: Mapping[str, Recipe], known: Collection[str]) -> Iterator[Broken]:
    if fleet.recipe not in known:
        problem = f"names the recipe {fleet.recipe}, which does not exist"
        remedy = did_you_mean(fleet.recipe, sorted(known))
        yield Broken(fleet.name, ("recipe",), problem, remedy)
    for index, zone in enumerate(() if fleet.unlisted else fleet.members.zones):
        if wrong := unknown_zone(zone):
            remedy = f"{wrong[1]}. If Google has it, say `unlisted: true`"
            yield Broken(fleet.name, ("members", "zones", index), wrong[0], remedy)
    yield from of_group(fleet)
    for index, stage in enumerate(fleet.approval.after if fleet.approval else ()):
        if stage >= (last := len(fleet.stages)):
            problem = f"is {stage}, and no stage follows that one: the fleet has {last}"
            remedy = "Name stages before the last one" if last > 1 else "Add a stage before 100%"
            yield Broken(fleet.name, ("approval", "after", index), problem, remedy)
    recipe = recipes.get(fleet.recipe)
    if recipe and recipe.image.kind == MACHINE_IMAGE and fleet.strategy in {"swap", "mig"}:
        problem = f"is the recipe {fleet.recipe}, which creates machine images"
        remedy = (
            "A boot disk can only be created from a custom image: remove image.kind from"
            f" {fleet.recipe}.yaml, or this fleet"
        )
        yield Broken(fleet.name, ("recipe",), problem, remedy)
