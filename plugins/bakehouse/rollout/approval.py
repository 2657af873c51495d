"""What a person reads who is asked whether a rollout may go on, and what the answers mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bakehouse.rollout.health import Health
    from bakehouse.rollout.plan import RolloutPlan

MOST_MEMBERS = 20  # of a list; the plan's log has all


class Decision(Frozen):
    """What became of the question after a stage."""

    stage: int
    decision: Literal["approved", "rejected", "timed_out"]
    by: str = ""

    def in_words(self) -> str:
        """Return the sentence that log, ledger and result show."""
        if self.decision == "timed_out":
            return f"nobody approved the rollout after stage {self.stage} in time"
        return f"{self.by or 'somebody'} {self.decision} the rollout after stage {self.stage}"


def goes_back(decisions: Sequence[Decision], on_failure: str, on_timeout: str) -> bool:
    """Whether a rollout that has stopped goes back; a rejection always does."""
    if any(one.decision == "rejected" for one in decisions):
        return True
    if any(one.decision == "timed_out" for one in decisions):
        return on_timeout == "roll_back"
    return on_failure == "roll_back"


def reason_of(decisions: Sequence[Decision]) -> Reason | None:
    """Return the reason of a rollout that a person has ended; None if none has."""
    if any(one.decision == "rejected" for one in decisions):
        return Reason.REJECTED
    return Reason.NOT_APPROVED if any(d.decision == "timed_out" for d in decisions) else None


@dataclass(frozen=True)
class Question:
    """What is known when a person is asked."""

    plan: RolloutPlan
    stage: int
    done: Mapping[str, Health | None]  # members on the new image, and their last reports
    others: Mapping[str, Health | None]  # members that are not replaced yet
    packages: Mapping[str, str]  # by the old image: what differs from it

    @property
    def subject(self) -> str:
        """The line above the question."""
        return (
            f"{self.plan.fleet}: go on with {self.plan.image.name} after stage {self.stage} of"
            f" {len(self.plan.stages)}?"
        )

    def body(self) -> str:
        """Return the plan, what differs in packages, and the figures, as Markdown."""
        parts = [self._next(), self._packages(), self._figures()]
        return "\n\n".join(part for part in parts if part)

    def _next(self) -> str:
        lines = [f"**Image** {self.plan.image.name}, commit {self.plan.image.git_sha or 'unknown'}"]
        for number, names in enumerate(self.plan.names_of_stages, start=1):
            state = "on the new image" if number <= self.stage else "next"
            group = self.plan.group
            text = f"{group.stages[number - 1].members} of {group.size} instances" if group else ""
            lines.append(f"- stage {number} ({state}): {text or listed(names)}")
        if self.plan.skipped:
            left = [f"{one.name} ({one.reason.text})" for one in self.plan.skipped]
            lines.append(f"- left as they are: {listed(left)}")
        lines.append("")
        lines.append("**Approve** goes on; **Reject** takes every member back to what it had.")
        return "\n".join(lines)

    def _packages(self) -> str:
        lines = [f"- from {old}: {what}" for old, what in self.packages.items()]
        return "\n".join(["**Packages**", *lines]) if lines else ""

    def _figures(self) -> str:
        """Return one row for each canary, and the median of the members not replaced below them."""
        names = sorted({key for h in self._reports() for key in figures(h)})
        if not names:
            return ""
        rows = [f"| member | health | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
        for member, health in list(self.done.items())[:MOST_MEMBERS]:
            known = figures(health) if health is not None else {}
            cells = [shown(known.get(name)) for name in names]
            state = health.state if health is not None else "no report"
            rows.append(f"| {member} | {state} | {' | '.join(cells)} |")
        others = [figures(health) for health in self.others.values() if health is not None]
        if others:
            cells = [shown(middle([one[n] for one in others if n in one])) for n in names]
            rows.append(f"| median of {len(others)} not replaced | | {' | '.join(cells)} |")
        return "\n".join(["**Figures**", "", *rows])

    def _reports(self) -> list[Health]:
        return [h for h in [*self.done.values(), *self.others.values()] if h is not None]


def figures(health: Health) -> dict[str, float]:
    """Return the numbers of a report, by name."""
    known = {"boot_seconds": health.boot_seconds, "restarts": health.restarts}
    told = {name: float(value) for name, value in known.items() if value is not None}
    return {**told, **health.numbers}


def middle(values: Sequence[float]) -> float | None:
    """Return the median; None of nothing."""
    return median(values) if values else None


def shown(value: float | None) -> str:
    """Return a number as a table shows it."""
    return "-" if value is None else f"{value:g}"


def listed(names: Sequence[str]) -> str:
    """Return the names, at most so many."""
    more = len(names) - MOST_MEMBERS
    return (", ".join(names[:MOST_MEMBERS]) or "nobody") + (f" and {more} more" if more > 0 else "")
