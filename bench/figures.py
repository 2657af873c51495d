"""What all benches share: a figure is a line of JSON, `{"name", "value", "unit", "goal"}` and more.

A goal is `<= 1.05` or `>= 2`; None is none. A bench prints all figures, also where one misses its
goal. It ends with 1 when one misses its goal, with 2 when one could not be measured, which is said
on standard error.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Line = dict[str, Any]

MISSED, NOT_MEASURED = 1, 2


class CannotMeasure(RuntimeError):
    """This machine, or this run, gives no figure; the message says why."""


def line(unit: str, value: float, goal: str | None = None, *, digits: int = 3, **more: Any) -> Line:
    """A figure without its name."""
    return {"value": round(value, digits), "unit": unit, "goal": goal, **more}


def met(figure: Line) -> bool:
    """Whether the goal, if there is one, is reached."""
    if figure["goal"] is None:
        return True
    how, limit = str(figure["goal"]).split()
    value = float(figure["value"])
    return value <= float(limit) if how == "<=" else value >= float(limit)


def chosen(
    arguments: Sequence[str], figures: Sequence[str], sizes: Sequence[int], nothing: str
) -> tuple[list[int], list[str]]:
    """The sizes and the names that the arguments select; of what none is given, all.

    Args:
        arguments: numbers are sizes, all else are names.
        figures: the names that there are.
        sizes: those that are measured by default.
        nothing: why the size 0 is none.

    Raises:
        ValueError: with all mistakes.
    """
    numbers = sorted({int(one) for one in arguments if one.isdigit()})
    names = [one for one in arguments if not one.isdigit()]
    wrong = [f"{name} is no figure" for name in names if name not in figures]
    wrong += [nothing] if 0 in numbers else []
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}: choose of {', '.join(figures)}, or numbers")
    return numbers or list(sizes), names or list(figures)


def show(names: Iterable[str], measure: Callable[[str], Iterable[Line]]) -> int:
    """Measure and print one figure after the other; the exit status."""
    status = 0
    for name in names:
        try:
            for figure in measure(name):
                print(json.dumps({"name": name, **figure}), flush=True)
                status = status or (0 if met(figure) else MISSED)
        except CannotMeasure as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = NOT_MEASURED
    return status
