"""Whom a plan asks at its gates, and what it makes of the answers. Pure.

A plan asks what is asked again before each stop, so that a person sees beforehand what will block.
A question costs a member two changes of metadata and some reads, so that of a large fleet only the
members that come first are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.rollout.gates import GuestFacts, guest_agrees
from bakehouse.rollout.plan_parts import Blocker, GateAnswer, GatesNow, NotAsked
from bakehouse.rollout.states import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bakehouse.fleet.gate import Gate
    from bakehouse.rollout.plan import Reported, RolloutPlan

ASK_AT_MOST = 50  # members, in the order of the plan


class Question(Frozen):
    """A member to ask."""

    member: str
    zone: str
    boot_id: str = Field(default="", description="of the boot that is asked")
    has_gate: bool = Field(default=False, description="the member itself can answer")
    ill: str = Field(default="", description="why it is ill, by its last report")


def questions(plan: RolloutPlan, gate: Gate) -> tuple[list[Question], list[NotAsked]]:
    """Return who is asked, in the order of the plan, and who is not, with the reason."""
    if plan.group is not None:
        group = plan.group
        asked = [Question(member=group.name, zone=group.zone)] if _is_outside(gate) else []
        return asked, []
    reports = {report.name: report for report in plan.reported}
    to_ask: list[Question] = []
    unasked: dict[str, list[str]] = {}
    for change in plan.changes:
        if change.strategy is Strategy.CREATE:
            continue  # it takes nobody away
        report = reports.get(change.name)
        why = _why_not(report, gate)
        if not why and len(to_ask) >= ASK_AT_MOST:
            why = f"beyond the first {ASK_AT_MOST}, each is asked before its stop"
        if why:
            unasked.setdefault(why, []).append(change.name)
        elif report is not None:
            to_ask.append(
                Question(
                    member=change.name,
                    zone=change.zone,
                    boot_id=report.boot_id,
                    has_gate=report.gate and gate.script != "ignored",
                    ill=report.ill,
                )
            )
    not_asked = [NotAsked(why=why, members=tuple(names)) for why, names in unasked.items()]
    return to_ask, not_asked if to_ask or gate.script == "required" else []


def _is_outside(gate: Gate) -> bool:
    return gate.http is not None or gate.prometheus is not None


def _why_not(report: Reported | None, gate: Gate) -> str:
    if report is None or (not report.stamp and report.ill):
        return report.ill if report is not None else "this rollout has begun with it"
    has_gate = report.gate and gate.script != "ignored"
    if has_gate or _is_outside(gate) or gate.script == "required":
        return ""
    return "its image has no gate"


def unanswered(question: Question, gate: Gate, why: str) -> GateAnswer:
    """Return the answer of a member that gave none; one that is down anyway may be stopped."""
    required = gate.script == "required"
    facts = GuestFacts(has_gate=question.has_gate, ill=question.ill)
    said = guest_agrees(facts, required=required)
    return GateAnswer(
        member=question.member, open=said.open, why=f"gate: {why}" if not said.open else said.why
    )


def with_answers(
    plan: RolloutPlan,
    answers: Sequence[GateAnswer],
    not_asked: Iterable[NotAsked],
    at: datetime,
) -> RolloutPlan:
    """Return the plan with what its gates say: leaders are the last, what is closed blocks."""
    now = GatesNow(at=at, answers=tuple(answers), not_asked=tuple(not_asked))
    if not now.answers and not now.not_asked:
        return plan
    closed: dict[str, list[str]] = {}
    for answer in answers:
        if not answer.open:
            closed.setdefault(answer.why, []).append(answer.member)
    blockers = [
        Blocker(what="gate", why=why, members=tuple(names)) for why, names in closed.items()
    ]
    led = plan.led_by({answer.member for answer in answers if answer.leader})
    return led.model_copy(update={"gates": now, "blockers": (*plan.blockers, *blockers)})
