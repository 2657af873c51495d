"""What a member must agree to before its stop, and what it is told around it; in the triggerer.

Its gates are asked here. A freeze, windows and `max_unavailable` are asked by the task that starts
the trigger, again after each wait.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from secrets import token_hex
from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.models import Frozen
from bakehouse.fleet.gate import DRAIN, RESUME, Step
from bakehouse.fleet.gate import Gate as GateFields
from bakehouse.images.formats import unreadable
from bakehouse.recipe.duration import Duration
from bakehouse.rollout.gates import FRESH, Gate, GuestFacts, guest_agrees
from bakehouse.rollout.health import HEALTHY, STALE_AFTER, Health, explain, parse
from bakehouse.rollout.member_gates import OutsideChecks, ask_guest, together
from bakehouse.rollout.orders import BUSY, NONE, Order, nonce_of
from bakehouse.rollout.states import Consent, Rendered, Resumed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bakehouse.rollout.config_change import MetadataChange
    from bakehouse.rollout.guest_orders import GuestOrders
    from bakehouse.rollout.orders import Answer
    from bakehouse.rollout.strategies.swap import Swap

ASK_AGAIN = (
    20.0  # seconds between two questions to a closed gate: a guest writes ten times a minute
)
GATE_LIMIT = 60.0  # seconds that a gate may take
RESUME_PAUSE = 10.0  # seconds between two tries of a resume that has failed


class HandoverFields(Frozen):
    """What the fleet says of the stop of a member."""

    gate: GateFields = GateFields()
    drain: Step = DRAIN
    resume: Step = RESUME
    busy_limit: Duration = Field(default=timedelta(0))


class DrainFailed(TransientError):
    """The member could not be drained, so it is not stopped."""


class DataUnreadable(PermanentError):
    """The image that the member is to get cannot read the member's data, so it is not stopped."""


