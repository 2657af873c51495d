"""Asks the gates of many members at once, for a plan."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bakehouse.cloud.poller import Cloud
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.rollout.gate_questions import unanswered
from bakehouse.rollout.gates import Gate, GuestFacts, guest_agrees
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.member_gates import OutsideChecks, ask_guest, together
from bakehouse.rollout.plan_parts import GateAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bakehouse.fleet.gate import Gate as GateFields
    from bakehouse.rollout.gate_questions import Question

ANSWER_WITHIN = 20.0  # seconds that a member has for its answer
SURVEY_WITHIN = 90.0  # seconds of all: a large fleet's answers wait for the project's reads
GRACE = 5.0  # seconds until an answer is seen


class GateSurvey:
    """The gates of some members.

    Args:
        fleet: its name.
        fields: its gate.
        conn_id: the connection.
        told: is called with the number of members that are done, each time that one is.
    """

    def __init__(
        self,
        fleet: str,
        fields: GateFields,
        conn_id: str,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.fleet, self.fields, self.conn_id, self.told = fleet, fields, conn_id, told
        self._outside = OutsideChecks(fields, once=True)
        self._orders: list[GuestOrders] = []

    async def ask(self, questions: Sequence[Question]) -> list[GateAnswer]:
        """Return the answer of each member, in the same order; whoever gives none is said so."""
        cloud = await Cloud.of(self.conn_id)
        running = [asyncio.create_task(self._ask(question, cloud)) for question in questions]
        done = 0

        def count(_: object) -> None:
            nonlocal done
            done += 1
            self.told(done)

        for task in running:
            task.add_done_callback(count)
        _, late = await asyncio.wait(running, timeout=SURVEY_WITHIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*(orders.take_back() for orders in self._orders))
        return [self._answer(*each) for each in zip(questions, running, strict=True)]

    def _answer(self, question: Question, task: asyncio.Task[GateAnswer]) -> GateAnswer:
        if task.cancelled():
            why = f"not asked to the end within {SURVEY_WITHIN:.0f} s, which all together have"
            return unanswered(question, self.fields, why)
        error = task.exception()
        if error is None:
            return task.result()
        return GateAnswer(member=question.member, open=False, why=f"cannot be asked: {error}")

    async def _ask(self, question: Question, cloud: Cloud) -> GateAnswer:
        try:
            guest = await self._ask_guest(question, cloud)
        except (Blocked, *FAILURES) as error:
            guest = GateAnswer(
                member=question.member, open=False, why=f"gate: cannot be asked: {error}"
            )
        names = {"fleet": self.fleet, "member": question.member, "zone": question.zone}
        gates = [Gate(open=guest.open, why=guest.why), *await self._outside.ask(names)]
        whole = together(gates)
        return guest.model_copy(update={"open": whole.open, "why": whole.why})

    async def _ask_guest(self, question: Question, cloud: Cloud) -> GateAnswer:
        name, fields = question.member, self.fields
        if not question.has_gate:
            facts = GuestFacts(has_gate=False, ill=question.ill)
            gate = guest_agrees(facts, required=fields.script == "required")
            return GateAnswer(member=name, open=gate.open, why=gate.why)
        limiter = cloud.rate_limiter
        orders = GuestOrders(self.conn_id, question.zone, name, limiter, Priority.LOG)
        self._orders.append(orders)
        reply = await ask_guest(
            fields, orders, question.boot_id, question.ill, limit=ANSWER_WITHIN, grace=GRACE
        )
        answer = reply.answer
        if answer is None:
            return unanswered(question, fields, f"has not answered within {ANSWER_WITHIN:.0f} s")
        return GateAnswer(
            member=name,
            open=reply.gate.open,
            why=reply.gate.why,
            detail=answer.detail,
            leader=answer.leader,
        )
