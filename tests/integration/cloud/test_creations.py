"""A creation that is answered "already exists": whose it is, and what to do when it is nobody's."""

from __future__ import annotations

from typing import Any

import pytest

from bakehouse.cloud.calls import Calls
from bakehouse.core.errors import AlreadyExists, OutcomeUnknown, TransientError

MINE = {"bakehouse-run": "mine"}
DISK = {"name": "d", "labels": MINE}
OPERATION = {"name": "operation-1"}


class Hook(Calls):
    """Its calls end as a test says, one after the other."""

    project = "p"

    def __init__(self) -> None:
        """Without a connection."""

    def _change(self, call: Any, doing: str) -> dict[str, Any]:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        answer = call.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def create(answers: list[Any], *looks: dict[str, Any] | None) -> Any:
    left = list(looks)
    return Hook()._create(answers, "create disk d", lambda: left.pop(0), MINE)


def test_what_exists_and_is_of_this_run_is_taken() -> None:
    assert create([AlreadyExists("409")], DISK) is None


def test_what_exists_and_is_of_another_run_is_refused() -> None:
    with pytest.raises(AlreadyExists, match="this run did not create"):
        create([AlreadyExists("409")], {**DISK, "labels": {"bakehouse-run": "other"}})


@pytest.mark.parametrize("first", [AlreadyExists("409"), OutcomeUnknown("503")])
def test_a_name_in_use_by_nothing_is_asked_for_again(first: Exception) -> None:
    assert create([first, OPERATION], None) == OPERATION
    assert create([first, AlreadyExists("409")], None, DISK) is None, "it is shown by now"


@pytest.mark.parametrize("first", [AlreadyExists("409"), OutcomeUnknown("503")])
def test_a_name_that_stays_in_use_by_nothing_is_another_try(first: Exception) -> None:
    with pytest.raises(TransientError, match="409, but nothing of this name is found"):
        create([first, AlreadyExists("409")], None, None)
