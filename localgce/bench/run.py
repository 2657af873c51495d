"""`make bench-localgce`: each figure as one line of JSON, `{"name", "value", "unit", "goal"}`.

Names given as arguments select figures. What a machine cannot measure is said on standard error.
Ends with 1 when a figure misses its goal, with 2 when one could not be measured.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import api
import machines

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Figure:
    """One number and what it should be."""

    measure: Callable[[], float]
    unit: str
    goal: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Whether the goal is reached."""
        return value >= self.goal if self.at_least else value <= self.goal


FIGURES = {
    "instance_gets_per_second": Figure(api.gets_per_second, "1/s of one core", 2000, at_least=True),
    "instance_cost_growth": Figure(api.cost_growth, "ratio", 1.2),
    "image_creation_seconds": Figure(machines.image_creation_seconds, "s", 1.0),
    "boot_over_plain_qemu": Figure(machines.boot_over_plain_qemu, "ratio", 1.05),
}


def main(names: list[str]) -> int:
    """Measure; the exit status."""
    status = 0
    for name in names or FIGURES:
        figure = FIGURES[name]
        try:
            value = figure.measure()
        except machines.CannotMeasure as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 2
            continue
        goal = f"{'>=' if figure.at_least else '<='} {figure.goal:g}"
        line = {"name": name, "value": round(value, 3), "unit": figure.unit, "goal": goal}
        print(json.dumps(line), flush=True)
        status = status or int(not figure.met_by(value))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
