"""The place of a member in its stage: who comes first, and who of them has passed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.rollout.plan import Reported

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
WITH_SLOT = frozenset({"queued", "running", "deferred"})  # has one of the slots of its stage


class Place(Frozen):
    """The place of a member that is made ready before its turn, and waits for it."""

    task: str = Field(description="id of the stage's mapped task")
    ahead: dict[str, int] = Field(description="who comes first, and the map index of each")
    at_most: int = Field(description="max_unavailable of the plan, as a number")
    others: dict[str, str] = Field(description="members that count, and their zones")
    reports: tuple[Reported, ...] = Field(description="those to read before the stop")
    until: float = Field(description="when the task looks itself, in seconds since 1970")

    def left(self, states: Mapping[str, str | None], passed: Collection[str]) -> list[str]:
        """Return who still comes first.

        Args:
            states: of the tasks of the stage, by `<task id>_<map index>`.
            passed: members of which it is known that they have reached their goal, though their
                tasks have not ended yet.
        """
        return left(self.task, self.ahead, states, passed)

    def has_slot(self, states: Mapping[str, str | None], first: Collection[str]) -> bool:
        """Whether one of those that come first has a slot of the stage.

        If none has for long, one of them may need this task's slot for its next try.
        """
        return any(states.get(f"{self.task}_{self.ahead[name]}") in WITH_SLOT for name in first)

    def goes_on(self, states: Mapping[str, str | None]) -> bool:
        """Whether one of those that come first has a slot, or gets one without another try.

        A task whose trigger has fired has none for a moment.
        """
        return any(
            states.get(f"{self.task}_{index}") in {*WITH_SLOT, "scheduled", None}
            for index in self.ahead.values()
        )


def failed(states: Mapping[str, str | None]) -> list[str]:
    """Return the tasks that have failed, which halts the line."""
    return sorted(name for name, state in states.items() if state == "failed")


def left(
    task: str,
    ahead: Mapping[str, int],
    states: Mapping[str, str | None],
    passed: Collection[str] = (),
) -> list[str]:
    """Return those of `ahead` (member -> map index of the task) that have not ended or passed."""
    return [
        name
        for name, index in ahead.items()
        if name not in passed and states.get(f"{task}_{index}") not in ENDED
    ]
