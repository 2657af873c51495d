"""The note of a run: a person's own text, and below it what Bakehouse has to say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST = 1000  # characters; Airflow's column has no more
FAILED = "- **Failed:** "
LATE = "- **SLA missed:** "
SLOW = "- **Airflow was late:** "
MORE = "- **More:** in the logs of the tasks"
SAID = "- **Result:** "
WAITING = "- **Waits:** "
OURS = (FAILED, LATE, SLOW, SAID, WAITING, MORE)
MOST_WAITS = 3  # lines of a note; the other tasks most likely wait for the same


def failed_line(reason: str) -> str:
    """Return the line that says why a run has failed."""
    return FAILED + " ".join(reason.split())


def late_line(task_id: str, text: str) -> str:
    """Return the line of a missed SLA; `text` starts with the task's id."""
    said = " ".join(text.removeprefix(task_id).split())
    return f"{LATE}`{task_id}` {said}"


def slow_line(text: str) -> str:
    """Return the line of a run that waited for Airflow itself."""
    return SLOW + " ".join(text.split())


def said_line(text: str) -> str:
    """Return the line of what a task has to say of a run that has succeeded."""
    return SAID + " ".join(text.split())


def waiting_line(task_id: str, member: str, since: str, why: str) -> str:
    """Return the line of a task that waits: for what, and since when (ISO 8601)."""
    task = f"`{task_id}`" + (f" ({member})" if member else "")
    moment = since[:16].replace("T", " ")
    return f"{WAITING}{task} since {moment} UTC: {' '.join(why.split())}"


def with_waits(note: str | None, lines: Sequence[str]) -> str | None:
    """Return the note with these lines of tasks that wait, and no others of that kind."""
    own, ours = _apart(note)
    kept = [line for line in ours if not line.startswith(WAITING)]
    more = len(lines) - MOST_WAITS
    waits = [*lines[:MOST_WAITS], *([f"{WAITING}{more} more tasks"] if more > 0 else [])]
    return _joined(own, [*kept, *waits])


def written(note: str | None, lines: Iterable[str]) -> str | None:
    """Return the note with these lines added; a line that is there already is not repeated.

    A missed SLA is told once for each task, and a run fails for one reason: the newest counts. A
    person's own text stays as it is; of our lines, those that find no room are left out.
    """
    own, ours = _apart(note)
    for line in lines:
        ours = [old for old in ours if _about(old) != _about(line) and old != MORE]
        ours = [line, *ours] if line.startswith(FAILED) else [*ours, line]
    return _joined(own, ours)


def withdrawn(note: str | None, *, failure_only: bool = False) -> str | None:
    """Return the note without our lines, since the run starts anew, or without that of a failure.

    A person may mark a failed run as successful.
    """
    own, ours = _apart(note)
    kept = [line for line in ours if not line.startswith(FAILED)] if failure_only else []
    return _joined(own, kept)


def _apart(note: str | None) -> tuple[str, list[str]]:
    lines = (note or "").split("\n")
    own = "\n".join(line for line in lines if not line.startswith(OURS)).rstrip()
    return own, [line for line in lines if line.startswith(OURS)]


def _about(line: str) -> str:
    """What a line is about: the run's failure, Airflow, or the lateness of a task."""
    for one in (SLOW, SAID):
        if line.startswith(one):
            return one
    if line.startswith(WAITING):
        return line
    if not line.startswith(LATE):
        return FAILED
    return line.removeprefix(LATE).partition("` ")[0]


def _joined(own: str, ours: list[str]) -> str | None:
    if not ours:
        return own or None
    room = MOST - len(own) - (2 if own else 0)
    kept: list[str] = []
    for number, line in enumerate(ours):
        left = room - sum(len(one) + 1 for one in kept)
        needed = len(line) + (len(MORE) + 1 if number + 1 < len(ours) else 0)
        if needed > left:
            kept += [MORE] if len(MORE) <= left else []
            break
        kept.append(line)
    text = "\n".join(kept)
    return "\n\n".join(part for part in (own, text) if part) or None
