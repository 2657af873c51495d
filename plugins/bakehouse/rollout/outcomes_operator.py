"""The base of the verdict: what the tasks of each member have told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.rollout.fleet_operator import FAILED_IN_SOAK, REPLACE, STRANDED, FleetOperator
from bakehouse.rollout.outcome import failed_members
from bakehouse.rollout.states import STUCK

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.rollout.plan import RolloutPlan


class OutcomesOperator(FleetOperator):
    """Reads the outcome of each member."""

    def stranded(self, context: Context) -> list[MemberOutcome]:
        """Return the members that could not go back at all."""
        told = context["ti"].xcom_pull(task_ids=self.near("plan_rollback"), key=STRANDED)
        return [MemberOutcome.model_validate(outcome) for outcome in told or []]

    def outcomes(
        self, context: Context, made: RolloutPlan, states: dict[str, str | None]
    ) -> list[MemberOutcome]:
        """Return the outcome of each member's tasks, replacements first."""
        going_back = context["ti"].xcom_pull(task_ids=self.near("plan_rollback")) or []
        steps: list[tuple[str, Literal["forward", "back"], list[str]]] = [
            (REPLACE.format(number), "forward", self._moved(context, made, number))
            for number in range(1, self.last_stage(made) + 1)
        ]
        steps.append(("roll_back", "back", [str(swap["member"]) for swap in going_back]))
        found: list[MemberOutcome] = self._failed_in_soak(context, made)
        for task, way, names in steps:
            known = self._told(context, task, names)
            silent = {names[i] for i in failed_members(states, task) if i < len(names)}
            silent -= {outcome.member for outcome in known}
            found += known
            found += [
                MemberOutcome(
                    member=name,
                    way=way,
                    state=STUCK,
                    why=f"{task} failed without an outcome, see its log",
                    image="",
                    disk="",
                )
                for name in names
                if name in silent
            ]
        return found

    def _told(self, context: Context, task: str, names: list[str]) -> list[MemberOutcome]:
        """Return what the members of a mapped task have told, in their order.

        All of them with two requests; one that has succeeded has told it as its value.
        """
        found: dict[str, MemberOutcome] = {}
        for key in ("outcome", "return_value") if names else ():
            told = context["ti"].xcom_pull(task_ids=self.near(task), key=key) or []
            # one alone is in no list
            for outcome in told if isinstance(told, list) else [told]:
                if outcome:
                    one = MemberOutcome.model_validate(outcome)
                    found[one.member] = one
        place = {name: number for number, name in enumerate(names)}
        return sorted(found.values(), key=lambda outcome: place.get(outcome.member, len(names)))

    def _failed_in_soak(self, context: Context, made: RolloutPlan) -> list[MemberOutcome]:
        """Return the members that got healthy and did not stay so."""
        tasks = [f"verify_stage_{number}" for number in range(1, self.last_stage(made) + 1)]
        told = (
            context["ti"].xcom_pull(task_ids=self.near(task), key=FAILED_IN_SOAK) for task in tasks
        )
        return [MemberOutcome.model_validate(each) for failed in told for each in failed or []]

    def _moved(self, context: Context, made: RolloutPlan, stage: int) -> list[str]:
        """Return the members of a stage, in the order of its mapped tasks."""
        if made.group is not None:
            return [name for names in made.names_of_stages[stage - 1 : stage] for name in names]
        return [swap.member for swap in self.picked(context, stage)]

    def not_reached(self, context: Context, made: RolloutPlan) -> list[str]:
        """Return the members whose stage has gone from the fleet's file since the plan."""
        if not made.changes:
            return []
        stages = range(1, self.last_stage(made) + 1)
        reached = {swap.member for stage in stages for swap in self.picked(context, stage)}
        return [change.name for change in made.changes if change.name not in reached]
