"""`make bench-night`: one line of JSON per figure, `{"name", "value", "unit", "goal"}` and more.

A real Airflow on this computer, instant machines: 10 and 100 recipes (`recipes`), due in the same
minute; night_stack.py. Two nights: nothing is new (`unchanged`), and each recipe has changed
(`changed`, with installs of a minute).

- `night_calls_per_unchanged_recipe`: calls of Compute Engine in the night without news, over the
  recipes; `fetched` is what was read of the archive of packages.
- `night_calls_growth`: all calls of that night with 100 recipes over with 10.
- `night_cpu_per_recipe`: processor seconds of all processes of Airflow, DAG processor included,
  from due until the last run has ended, over the recipes; `night_cpu_per_recipe_growth`: 100 over
  10.
- `night_over_ideal`: from due until the last changed recipe's run has ended, over what the slots of
  the builders allow: as many turns of machine time as 8 builders at a time need.
- `night_lateness_p99`: seconds from due until the run's first task has started. No goal.
- `night_rows_per_bake`, `night_bytes_per_bake`: what a bake leaves in Airflow's database; with the
  growth of the rows, 100 over 10, which should be 1.
- `night_rows_after_clean`: runs that are left behind `airflow db clean`, while a bake waits for its
  builder; that run and the next one must succeed. Goal: none but the newest run of each DAG.

Arguments that are numbers select how many recipes there are, names select figures. Allow an hour
for 100 changed recipes on two cores. All figures are printed, also where one misses its goal. Ends
with 1 when one misses its goal, with 2 when one could not be measured, which is said on standard
error.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from figures import NOT_MEASURED, CannotMeasure, chosen, line, show
from night_stack import MACHINE_SECONDS, nights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from figures import Line
    from night_stack import Night, Nights

SIZES = (10, 100)
SLOTS = 8  # builders at a time, unless the Variable bakehouse_builders says otherwise


class Bench:
    """The figures of some numbers of recipes; `changed`: whether a figure needs that night."""

    def __init__(self, sizes: Sequence[int], *, changed: bool) -> None:
        self.sizes, self.changed = sizes, changed

    def of(self, recipes: int) -> Nights:
        """Measured once. Raises CannotMeasure."""
        return nights(recipes, changed=self.changed)

    def night_calls_per_unchanged_recipe(self) -> Iterator[Line]:
        """By method, too."""
        for size in self.sizes:
            night = self.of(size).unchanged
            calls = night.calls.total()
            yield line(
                "calls",
                calls / size,
                recipes=size,
                calls=calls,
                by_method=dict(night.calls.most_common()),
                fetched=dict(night.fetched),
            )

    def night_calls_growth(self) -> Iterator[Line]:
        """What is asked for once is no more with more recipes."""
        few, many = self.ends()
        yield line(
            "ratio",
            self.of(many).unchanged.calls.total() / self.of(few).unchanged.calls.total(),
            "<= 2",
            recipes=[few, many],
        )

    def night_cpu_per_recipe(self) -> Iterator[Line]:
        """Of both nights."""
        for size in self.sizes:
            for kind, night in self.both(size):
                yield line("s", night.processor / size, recipes=size, night=kind)

    def night_cpu_per_recipe_growth(self) -> Iterator[Line]:
        """Of both nights."""
        few, many = self.ends()
        for (kind, less), (_, more) in zip(self.both(few), self.both(many), strict=True):
            growth = (more.processor / many) / (less.processor / few)
            yield line("ratio", growth, "<= 1.1", recipes=[few, many], night=kind)

    def night_over_ideal(self) -> Iterator[Line]:
        """With the seconds."""
        for size in self.sizes:
            night, ideal = self.changed_night(size), ideal_seconds(size, SLOTS, MACHINE_SECONDS)
            seconds = {"wall": round(night.wall, 1), "ideal": round(ideal, 1)}
            yield line("ratio", night.wall / ideal, "<= 1.15", recipes=size, seconds=seconds)

    def night_lateness_p99(self) -> Iterator[Line]:
        """Of both nights."""
        for size in self.sizes:
            for kind, night in self.both(size):
                half = round(percentile(night.late, 50), 1)
                p99 = percentile(night.late, 99)
                yield line("s", p99, recipes=size, night=kind, median=half)

    def night_rows_per_bake(self) -> Iterator[Line]:
        """By table, too, and the growth."""
        found = {size: self.changed_night(size).left.by_table for size in self.sizes}
        for size, rows in found.items():
            tables = {name: round(n / size, 1) for name, n in rows.most_common() if n >= size}
            yield line("rows", rows.total() / size, recipes=size, by_table=tables)
        if len(found) > 1:
            few, many = self.ends()
            growth = (found[many].total() / many) / (found[few].total() / few)
            yield line("ratio", growth, "<= 1.1", recipes=[few, many])

    def night_bytes_per_bake(self) -> Iterator[Line]:
        """Of the database's file, indexes included."""
        for size in self.sizes:
            yield line("bytes", self.changed_night(size).left.bytes / size, recipes=size)

    def night_rows_after_clean(self) -> Iterator[Line]:
        """`airflow db clean` keeps the newest run of each DAG."""
        for size in self.sizes:
            kept = self.of(size).kept_rows
            yield line("runs", kept["dag_run"], f"<= {size}", recipes=size, by_table=kept)

    def ends(self) -> tuple[int, int]:
        """The least and the greatest number. Raises CannotMeasure."""
        if len(self.sizes) < 2:
            raise CannotMeasure(f"a growth needs two numbers of recipes, not {self.sizes[0]} alone")
        return min(self.sizes), max(self.sizes)

    def both(self, size: int) -> list[tuple[str, Night]]:
        """The nights that were measured."""
        found = self.of(size)
        changed = [("changed", found.changed)] if found.changed else []
        return [("unchanged", found.unchanged), *changed]

    def changed_night(self, size: int) -> Night:
        """The one in which all were baked."""
        found = self.of(size).changed
        if found is None:
            raise CannotMeasure(f"no night of {size} changed recipes was asked for")
        return found


FIGURES: tuple[str, ...] = tuple(name for name in vars(Bench) if name.startswith("night_"))
OF_CHANGED = {"night_over_ideal", "night_rows_per_bake", "night_bytes_per_bake"}


def ideal_seconds(recipes: int, slots: int, machine_seconds: float) -> float:
    """What so many builders at a time need for all recipes, if Airflow took no time."""
    return math.ceil(recipes / slots) * machine_seconds


def percentile(values: Iterable[float], percent: float) -> float:
    """The least value that so many percent of them do not exceed."""
    in_order = sorted(values)
    return in_order[max(0, math.ceil(len(in_order) * percent / 100) - 1)]


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit status."""
    try:
        sizes, names = chosen(arguments, FIGURES, SIZES, "0 recipes have no night")
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return NOT_MEASURED
    bench = Bench(sizes, changed=bool(OF_CHANGED & set(names)))
    return show(names, lambda name: getattr(bench, name)())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
