"""`make bench-rollout`: one line of JSON per figure, `{"name", "value", "unit", "goal"}` and more.

A real Airflow on this computer, instant machines that take a minute to come back, fleets of 10 and
of 1,000 members (`members`) of which 10 are down at a time; rollout_stack.py. The last figure has
real QEMU machines.

- `rollout_over_critical_path`: from the trigger of `roll_out__<fleet>` until its run has ended,
  over what the bare calls take for one member, times the rounds that the stages and
  `max_unavailable` ask for.
- `rollout_reads_growth`: reads of Compute Engine for each member, 1,000 members over 10. A thousand
  are replaced 10 at a time, ten in stages of 1, 4 and 5; with as many down at a time this is the
  growth of the reads a minute, which are told too.
- `rollout_triggerer_mb_growth`: resident memory of the triggerer at most, likewise.
- `swap_downtime_ratio`: from the request of the stop until the member is healthy, over the same for
  a bare stop and start of the same machine: the median of three swaps, each over the mean of the
  bare ones just before and behind it.

Arguments that are numbers select how many members there are, names select figures. A thousand take
nearly two hours. `boot_seconds=3 max_unavailable=10%` makes members that are ready sooner, and of
which more are down at a time, which shows what Airflow itself can do: a hundred took three minutes
on two busy cores. `logs=FOLDER` keeps the logs of the stack.

All figures are printed, also where one misses its goal. Ends with 1 when one misses its goal, with
2 when one could not be measured, which is said on standard error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import swap_real
from figures import NOT_MEASURED, CannotMeasure, chosen, line, show
from rollout_stack import Pace, rolled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from figures import Line
    from rollout_stack import Rolled

SIZES = (10, 1000)


class Bench:
    """The figures of fleets of some sizes."""

    def __init__(self, members: Sequence[int], pace: Pace) -> None:
        self.members, self.pace = members, pace

    def rollout_over_critical_path(self) -> Iterator[Line]:
        """With the seconds."""
        for size in self.members:
            found = rolled(size, self.pace)
            seconds = {
                "wall": round(found.wall, 1),
                "critical_path": round(found.ideal, 1),
                "member_by_hand": round(found.by_hand, 1),
            }
            yield line(
                "ratio",
                found.wall / found.ideal,
                "<= 1.10",
                members=size,
                seconds=seconds,
                processor=found.processor,
            )

    def rollout_reads_growth(self) -> Iterator[Line]:
        """With the reads of each a minute and for each member, and all calls by method."""
        few, many = (rolled(size, self.pace) for size in self.ends())
        yield line(
            "ratio",
            reads_of_one(many) / reads_of_one(few),
            "<= 1.5",
            members=[few.members, many.members],
            reads_per_minute=[round(found.reads_per_minute, 1) for found in (few, many)],
            reads_per_member=[round(reads_of_one(found), 1) for found in (few, many)],
            calls=[dict(found.calls.most_common()) for found in (few, many)],
        )

    def rollout_triggerer_mb_growth(self) -> Iterator[Line]:
        """With the megabytes."""
        few, many = (rolled(size, self.pace) for size in self.ends())
        yield line(
            "ratio",
            many.triggerer_mb / few.triggerer_mb,
            "<= 1.5",
            members=[few.members, many.members],
            mb=[round(found.triggerer_mb) for found in (few, many)],
        )

    def swap_downtime_ratio(self) -> Iterator[Line]:
        """With the seconds of each."""
        found = swap_real.downtimes()
        seconds = {
            "swapped": [round(value, 1) for value in found.swapped],
            "bare": [round(value, 1) for value in found.bare],
        }
        yield line("ratio", found.ratio, "<= 1.05", seconds=seconds)

    def ends(self) -> tuple[int, int]:
        """The least and the greatest number. Raises CannotMeasure."""
        if len(self.members) < 2:
            raise CannotMeasure(f"a growth needs two fleets, not one of {self.members[0]} alone")
        return min(self.members), max(self.members)


FIGURES: tuple[str, ...] = tuple(
    name for name in vars(Bench) if name.startswith(("rollout_", "swap_"))
)


def reads_of_one(found: Rolled) -> float:
    """Reads of Compute Engine for one member."""
    return found.reads_per_minute * found.wall / 60 / found.members


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit status."""
    told = dict(one.split("=", 1) for one in arguments if "=" in one)
    rest = [one for one in arguments if "=" not in one]
    try:
        sizes, names = chosen(rest, FIGURES, SIZES, "a fleet of 0 members is not rolled out")
        pace = Pace.of(told)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return NOT_MEASURED
    bench = Bench(sizes, pace)
    return show(names, lambda name: getattr(bench, name)())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
