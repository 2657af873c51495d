"""What the user of a question may see and trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bakehouse.pages.answers import Rights
from bakehouse.pages.queries import Scope

if TYPE_CHECKING:
    from collections.abc import Collection

    from bakehouse.pages.read_model import ReadModel

BAKE, ROLL_OUT, REVOKE = "bake__", "roll_out__", "revoke"


class User(Protocol):
    """The user of one question, as Airflow's auth manager decides."""

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        """Those of the DAGs that the user may read."""

    def triggerable(self, dag_ids: Collection[str]) -> set[str]:
        """Those of the DAGs of which the user may start runs."""

    def name(self) -> str:
        """The name by which Airflow knows the user."""

    def may_freeze(self) -> bool:
        """Whether the user may write the Variable of the freeze."""


class Everybody:
    """A user who may do everything: for benches and tests of the API."""

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        """All of them."""
        return set(dag_ids)

    triggerable = readable

    def name(self) -> str:
        """None."""
        return ""

    def may_freeze(self) -> bool:
        """Yes."""
        return True


def scope_of(user: User, model: ReadModel) -> Scope:
    """Return the recipes whose bakes, and the fleets whose rollouts, the user may read."""
    recipes = {row.recipe for row in model.images} | {r for r in model.fleets.values() if r}
    dags = {f"{BAKE}{name}" for name in recipes} | {f"{ROLL_OUT}{name}" for name in model.fleets}
    seen = user.readable(dags)
    return Scope(
        recipes={name for name in recipes if f"{BAKE}{name}" in seen},
        fleets={name for name in model.fleets if f"{ROLL_OUT}{name}" in seen},
    )


def rights_of(user: User, scope: Scope) -> Rights:
    """Return what the user may trigger, of what is seen."""
    recipes, fleets = sorted(scope.recipes or ()), sorted(scope.fleets or ())
    dags = [f"{BAKE}{name}" for name in recipes] + [f"{ROLL_OUT}{name}" for name in fleets]
    may = user.triggerable([*dags, REVOKE])
    return Rights(
        user=user.name(),
        roll_out=tuple(name for name in fleets if f"{ROLL_OUT}{name}" in may),
        bake=tuple(name for name in recipes if f"{BAKE}{name}" in may),
        revoke=REVOKE in may,
        freeze=user.may_freeze(),
    )
