"""A semaphore of slots: one lease for each slot."""

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
class SlotGrant:
    """The slot that was acquired, or the reason why there is none."""

    slot: int | None
    why: str


@dataclass(frozen=True)
class View:
    """The state of all slots: their owners, and the free ones with their newest records.

    `limit` is the number of slots that may be held; a slot above it is not given to another run.
    """

    limit: int
    held: Mapping[Owner, int] = field(default_factory=dict)
    free: Mapping[int, Record | None] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """The runs that hold the slots."""
        holders = ", ".join(sorted(str(owner) for owner in self.held))
        return f"all {self.limit} builder slots are taken, by {holders}"


def newest(slots: Mapping[int, Lease]) -> dict[int, Record | None]:
    """Return the valid record of each slot."""
    return {number: lease.newest() for number, lease in slots.items()}


def view(
    records: Mapping[int, Record | None],
    states: Mapping[Owner, str | None],
    limit: int,
    now: datetime,
) -> View:
    """Return the state of all slots; `states` are those of the runs that hold them."""
    held: dict[Owner, int] = {}
    free: dict[int, Record | None] = {}
    for number, record in records.items():
        state = states.get(record.owner) if record else None
        if decide(record, NOBODY, state, now).claim is Claim.WAIT and record:
            held[record.owner] = number
        elif number <= limit:
            free[number] = record
    # slots above a lowered limit count as long as they are held
    room = max(0, limit - len(held))
    return View(limit, held, dict(list(free.items())[:room]))


def acquire_slot(
    slots: Mapping[int, Lease],
    limit: int,
    owner: Owner,
    now: datetime,
    time: timedelta,
    run_state: RunState,
) -> SlotGrant:
    """Acquire the slot that `owner` has already, else the first free one. Idempotent."""
    records = newest(slots)
    for number, record in records.items():
        if record and record.owner == owner and not record.released:
            acquire(slots[number], owner, now, time, run_state)
            return SlotGrant(number, "this run has it already")
    holders = {r.owner for r in records.values() if r and not r.released}
    seen = view(records, {holder: run_state(holder) for holder in holders}, limit, now)
    for number in _rotated(owner, list(seen.free)):
        if slots[number].take(owner, seen.free[number], now, time):
            return SlotGrant(number, "it was free")
    return SlotGrant(None, seen.why)


def release_slots(slots: Mapping[int, Lease], owner: Owner, now: datetime) -> list[int]:
    """Release all slots of `owner`; return their numbers."""
    return [number for number, lease in slots.items() if lease.release(owner, now)]


NOBODY = Owner(dag_id="", run_id="")


def _rotated(owner: Owner, numbers: list[int]) -> list[int]:
    """Rotate the slots by owner, so that concurrent runs do not all try the same one."""
    if not numbers:
        return []
    start = int(sha256(str(owner).encode()).hexdigest(), 16) % len(numbers)
    return numbers[start:] + numbers[:start]
