"""What is wrong in files that users write, and where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing that is wrong in a file, and what to write instead."""

    file: str
    line: int
    where: str  # the field, or empty
    value: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        shown = f" (it is {self.value})" if self.value else ""
        said = f"{self.where} {self.problem}".strip()
        return f"{self.file}:{self.line}: {said}{shown}. {self.remedy}"


class Mistakes(ValueError):
    """Everything that is wrong in one file, in the order of its lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


def told(broken: Iterable[Mistakes]) -> str:
    """The text that people get, whoever tells it: `make validate` or an import error."""
    return "\n".join(map(str, broken))


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """The remedy for a name that is none of those there are."""
    close = get_close_matches(str(name), known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Choose one of: {', '.join(known)}" if known else "Leave it out"
