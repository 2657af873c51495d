"""Waiting for an operation, whatever Compute Engine leaves unanswered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bakehouse.cloud.events import OperationEnded
from bakehouse.cloud.triggers import OperationTrigger
from bakehouse.core.errors import Blocked, OutcomeUnknown, PermanentError, TransientError

DONE = {"name": "operation-1", "status": "DONE", "zone": "zones/z"}


class Hook:
    """The operation is not among the newest; each look by its name gives the next answer."""

    project, endpoint, poll_interval, reads_per_minute = "p", None, 0.02, 60_000.0

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def operations(self, zone: str) -> list[dict[str, Any]]:
        assert zone == "z"
        return []

    def operation(self, zone: str, name: str) -> dict[str, Any] | None:
        assert (zone, name) == ("z", "operation-1")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] | None = answer
        return found


async def ended(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> OperationEnded:
    for module in ("poller", "triggers"):
        monkeypatch.setattr(f"bakehouse.cloud.{module}.hook_of", lambda _: hook)
    monkeypatch.setattr("bakehouse.cloud.triggers.FIRST_LOOK", 0.0)
    trigger = OperationTrigger(
        conn_id="gcp",
        zone="z",
        name="operation-1",
        doing="create web-1",
        deadline=time.time() + 600,
    )
    async with asyncio.timeout(200):
        event = await anext(trigger.run())
    return OperationEnded.model_validate(event.payload["event"])


@pytest.mark.parametrize("error", [OutcomeUnknown("503"), Blocked("429"), TransientError("412")])
async def test_a_look_that_fails_is_followed_by_another(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that raises would cost the task its try, and the try perhaps a machine."""
    found = await ended(Hook(error, error, DONE), monkeypatch)
    assert found.operation == DONE


async def test_one_that_is_forbidden_fails_the_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentError, match="403"):
        await ended(Hook(PermanentError("403")), monkeypatch)


async def test_one_that_nobody_knows_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ended(Hook(None), monkeypatch)).operation is None