class Handover:
    """One member's consent to its stop, its drain, and its resume.

    Args:
        swap: the member's.
        fields: what the fleet says.
        orders: to the member.
        turn: of the task's tries: another try drains again.
        info: writes a line into the log.
        beside: returns the other members that are down, or may be stopped at any moment; None if
            only one member of the fleet may be down at a time.
    """

    def __init__(
        self,
        swap: Swap,
        fields: HandoverFields,
        orders: GuestOrders,
        turn: str,
        info: Callable[..., Awaitable[None]],
        beside: Callable[[], Awaitable[frozenset[str]]] | None = None,
    ) -> None:
        self.swap, self.fields, self.orders = swap, fields, orders
        self.turn, self.info, self.beside = turn, info, beside
        self._outside = OutsideChecks(fields.gate)
        self.gate: Gate | None = None  # the last answer of all gates together
        self.resumed = Resumed.NOT_YET
        self.why_not_resumed = ""
        self.rendered = Rendered.NOT_YET
        self.said = ""  # of the files that were rendered again, or why they were not
        self._asked = 0.0  # by the monotonic clock, as the next
        self._resume_until: float | None = None
        self._is_drained = False
        self._has_drained = False  # the member was told to drain
        self._is_ill = ""

    def consent(self) -> Consent:
        """How far the question is."""
        if self.gate is None:
            return Consent.UNKNOWN
        if not self.gate.open:
            return Consent.REFUSED
        if time.monotonic() - self._asked > FRESH.total_seconds():
            return Consent.UNKNOWN
        return Consent.GATES_OPEN if self._must_drain else Consent.GIVEN

    @property
    def _must_drain(self) -> bool:
        is_down = bool(self.swap.first_try)
        return Order.DRAIN in self.swap.orders and not self._is_drained and not is_down

    async def ask(self) -> Gate:
        """Ask all gates; a closed one is asked again after a pause. Raises DataUnreadable.

        The member of a second try is down already, and not asked.
        """
        if self.swap.first_try:
            self.gate, self._asked = Gate(open=True), time.monotonic()
            return self.gate
        if self.gate is not None and not self.gate.open:
            await asyncio.sleep(ASK_AGAIN)
        before, asked = self.gate, time.monotonic()
        found = [await self._ask_guest(), *await self._outside.ask(self._names)]
        self.gate = together(found)
        self._asked = asked
        if before is None or before != self.gate:
            await self._tell(self.gate)
        return self.gate

    async def drain(self) -> None:
        """Take the load off the member. Raises DrainFailed."""
        health = await self._health()
        step = self.fields.drain
        await self.info("%s: drain (%s)", self.swap.member, step.description)
        answer = None
        if health is not None:
            self._has_drained = True
            swap = self.swap
            nonce = nonce_of(
                "drain", swap.run, swap.member, swap.way, swap.disk, health.boot_id, self.turn
            )
            limit = step.deadline.total_seconds()
            beside = await self._beside()
            answer = await self.orders.ask(Order.DRAIN, nonce, health.boot_id, limit, beside=beside)
        if answer is not None and answer.is_ok:
            await self.info("%s is drained: %s", self.swap.member, answer.line or "done")
        else:
            said = answer.line or answer.state if answer is not None else "no answer"
            ill = self._is_ill or await self._why_ill(health)
            if not ill:
                raise DrainFailed(f"drain of {self.swap.member}: {said}. Hint: {step.hint}")
            await self.info("drain of %s: %s; it is down anyway: %s", self.swap.member, said, ill)
        self._is_drained = True

    async def undo(self) -> None:
        """Give a member its load again that was drained and is not stopped; best effort."""
        if not self._has_drained:
            return
        self._has_drained = self._is_drained = False
        health = await self._health()
        if health is None or Order.RESUME not in health.orders:
            return
        limit = self.fields.resume.deadline.total_seconds()
        answer = await self.orders.ask(Order.RESUME, token_hex(16), health.boot_id, limit)
        said = (answer.line or answer.state) if answer is not None else "no answer"
        await self.info("%s is not stopped, and has its load again: %s", self.swap.member, said)

    def begin_resume(self, health: Health | None) -> None:
        """Note what a healthy member can do; without a `resume` there is nothing to do."""
        if self.resumed is Resumed.NOT_YET and health is not None and not _resumes(health):
            self.resumed = Resumed.DONE

    async def resume(self, health: Health) -> None:
        """Give a healthy member its load again; what has failed is tried again in its time."""
        step, now = self.fields.resume, time.monotonic()
        if self._resume_until is None:
            self._resume_until = now + step.deadline.total_seconds()
            await self.info("%s: resume (%s)", self.swap.member, step.description)
        left = max(1.0, self._resume_until - now)
        answer = await self.orders.ask(Order.RESUME, token_hex(16), health.boot_id, left)
        if answer is not None and answer.is_ok:
            await self.info("%s has resumed: %s", self.swap.member, answer.line or "done")
            self.resumed = Resumed.DONE
            return
        said = (answer.line or answer.state) if answer is not None else "no answer"
        await self.info("resume of %s: %s", self.swap.member, said)
        if time.monotonic() + RESUME_PAUSE >= self._resume_until:
            self.why_not_resumed = f"resume: {said}. Hint: {step.hint}"
            self.resumed = Resumed.FAILED
        else:
            await asyncio.sleep(RESUME_PAUSE)

    async def render(self, change: MetadataChange, limit: float) -> None:
        """Give the member its metadata and let it render its files again."""
        health, swap = await self._health(), self.swap
        values = change.values(swap.run, swap.way)
        if health is None:
            self.rendered, self.said = Rendered.FAILED, "no health report"
            return
        nonce = nonce_of("render", swap.run, swap.member, swap.way, health.boot_id, self.turn)
        answer = await self.orders.ask(Order.RENDER, nonce, health.boot_id, limit, values)
        end = time.monotonic() + max(limit, self.fields.busy_limit.total_seconds())
        while answer is not None and answer.state == BUSY and time.monotonic() < end:
            await asyncio.sleep(RESUME_PAUSE)
            answer = await self.orders.ask(Order.HEALTH, token_hex(16), health.boot_id, limit)
        for line in answer.detail.splitlines() if answer is not None else ():
            await self.info("%s: %s", swap.member, line)
        is_done = answer is not None and answer.is_ok and answer.state != NONE
        self.rendered = Rendered.DONE if is_done else Rendered.FAILED
        self.said = (answer.line or answer.state) if answer is not None else "no answer"

    @property
    def _names(self) -> dict[str, str]:
        swap = self.swap
        return {"fleet": swap.fleet, "member": swap.member, "zone": swap.zone}

    async def _ask_guest(self) -> Gate:
        script, has_gate = self.fields.gate.script, Order.GATE in self.swap.orders
        required = script == "required"
        if script == "ignored" or (not has_gate and not required):
            return Gate(open=True)
        health = await self._health()
        self._is_ill = ""
        if health is not None and health.state != HEALTHY:
            self._is_ill = explain(health, health.image, None)
        if not has_gate or health is None:
            facts = GuestFacts(has_gate=has_gate, ill=self._is_ill)
            return guest_agrees(facts, required=required)
        reply = await ask_guest(
            self.fields.gate,
            self.orders,
            health.boot_id,
            self._is_ill,
            limit=GATE_LIMIT,
            why_ill=lambda since: self._why_ill(health, since),
            beside=await self._beside(),
        )
        self._check_data(reply.answer)
        self._is_ill = reply.ill
        return reply.gate

    async def _beside(self) -> frozenset[str]:
        """Who is down, or may be stopped at the same time; one that is ill takes nobody away."""
        if self.beside is None or self._is_ill:
            return frozenset()
        return await self.beside()

    def _check_data(self, answer: Answer | None) -> None:
        """Raise DataUnreadable if the next image cannot read what the member's data have by now.

        The plan has asked the same; since then somebody may have finalised a newer format.
        """
        swap = self.swap
        if answer is None or swap.metadata is not None:
            return
        if why := unreadable(answer.formats, swap.image.name, swap.reads):
            raise DataUnreadable(why)

    async def _why_ill(self, before: Health | None, since: timedelta | None = None) -> str:
        """Return why the member is ill or silent, by its report now and that of some time ago."""
        health = await self._health()
        if health is None or health.state != HEALTHY:
            return explain(health, health.image if health else "", None)
        limit = health.after(STALE_AFTER)
        is_same = before is not None and before.stamp == health.stamp
        if is_same and limit is not None and since is not None and since > limit:
            return explain(health, health.image, None, since)
        return ""

    async def _health(self) -> Health | None:
        return parse((await self.orders.attributes()).get("health"))

    async def _tell(self, gate: Gate) -> None:
        if not gate.open:
            hint = self.fields.gate.hint
            await self.info("%s waits: %s. Hint: %s", self.swap.member, gate.why, hint)
        elif gate.why or self.swap.orders:
            await self.info(
                "%s may be stopped%s", self.swap.member, f": {gate.why}" * bool(gate.why)
            )


def _resumes(health: Health) -> bool:
    return Order.RESUME in health.orders
