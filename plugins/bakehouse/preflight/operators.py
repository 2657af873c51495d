"""The task that checks a set-up, from where bakes run: in a worker, and once in the triggerer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import TaskDeferralTimeout

from bakehouse import __version__
from bakehouse.core.check import Check, State
from bakehouse.core.errors import PermanentError
from bakehouse.operators.base import BakehouseOperator, TryMemory
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.preflight.airflow_checks import check_triggerer
from bakehouse.preflight.events import TriggererAnswered
from bakehouse.preflight.facts import TriggererFacts
from bakehouse.preflight.params import CheckSetupParams
from bakehouse.preflight.table import summary, table

if TYPE_CHECKING:
    from airflow.sdk import Context

ANSWER_WITHIN = timedelta(minutes=3)


class SetupMemory(TryMemory):
    """What the worker has found before the triggerer answers."""

    checks: tuple[Check, ...] = ()


class CheckSetup(BakehouseOperator):
    """Looks at all that a bake and a rollout need -> the checks. Fails if something is wrong."""

    Memory: ClassVar[type[TryMemory]] = SetupMemory

    def __init__(self, *, include: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.include = include

    def reconcile(self, context: Context) -> Next:
        """Look at everything, then ask the triggerer."""
        from bakehouse.preflight.triggers import AnswerTrigger

        self.remember(checks=tuple(self._checks(context)))
        return WaitFor(AnswerTrigger(), "triggerer_answered", ANSWER_WITHIN)

    @resumed_by(TriggererAnswered)
    def triggerer_answered(self, context: Context, event: TriggererAnswered) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Show what was found."""
        known = self.memory.checks if isinstance(self.memory, SetupMemory) else ()
        return self._end([*known, _triggerer(version=event.version)])

    def trigger_failed(self, context: Context, error: Exception) -> Next:
        """Show what was found; Airflow has dropped what the worker knew before."""
        if isinstance(error, TaskDeferralTimeout):
            problem = f"no triggerer has answered within {ANSWER_WITHIN}"
        else:
            problem = str(error)
        return self._end([*self._checks(context), _triggerer(problem=problem)])

    def _checks(self, context: Context) -> list[Check]:
        from bakehouse.config.doctor import check_airflow, check_git_program, check_include
        from bakehouse.preflight.setup import setup_checks

        form = self.params_of(context, CheckSetupParams)
        include = Path(self.include)
        return [
            check_airflow(),
            check_git_program(),
            check_include(include),
            *setup_checks(include, form.connection, form.repository),
        ]

    def _end(self, checks: list[Check]) -> Done:
        for check in checks:
            tell = self.log.info if check.state is State.OK else self.log.warning
            for line in table([check]):
                tell("%s", line)
        self.log.info("%s", summary(checks))
        if wrong := [check for check in checks if not check.ok]:
            names = ", ".join(dict.fromkeys(check.name for check in wrong))
            lines = "\n".join(table(wrong))
            raise PermanentError(f"{len(wrong)} checks have failed: {names}\n{lines}")
        return Done([check.model_dump(mode="json") for check in checks])


def _triggerer(version: str = "", problem: str = "") -> Check:
    return check_triggerer(TriggererFacts(version, problem), __version__)
