"""Predict how long a rollout takes, from the replacements of the past. Pure.

A member takes what it took before (the median), one that is new to the ledger what its fleet took,
else what members of the recipe's other fleets took. Between two members Airflow needs time too,
which the same records show.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from bakehouse.core.time import in_short
from bakehouse.rollout.order import time_of_turns
from bakehouse.rollout.plan_parts import Forecast, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bakehouse.history.rollout_events import MemberReplacedEvent
    from bakehouse.rollout.plan import RolloutPlan

BETWEEN_AT_MOST = 120.0  # seconds; a longer pause is a soak, a window, a gate or an outage
SOAK = "soak"  # with which the name of such a span begins
LAST = 20  # replacements of a member: those of years ago say little


def forecast(
    plan: RolloutPlan,
    past: Iterable[MemberReplacedEvent],
    now: datetime,
    *,
    soak: timedelta,
    deadline: timedelta,
) -> Forecast:
    """Predict the end of a rollout that begins now.

    Args:
        plan: with its rules and blockers.
        past: replacements that went well, of any fleet, in the order of time.
        now: the moment of the plan.
        soak: of the fleet, after each stage.
        deadline: of one member.
    """
    at_once = plan.rules.max_unavailable if plan.rules is not None else 1
    filled = [(n, stage) for n, stage in enumerate(plan.stages, start=1) if stage]
    longest = sum(
        time_of_turns([deadline.total_seconds()] * len(stage), at_once) + soak.total_seconds()
        for _, stage in filled
    )
    if not filled:
        return Forecast(seconds=0.0, end=now, at_most=0.0)
    ours, of = _which(plan, list(past))
    if not ours:
        return Forecast(at_most=longest, blocker=_blocked(plan))
    takes, between = _takes(plan, ours), _between(ours)
    spans: list[Span] = []
    slowest = max(plan.changes, key=lambda change: takes[change.name])
    for number, stage in filled:
        turns = [takes[change.name] + between for change in stage]
        span = round(time_of_turns(turns, at_once), 1)
        who = stage[0].name if len(stage) == 1 else f"{len(stage)} members"
        spans.append(Span(what=f"stage {number} ({who})", seconds=span))
        if soak:
            spans.append(Span(what=f"{SOAK} of stage {number}", seconds=soak.total_seconds()))
    seconds = sum(span.seconds for span in spans)
    return Forecast(
        seconds=seconds,
        end=now + timedelta(seconds=seconds),
        past=len(ours),
        of=of,
        at_most=longest,
        spans=tuple(spans),
        blocker=_blocked(plan) or _most(spans, seconds, slowest.name, takes[slowest.name]),
    )


def seconds_of_a_turn(plan: RolloutPlan) -> float:
    """Return what each of a stage's turns takes by the prediction; 0.0 if there is none."""
    if plan.forecast is None or plan.rules is None:
        return 0.0
    stages = sum(s.seconds for s in plan.forecast.spans if not s.what.startswith(SOAK))
    turns = sum(-(-len(stage) // plan.rules.max_unavailable) for stage in plan.stages)
    return stages / turns if turns else 0.0


def _which(
    plan: RolloutPlan, past: Sequence[MemberReplacedEvent]
) -> tuple[list[MemberReplacedEvent], str]:
    timed = [event for event in past if event.detail.seconds is not None]
    own = [event for event in timed if event.detail.fleet == plan.fleet]
    if own:
        return own, f"the fleet {plan.fleet}"
    recipe = plan.image.recipe
    return [event for event in timed if event.recipe == recipe], f"the recipe {recipe}"


def _takes(plan: RolloutPlan, past: Sequence[MemberReplacedEvent]) -> dict[str, float]:
    of_member: dict[str, list[float]] = defaultdict(list)
    for event in past:
        if event.detail.fleet == plan.fleet:
            of_member[event.detail.member].append(event.detail.seconds or 0.0)
    every = median(event.detail.seconds or 0.0 for event in past)
    return {
        change.name: median(of_member[change.name][-LAST:]) if of_member[change.name] else every
        for change in plan.changes
    }


def _between(past: Sequence[MemberReplacedEvent]) -> float:
    return median([gap for gap in _gaps(past) if gap <= BETWEEN_AT_MOST] or [0.0])


def _gaps(past: Sequence[MemberReplacedEvent]) -> Iterator[float]:
    """Yield the seconds between the end of a member and the begin of the next one of its run."""
    ended: dict[tuple[str, str], datetime] = {}
    for event in past:
        run = event.dag_id, event.run_id
        if run in ended:
            began = event.happened - timedelta(seconds=event.detail.seconds or 0.0)
            yield max(0.0, (began - ended[run]).total_seconds())
        ended[run] = event.happened


def _blocked(plan: RolloutPlan) -> str:
    return "; ".join(blocker.why for blocker in plan.blockers)


def _most(spans: Sequence[Span], total: float, slowest: str, takes: float) -> str:
    """Say what the end depends on most: the soak, or a stage and the slowest member in it."""
    soak = sum(span.seconds for span in spans if span.what.startswith(SOAK))
    if 2 * soak > total:
        return f"the soak: {in_short(soak)} of {in_short(total)}"
    stage = max((s for s in spans if not s.what.startswith(SOAK)), key=lambda s: s.seconds)
    share = f"{stage.what}: {in_short(stage.seconds)} of {in_short(total)}"
    return f"{share}; the slowest member is {slowest}, {in_short(takes)}"
