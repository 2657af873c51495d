"""The documentation of a recipe's DAG, as Markdown. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.recipe.duration import format_duration
from bakehouse.recipe.rules import ancestors_of, children_of, parent_of
from bakehouse.schedule.jitter import offset_of
from bakehouse.schedule.shift import shifted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bakehouse.fleet.model import Fleet
    from bakehouse.recipe.model import Recipe, Scalar

ROLLOUTS = {
    "with_bake": "rolled out at the end of each bake",
    "follow": "rolled out in a run of its own for each promoted image",
    "manual": "rolled out manually",
}
REBAKES = {
    "on_updates": "when its packages have updates, and once it is older than {age}",
    "always": "every time",
    "never": "never, while an image with this content exists",
}


def doc_of(
    recipe: Recipe,
    recipes: Sequence[Recipe] = (),
    fleets: Sequence[Fleet] = (),
    *,
    only_builtin: bool = False,
) -> str:
    """Describe a recipe, its base, the recipes built on it, and its fleets.

    Important defaults are listed like values of the file. `only_builtin`: the schedule is one of
    Airflow's own timetables.
    """
    return "\n\n".join(
        [
            f"# {recipe.name}",
            recipe.description or "A machine image.",
            _table(("", ""), _facts(recipe, recipes, only_builtin)),
            *_section("Vars", _table(("var", "value"), _vars(recipe.vars))),
            *_section("Fleets", _table(("fleet", "image"), _fleets(recipe, fleets))),
            f"Recipe `include/recipes/{recipe.name}.yaml`, scripts"
            f" `include/startup_scripts/{recipe.scripts}/`: both at the commit that is baked.",
        ]
    )


def _facts(
    recipe: Recipe, recipes: Sequence[Recipe], only_builtin: bool
) -> Iterator[tuple[str, str]]:
    if recipe.image.kind == MACHINE_IMAGE:
        yield "makes", "machine images, which have no family"
    else:
        yield "image family", f"**{recipe.family}**"
    yield "built on", _bases(recipe, recipes)
    if above := children_of(recipe.name, recipes):
        yield "builds", f"{_dags(above)}: each new image of this recipe bakes them"
    yield "baked", _when(recipe, only_builtin)
    yield "baked again", REBAKES[recipe.rebake].format(age=format_duration(recipe.max_age))
    yield "on", _builder(recipe)
    if recipe.services:
        yield "services", ", ".join(f"`{unit}`" for unit in recipe.services)
    yield "smoke test", _smoke(recipe)
    yield "kept", _kept(recipe)
    yield "owner", recipe.owner


def _bases(recipe: Recipe, recipes: Sequence[Recipe]) -> str:
    """For example `kafka, which is built on jre, which is built on debian-cloud/debian-12`."""
    below = ancestors_of(recipe, recipes)
    if not below:
        return f"**{recipe.base}**"
    last = next((one for one in recipes if one.name == below[-1]), None)
    names = [_dags([name]) for name in below]
    names += [f"**{last.base}**"] if last and parent_of(last) is None else []
    return ", which is built on ".join(names)


def _when(recipe: Recipe, only_builtin: bool) -> str:
    parent = parent_of(recipe)
    moments = []
    if recipe.schedule:
        offset = offset_of(recipe.name, recipe.jitter)
        cron, late = recipe.schedule, int(offset.total_seconds())
        if only_builtin:
            cron, late = shifted(cron, offset), 0
        after = f", {late} s later" if late else ""
        moments.append(f"`{cron}` ({recipe.timezone}{after})")
    if parent and not (only_builtin and recipe.schedule):
        moments.append(f"on each new image of {_dags([parent])}")
    return " and ".join([*moments, "on demand"])


def _builder(recipe: Recipe) -> str:
    builder = recipe.builder
    kind = "spot " if builder.spot else ""
    account = f", as {builder.service_account}" if builder.service_account else ""
    way = "with an external address" if builder.external_ip else "without an external address"
    return (
        f"{kind}{builder.machine_type} with {builder.disk_gb} GB of {builder.disk_type}, {way}"
        f"{account}, in {' or '.join(builder.zones)}; at most"
        f" {builder.install_deadline_minutes} min for the install"
    )


def _smoke(recipe: Recipe) -> str:
    given = ", ".join(f"`{key}`" for key in recipe.smoke.metadata)
    metadata = f"; given {given}" if given else ""
    return (
        f"healthy within **{format_duration(recipe.boot_time_limit)}** of power-on, all checks"
        f" within {format_duration(recipe.smoke.deadline)}{metadata}"
    )


def _kept(recipe: Recipe) -> str:
    keep = recipe.image.keep
    days = f" and all younger than {keep.days} days" if keep.days else ""
    failed = format_duration(keep.failed)
    return f"the newest {keep.last} promoted{days}; images that failed the smoke test for {failed}"


def _vars(values: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        yield f"`{name}`", _code(str(value))


def _fleets(recipe: Recipe, fleets: Iterable[Fleet]) -> Iterator[tuple[str, str]]:
    for fleet in fleets:
        if fleet.recipe == recipe.name:
            yield f"[{fleet.name}](/dags/roll_out__{fleet.name})", ROLLOUTS[fleet.rollout]


def _dags(names: Iterable[str]) -> str:
    return ", ".join(f"[{name}](/dags/bake__{name})" for name in names)


def _section(title: str, table: str) -> list[str]:
    return [f"## {title}", table] if table else []


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {left} | {_cell(right)} |" for left, right in rows]
    return "\n".join([f"| {head[0]} | {head[1]} |", "| --- | --- |", *lines]) if lines else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    """Format as code; the fence is longer than any run of backticks in the text."""
    fence = "`" * (max(map(len, re.findall(r"`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text or ' '}{space}{fence}"
