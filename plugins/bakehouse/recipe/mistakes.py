"""Mistakes in files that users write. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a file, with its remedy."""

    file: str
    line: int
    where: str  # the field, or empty
    value: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """The line that people read."""
        shown = f" (it is {self.value})" if self.value else ""
        problem = f"{self.where} {self.problem}".strip()
        return f"{self.file}:{self.line}: {problem}{shown}. {self.remedy}"


class Mistakes(ValueError):
    """All mistakes of one file, in the order of its lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Sort the mistakes and drop duplicates."""
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


def as_text(broken: Iterable[Mistakes]) -> str:
    """Return the text that `bakehouse validate` and the import errors of Airflow show."""
    return "\n".join(map(str, broken))


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """Return the remedy for an unknown name."""
    close = get_close_matches(str(name), known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Choose one of: {', '.join(known)}" if known else "Remove it"
