"""The trigger that asks the gates of many members at once, for a plan."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.fleet.gate import Gate
from bakehouse.rollout.events import GatesAnswered
from bakehouse.rollout.gate_questions import Question
from bakehouse.rollout.gate_survey import GateSurvey
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class GateSurveyTrigger(BakehouseTrigger):
    """Asks members whether they may be stopped now. Fires `GatesAnswered`.

    Args:
        fleet: its name.
        gate: its gate, as JSON.
        questions: who is asked, as JSON.
        conn_id: the connection.
    """

    def __init__(
        self,
        *,
        fleet: str,
        gate: dict[str, Any],
        questions: list[dict[str, Any]],
        conn_id: str,
        **other: Any,
    ) -> None:
        super().__init__(fleet=fleet, gate=gate, questions=questions, conn_id=conn_id, **other)
        self.questions = [Question.model_validate(question) for question in questions]
        self.survey = GateSurvey(fleet, Gate.model_validate(gate), conn_id)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        answers = await self.survey.ask(self.questions)
        yield self.fire(GatesAnswered(at=datetime.now(UTC), answers=tuple(answers)))
