"""At most so many holders at a time: one lease for each slot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from bakehouse.lease.lease import Claim, Lease, Owner, Record, acquire, decide

if TYPE_CHECKING:
    from datetime import datetime, timedelta

RunState = Callable[[Owner], str | None]


@dataclass(frozen=True)
class Turn:
    """The slot that somebody has got, or why there is none."""

    slot: int | None
    why: str


@dataclass(frozen=True)
class View:
    """One look at all slots: whose they are, and which may be taken (with the record seen there).

    `limit` is how many may be held; a slot above it is given to nobody new.
    """

    limit: int
    held: Mapping[Owner, int] = field(default_factory=dict)
    free: Mapping[int, Record | None] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Who is waited for."""
        holders = ", ".join(sorted(str(owner) for owner in self.held))
        return f"all {self.limit} builders' slots are taken, by {holders}"


def newest(slots: Mapping[int, Lease]) -> dict[int, Record | None]:
    """The record that counts of each slot."""
    return {number: lease.newest() for number, lease in slots.items()}


def view(
    records: Mapping[int, Record | None],
    states: Mapping[Owner, str | None],
    limit: int,
    now: datetime,
) -> View:
    """What the records mean; `states` are Airflow's of the holders' runs."""
    held: dict[Owner, int] = {}
    free: dict[int, Record | None] = {}
    for number, record in records.items():
        state = states.get(record.owner) if record else None
        if decide(record, NOBODY, state, now).claim is Claim.WAIT and record:
            held[record.owner] = number
        elif number <= limit:
            free[number] = record
    # slots above a limit that was lowered count as long as they are held
    room = max(0, limit - len(held))
    return View(limit, held, dict(list(free.items())[:room]))


def take_one(
    slots: Mapping[int, Lease],
    limit: int,
    owner: Owner,
    now: datetime,
    time: timedelta,
    run_state: RunState,
) -> Turn:
    """The slot that `owner` has already, else the first free one, else none. Safe to repeat."""
    records = newest(slots)
    for number, record in records.items():
        if record and record.owner == owner and not record.released:
            acquire(slots[number], owner, now, time, run_state)
            return Turn(number, "this run has it already")
    holders = {r.owner for r in records.values() if r and not r.released}
    seen = view(records, {holder: run_state(holder) for holder in holders}, limit, now)
    for number in _from(owner, list(seen.free)):
        if slots[number].take(owner, seen.free[number], now, time):
            return Turn(number, "it was free")
    return Turn(None, seen.why)


def release_all(slots: Mapping[int, Lease], owner: Owner, now: datetime) -> list[int]:
    """Let go of whatever slot `owner` holds; their numbers."""
    return [number for number, lease in slots.items() if lease.release(owner, now)]


NOBODY = Owner(dag_id="", run_id="")


def _from(owner: Owner, numbers: list[int]) -> list[int]:
    """Rotated by the owner: twenty who ask at once do not all run into the same slot."""
    if not numbers:
        return []
    start = int(sha256(str(owner).encode()).hexdigest(), 16) % len(numbers)
    return numbers[start:] + numbers[:start]
