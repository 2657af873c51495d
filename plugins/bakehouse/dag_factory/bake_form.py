"""The trigger form of a bake; `bakehouse.bake.params` is the model of its answers.

Airflow rejects an invalid value before there is a run: in the dialog, and with 400 from the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

from bakehouse.bake.params import AS_THE_RECIPE, AUTOMATIC, SPOT
from bakehouse.dag_factory import form_patterns

if TYPE_CHECKING:
    from bakehouse.recipe.model import Recipe

# as recipe/git/repository.py has it, said in the JSON schema's regular expressions
GIT_REF = r"^(?![-^+])(?!.*(\.\.|@\{|\^\{/|\^[@!-]))[^\s:?*\[\\]+$"


def form(recipe: Recipe) -> dict[str, Param]:
    """The params of `bake__<recipe>`."""
    return {
        "git_ref": Param(
            "HEAD",
            type=["null", "string"],
            title="Git ref",
            description="Branch, tag, hash or HEAD~3; its newest commit at that time is baked."
            " Empty: HEAD.",
            minLength=1,
            maxLength=200,
            pattern=form_patterns.git_ref(GIT_REF),
        ),
        "force": Param(
            False,
            type="boolean",
            title="Bake anyway",
            description="Bake although a promoted image has the same content.",
        ),
        "roll_out": Param(
            True,
            type="boolean",
            title="Roll out",
            description="Roll out to the fleets that set rollout: with_bake.",
        ),
        **_machine(recipe),
        "snapshot_date": Param(
            None,
            type=["null", "string"],
            format="date",
            pattern=form_patterns.DATE,
            title="Packages as of",
            description="Install packages of this date (snapshot.debian.org); empty: today's.",
        ),
        "vars": _vars(recipe),
    }


def _vars(recipe: Recipe) -> Param:
    return Param(
        {},
        type="object",
        title="Vars",
        description=_may_be_given(recipe),
        properties=dict.fromkeys(recipe.vars, form_patterns.SCALAR),
        additionalProperties=False,
    )


def _may_be_given(recipe: Recipe) -> str:
    if not recipe.vars:
        return "The recipe has no vars."
    return f"As JSON; replaces vars of the recipe, which are: {', '.join(recipe.vars)}."


def _machine(recipe: Recipe) -> dict[str, Param]:
    usual = "a spot VM" if recipe.builder.spot else "a standard VM"
    return {
        "zone": Param(
            AUTOMATIC,
            type="string",
            title="Zone",
            description="The zone of the builder; automatic tries the recipe's zones in order.",
            enum=[AUTOMATIC, *recipe.builder.zones],
        ),
        "spot": Param(
            AS_THE_RECIPE,
            type="string",
            title="Spot VM",
            description="Cheaper; may be preempted, then another VM is created.",
            enum=list(SPOT),
            values_display={
                AS_THE_RECIPE: f"as in the recipe: {usual}",
                "yes": "yes",
                "no": "no",
            },
        ),
        "keep_builder": Param(
            recipe.builder.keep_builder_on_failure is not None,
            type="boolean",
            title="Keep a failed builder or smoke machine",
            description="Keep the VM of a failed install or smoke test for a day, or for the"
            " recipe's builder.keep_builder_on_failure.",
        ),
    }
