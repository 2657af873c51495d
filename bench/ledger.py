"""How long 100,000 events of the ledger take to list, to read and to compact, in a local folder.

The events are those of two years: images of several recipes, and rollouts to fleets. All but the
last three days are in segments, as after a night's housekeeping. `FIGURES=1000` measures 1,000.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from figures import chosen, line, show

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import (
    BakeDetail,
    BakeEvent,
    CommitRecord,
    PromotionDetail,
    PromotionEvent,
    VerdictDetail,
    VerdictEvent,
)
from bakehouse.history.rollout_events import (
    MemberDetail,
    MemberOutcome,
    MemberReplacedEvent,
    PlannedMember,
    RolloutEndedDetail,
    RolloutEndedEvent,
    RolloutPlannedDetail,
    RolloutPlannedEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from figures import Line

    from bakehouse.history.events import LedgerEvent

EVENTS, DAYS = 100_000, 700
RECIPES, MEMBERS = 10, 15
FIGURES = (
    "ledger_list_seconds",
    "ledger_read_seconds",
    "ledger_again_seconds",
    "ledger_compact_seconds",
)


def events(
    count: int, now: datetime, *, recipes: int = RECIPES, members: int = MEMBERS, days: int = DAYS
) -> Iterator[LedgerEvent]:
    """Yield so many events of bakes and rollouts, the oldest first, spread evenly up to now.

    Every bake is promoted and rolled out to a fleet named after its recipe.
    """
    each = 5 + members  # bake, verdict, promotion, plan, members, end
    rounds = -(-count // each)
    left = count
    before: dict[str, str] = {}
    for number in range(rounds):
        at = now - timedelta(days=days) * (rounds - number) / rounds
        for event in _round(number, at, f"recipe{number % recipes}", members, before):
            if left == 0:
                return
            left -= 1
            yield event


def write(base: Path, made: Iterator[LedgerEvent]) -> None:
    """Write the records as files, without the care that a ledger takes of a crash."""
    for event in made:
        file = base / event.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(event.to_json(), encoding="utf-8")


def _round(
    number: int, at: datetime, recipe: str, members: int, before: dict[str, str]
) -> Iterator[LedgerEvent]:
    sha = f"{number:040x}"
    image = f"{recipe}-{at:%Y%m%dt%H%M}-{sha[-7:]}-{number % 65536:04x}"
    old = before.get(recipe, "")
    before[recipe] = image
    run = {"time": at, "at": at, "run_id": f"scheduled__{number}", "task_id": "t"}
    made = {"recipe": recipe, "image": image, "git_sha": sha}
    baked = {**run, "dag_id": f"bake__{recipe}", **made}
    commit = CommitRecord(
        sha=sha, ref="main", subject=f"Change {number}", author_time=at, author="Jo"
    )
    yield BakeEvent(
        **baked,
        reason=Reason.NO_IMAGE_WITH_THIS_CONTENT,
        detail=BakeDetail(
            image_id=str(number),
            content_key=sha,
            base_image="debian-12-bookworm-v20261101",
            builder=f"bake-{recipe}",
            seconds=180 + number % 60,
            packages=400 + number % 10,
            commit=commit,
        ),
    )
    passed = VerdictDetail(message="ok", ready_seconds=12.0 + number % 5)
    yield VerdictEvent(**baked, reason=Reason.SMOKE_PASSED, detail=passed)
    promoted = PromotionDetail(family=recipe, image_id=str(number), previous=old or None)
    yield PromotionEvent(**baked, reason=Reason.PROMOTED, detail=promoted)
    rolled = {**run, "dag_id": f"roll_out__{recipe}", **made, "reason": Reason.NEW_IMAGE}
    names = [f"{recipe}-{member}" for member in range(members)]
    planned = tuple(PlannedMember(member=name, old_image=old, way_back="disk") for name in names)
    yield RolloutPlannedEvent(
        **rolled,
        subject=recipe,
        detail=RolloutPlannedDetail(
            fleet=recipe, image_id=str(number), stages=(tuple(names),), members=planned
        ),
    )
    for name in names:
        yield MemberReplacedEvent(
            **rolled,
            subject=name,
            detail=MemberDetail(
                fleet=recipe,
                member=name,
                zone="us-central1-a",
                instance_id=str(number),
                disk=f"{name}-{number}",
                image_id=str(number),
                old_image=old,
                old_image_id=str(number - 1),
                state="replaced",
                why="healthy",
                seconds=61.5,
            ),
        )
    outcomes = tuple(
        MemberOutcome(
            member=name, way="forward", state="replaced", why="healthy", image=image, disk="d"
        )
        for name in names
    )
    ended = RolloutEndedDetail(fleet=recipe, image_id=str(number), outcomes=outcomes)
    yield RolloutEndedEvent(**rolled, subject=recipe, detail=ended)


def _measure(count: int, names: list[str]) -> Iterator[Line]:
    from bakehouse.history.compaction import compact
    from bakehouse.history.ledger import Ledger

    now = datetime.now(UTC)
    with TemporaryDirectory(prefix="bench-ledger-") as folder:
        url = f"file://{folder}"
        write(Path(folder), events(count, now))
        begun = time.perf_counter()
        compact(url, now)
        compacted = time.perf_counter() - begun
        ledger = Ledger(url)
        begun, busy = time.perf_counter(), time.process_time()
        rows = ledger.rows()
        listed, worked = time.perf_counter() - begun, time.process_time() - busy
        begun = time.perf_counter()
        read = ledger.events()
        parsed = time.perf_counter() - begun
        begun = time.perf_counter()
        again = ledger.events()
        second = time.perf_counter() - begun
        if not len(rows) == len(read) == len(again) == count:
            raise SystemExit(f"{count} events were written, {len(rows)} listed, {len(read)} read")
    told = {
        "ledger_list_seconds": line(
            "s", listed, "<= 1" if count == EVENTS else None, processor_seconds=round(worked, 3)
        ),
        "ledger_read_seconds": line("s", parsed),
        "ledger_again_seconds": line("s", second),
        "ledger_compact_seconds": line("s", compacted),
    }
    for name in names:
        yield {"name": name, **told[name], "events": count}


def main(arguments: list[str]) -> int:
    """Print a line for each figure; 1 if one misses its goal."""
    counts, names = chosen(arguments, FIGURES, [EVENTS], "0 events are none")
    return max(show([str(count)], lambda size: _measure(int(size), names)) for count in counts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
