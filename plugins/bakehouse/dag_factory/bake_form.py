"""The trigger form of a bake; `bakehouse.bake.params` is the model of its answers.

A bad value is refused by Airflow before there is a run: 400 from the API, a message in the dialog.
"""

from __future__ import annotations

from airflow.sdk import Param

from bakehouse.bake.params import AS_THE_RECIPE, AUTOMATIC, SPOT
from bakehouse.recipe.model import Recipe

# as recipe/git/repository.py has it, said in the JSON schema's regular expressions
GIT_REF = r"^(?![-^])[^\s:?*\[\\]+$"


def form(recipe: Recipe) -> dict[str, Param]:
    """The params of `bake__<recipe>`."""
    return {
        "git_ref": Param(
            "HEAD",
            type="string",
            title="Git ref",
            description="Branch, tag, hash or HEAD~3: its newest commit as of the run is baked.",
            minLength=1,
            maxLength=200,
            pattern=GIT_REF,
        ),
        "force": Param(
            False,
            type="boolean",
            title="Bake anyway",
            description="Also when a promoted image has exactly this content.",
        ),
        "roll_out": Param(
            True,
            type="boolean",
            title="Roll out",
            description="Move the fleets that say rollout: with_bake onto the new image.",
        ),
        **_machine(recipe),
        "snapshot_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Packages as of",
            description="Install from snapshot.debian.org as of this day; empty for today's.",
        ),
        "vars": _vars(recipe),
    }


def _vars(recipe: Recipe) -> Param:
    scalar = {"type": ["string", "number", "boolean"]}
    return Param(
        {},
        type="object",
        title="Vars",
        description=_may_be_given(recipe),
        properties=dict.fromkeys(recipe.vars, scalar),
        additionalProperties=False,
    )


def _may_be_given(recipe: Recipe) -> str:
    if not recipe.vars:
        return "The recipe has none."
    return f"As JSON, in place of the recipe's own; it has: {', '.join(recipe.vars)}."


def _machine(recipe: Recipe) -> dict[str, Param]:
    usual = "a spot machine" if recipe.builder.spot else "a standard machine"
    return {
        "zone": Param(
            AUTOMATIC,
            type="string",
            title="Zone",
            description="Where to bake; automatic tries the recipe's zones in their order.",
            enum=[AUTOMATIC, *recipe.builder.zones],
        ),
        "spot": Param(
            AS_THE_RECIPE,
            type="string",
            title="Spot machine",
            description="Cheaper, and may be taken away; then another one is tried.",
            enum=list(SPOT),
            values_display={
                AS_THE_RECIPE: f"as the recipe says: {usual}",
                "yes": "yes",
                "no": "no",
            },
        ),
        "keep_builder": Param(
            recipe.builder.keep_builder_on_failure is not None,
            type="boolean",
            title="Keep a failed builder",
            description="Leave the machine of a failed install, for a day unless the recipe says"
            " builder.keep_builder_on_failure.",
        ),
    }
