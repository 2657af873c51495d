"""The Variable of the freeze, as a test wants each read of it to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable

from bakehouse.core.freeze import VARIABLE, Freeze
from bakehouse.operators import freeze, hold_trigger

if TYPE_CHECKING:
    import pytest

BY_ANN = Freeze(who="ann", why="the quarter ends")


class Switch:
    """What each read of the Variable gets; the last answer again and again."""

    def __init__(self) -> None:
        self.answers: list[Freeze | None] = [None]
        self.reads = 0

    def __call__(self) -> str | None:
        self.reads += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer.to_json() if answer is not None else None


def switched(monkeypatch: pytest.MonkeyPatch) -> Switch:
    """Put a switch in the Variable's place; waits look again at once."""
    found, get = Switch(), Variable.get

    def answer(key: str, *arguments: Any, **options: Any) -> Any:
        return found() if key == VARIABLE else get(key, *arguments, **options)

    monkeypatch.setattr(Variable, "get", answer)
    for module in (freeze, hold_trigger):
        monkeypatch.setattr(module, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(hold_trigger, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(freeze._seen, "at", float("-inf"))
    return found
