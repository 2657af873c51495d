"""One line of a check of the set-up: what was looked at and found, and what mends it. Pure."""

from __future__ import annotations

from enum import StrEnum

from bakehouse.core.models import Frozen


class State(StrEnum):
    """What a check has found."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be looked at, so nothing is known to be wrong."""


class Check(Frozen):
    """One requirement. `remedy` is a command, or what a person does; empty where all is well."""

    name: str
    state: State
    found: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, as far as is known."""
        return self.state is not State.WRONG


def passed(name: str, found: str) -> Check:
    """Return a check that is satisfied."""
    return Check(name=name, state=State.OK, found=found)


def failed(name: str, found: str, remedy: str) -> Check:
    """Return a check that is not satisfied, and what mends it."""
    return Check(name=name, state=State.WRONG, found=found, remedy=remedy)


def unknown(name: str, found: str, remedy: str = "") -> Check:
    """Return a check that could not be made; `remedy` is what would let it be made."""
    return Check(name=name, state=State.UNKNOWN, found=found, remedy=remedy)
