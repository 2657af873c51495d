"""The plan of a rollout as people read it, on a terminal and in a log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.time import format_utc, in_short
from bakehouse.images.links import resource_name
from bakehouse.rollout.declared_fleet import told
from bakehouse.rollout.plan import WayBack
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.mig import way_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bakehouse.rollout.plan import Change, RolloutPlan

SHOWN = 20  # members of a stage, or of a list


def plan_lines(plan: RolloutPlan) -> Iterator[str]:
    """Yield the plan, paragraph by paragraph."""
    yield _title(plan)
    parts = (_refused, _packages, _group, _order, _left, _ways_back, _gates, _now, _time)
    for paragraph in parts:
        lines = list(paragraph(plan))
        if lines:
            yield ""
            yield from lines


def in_one_line(plan: RolloutPlan) -> str:
    """Return what a note and a notification have room for."""
    who = f"the group {plan.group.name}" if plan.group else _count(len(plan.changes))
    if plan.unreadable:
        return f"refused: {plan.unreadable}"
    parts = [f"{who} would move to {plan.image.name}"]
    parts += [f"{count} left as they are" for count in [len(plan.skipped)] if count]
    if plan.blockers:
        parts.append(f"blocked now: {'; '.join(blocker.why for blocker in plan.blockers)}")
    if plan.changes and plan.forecast is not None and plan.forecast.seconds is not None:
        parts.append(f"about {in_short(plan.forecast.seconds)}")
    closed = [c.name for c in plan.changes if c.way_back in _CLOSED]
    parts += [f"no way back for {_some(closed)}"] if closed else []
    return ", ".join(parts)


def _title(plan: RolloutPlan) -> str:
    every = len(plan.changes) + len(plan.skipped)
    image, what = plan.image, f", commit {plan.image.git_sha[:7]}" if plan.image.git_sha else ""
    goal = f"{image.name} (id {image.id}{what})"
    if plan.group is not None:
        return f"Plan of the fleet {plan.fleet}: the group {plan.group.name} moves to {goal}"
    if not plan.changes:
        return f"Plan of the fleet {plan.fleet}: nobody moves to {goal}"
    if plan.is_config:
        who = f"{len(plan.changes)} of {every}"
        return f"Plan of the fleet {plan.fleet}: {who} get other metadata, without a stop"
    return f"Plan of the fleet {plan.fleet}: {len(plan.changes)} of {every} move to {goal}"


def _refused(plan: RolloutPlan) -> Iterator[str]:
    if plan.unreadable:
        yield f"refused: {plan.unreadable}"


def _packages(plan: RolloutPlan) -> Iterator[str]:
    if plan.images:
        yield "packages"
    for image in plan.images:
        name = f"from {image.name}" if image.name else "from a disk of no image"
        said = image.packages or f"unknown, {image.unknown}"
        yield f"  {name} ({_count(image.members)}): {said}"


def _group(plan: RolloutPlan) -> Iterator[str]:
    group = plan.group
    if group is None:
        return
    down, more = (_number(group.rolling[key]) for key in ("maxUnavailable", "maxSurge"))
    yield f"order: at most {down} unavailable, {more} more during the update"
    names = [str(stage) for stage in plan.rules.stages] if plan.rules is not None else []
    stages = zip(names, group.stages, strict=False)
    yield from _table(
        [
            (f"stage {number} ({name})", f"{stage.members} of {_instances(group.size)}")
            for number, (name, stage) in enumerate(stages, start=1)
        ]
    )
    olds = ", ".join(resource_name(version.template) for version in way_back(group))
    yield ""
    closed = f"closed: {group.closed}" if group.closed else f"open, to the template {olds}"
    yield f"way back: {closed}"


def _number(given: Mapping[str, int]) -> str:
    return f"{given['percent']}%" if "percent" in given else str(given.get("fixed", 0))


def _instances(size: int) -> str:
    return "1 instance" if size == 1 else f"{size} instances"


def _order(plan: RolloutPlan) -> Iterator[str]:
    if not plan.changes:
        return
    rules = plan.rules
    if rules is not None:
        then = "everybody goes back" if rules.on_failure == "roll_back" else "the fleet stays so"
        yield f"order: at most {rules.max_unavailable} down at a time; if a member fails, {then}"
    rows: list[tuple[str, str, str, str]] = []
    for number, stage in enumerate(plan.stages, start=1):
        share = f" ({rules.stages[number - 1]})" if rules is not None else ""
        title = f"stage {number}{share}"
        rows += [] if stage else [(title, "-", "", "")]
        for index, change in enumerate(stage[:SHOWN]):
            rows.append((title if index == 0 else "", *_row(plan, change)))
        if len(stage) > SHOWN:
            rows.append(("", f"and {len(stage) - SHOWN} more", "", ""))
    yield from _table(rows)


def _row(plan: RolloutPlan, change: Change) -> tuple[str, str, str]:
    ill = next((r.ill for r in plan.reported if r.name == change.name), "")
    notes = [f"ill: {ill}"] if ill else []
    notes += ["a leader"] if change.name in plan.leaders else []
    kept = change.protected and change.strategy is Strategy.SWAP
    notes += ["deletion protection: a swap deletes no instance"] if kept else []
    notes += [f"differs from the template: {told(change.differs)}"] if change.differs else []
    notes += [f"other metadata: {change.at_start.keys}"] if change.at_start else []
    if change.strategy is Strategy.CREATE:
        return change.name, f"created in {change.zone}", ", ".join(notes)
    image = resource_name(change.old.image) or change.old.made_of or "no image"
    if change.metadata is not None:
        return change.name, f"other metadata: {change.metadata.keys}", ", ".join(notes)
    what = "recreated, from" if change.strategy is Strategy.RECREATE else "from"
    return change.name, f"{what} {image}", ", ".join(notes)


def _left(plan: RolloutPlan) -> Iterator[str]:
    if not plan.skipped:
        return
    yield f"left as they are: {len(plan.skipped)}"
    for reason, count in plan.left.items():
        same = [skipped for skipped in plan.skipped if skipped.reason is reason]
        details = {skipped.detail for skipped in same}
        if count > SHOWN or (count > 1 and len(details) == 1):
            yield f"  {_some([s.name for s in same])}: {_why(reason.text, same[0].detail)}"
        else:
            yield from (f"  {s.name}: {_why(reason.text, s.detail)}" for s in same)
    for skipped in plan.skipped:
        if skipped.differs:
            yield f"  {skipped.name} differs from the template: {told(skipped.differs)}"


def _ways_back(plan: RolloutPlan) -> Iterator[str]:
    by_way: dict[WayBack, list[Change]] = {}
    for change in plan.changes:
        by_way.setdefault(change.way_back, []).append(change)
    if not by_way:
        return
    closed = sum(len(by_way.get(way, [])) for way in _CLOSED)
    yield f"way back: {f'closed for {closed} of {len(plan.changes)}' if closed else 'open'}"
    for why, names in _by_text(plan.changes, "closed").items():
        yield f"  {_some(names)}: closed: {why}"
    for why, names in _by_text(plan.changes, "closes").items():
        yield f"  {_some(names)}: closes {why}"
    for way in WayBack:
        changes = by_way.get(way, [])
        if changes and way in _ALIKE:
            yield f"  {_some([change.name for change in changes])}: {_ALIKE[way]}"
        for change in changes if way in _ALONE else ():
            yield f"  {change.name}: {_ALONE[way].format(change.old.name, change.only_disk)}"


def _by_text(changes: Iterable[Change], field: str) -> dict[str, list[str]]:
    """Return the members that a text of the plan is about, by the text."""
    found: dict[str, list[str]] = {}
    for change in changes:
        if text := getattr(change, field):
            found.setdefault(text, []).append(change.name)
    return found


_CLOSED = (WayBack.CLOSED, WayBack.UNREADABLE)
_ALIKE = {
    WayBack.DISK: "the old disk, which is kept until the rollout has ended well, or its image",
    WayBack.IMAGE: "a new disk of the image that it had; the old disk does not exist any more",
    WayBack.METADATA: "the metadata that it has now, rendered again",
    WayBack.NOTHING: "created by this rollout, there is nothing to go back to",
}
_ALONE = {
    WayBack.ONLY_DISK: "its old disk {0} alone, kept until the rollout has ended well: {1}",
    WayBack.CLOSED: "closed: its old disk {0} does not exist any more, and {1}",
}


def _gates(plan: RolloutPlan) -> Iterator[str]:
    gates = plan.gates
    if gates is None:
        return
    closed = sum(not answer.open for answer in gates.answers)
    agree = f"{len(gates.answers) - closed} of {len(gates.answers)} may be stopped"
    yield f"gates: {agree}, asked at {format_utc(gates.at)} and again before each stop"
    said: dict[str, list[str]] = {}
    for answer in gates.answers:
        leads = " (a leader)" if answer.leader else ""
        text = f"closed, {answer.why}" if not answer.open else answer.why or "open"
        said.setdefault(f"{text}{leads}", []).append(answer.member)
    yield from (f"  {_some(names)}: {text}" for text, names in said.items())
    for unasked in gates.not_asked:
        yield f"  {_some(unasked.members)}: not asked, {unasked.why}"


def _now(plan: RolloutPlan) -> Iterator[str]:
    if not plan.changes and plan.group is None:
        return
    if not plan.blockers:
        yield "now: nothing blocks"
        return
    yield "now: it would wait"
    for blocker in plan.blockers:
        who = f" (these wait: {_some(list(blocker.members))})" if blocker.members else ""
        yield f"  {blocker.what}: {blocker.why}{who}"


def _time(plan: RolloutPlan) -> Iterator[str]:
    found = plan.forecast
    if found is None or not plan.changes:
        return
    limit = f"at most {in_short(found.at_most)}, by the fleet's deadlines"
    if found.seconds is None or found.end is None:
        yield f"time: unknown, nothing of this fleet or recipe was ever replaced; {limit}"
        return
    yield (
        f"time: about {in_short(found.seconds)}, until {format_utc(found.end)} if it begins now"
        f" (by {found.past} replacements of {found.of}); {limit}"
    )
    yield from _table([(span.what, in_short(span.seconds)) for span in found.spans])
    if found.blocker:
        yield f"  depends most on {found.blocker}"


def _why(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason


def _count(members: int) -> str:
    return "1 member" if members == 1 else f"{members} members"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
