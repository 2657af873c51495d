"""Asks all gates of a member: its image's own, an HTTP check and a Prometheus query.

This is the one place where they are asked, by the plan and before each stop. All are asked each
time, so that a person sees all that block.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import TYPE_CHECKING

from bakehouse.fleet.gate import filled
from bakehouse.rollout import gate_checks
from bakehouse.rollout.gates import Gate, GuestFacts, guest_agrees
from bakehouse.rollout.orders import Answer, Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bakehouse.fleet.gate import Gate as GateFields
    from bakehouse.rollout.guest_orders import GuestOrders


@dataclass(frozen=True)
class GuestReply:
    """What a member's own gate says."""

    gate: Gate
    answer: Answer | None = None
    ill: str = ""  # why the member is ill or silent


async def ask_guest(
    fields: GateFields,
    orders: GuestOrders,
    boot_id: str,
    ill: str,
    *,
    limit: float,
    grace: float | None = None,
    why_ill: Callable[[timedelta], Awaitable[str]] | None = None,
    beside: frozenset[str] = frozenset(),
) -> GuestReply:
    """Ask the member's own gate, with a nonce: only the answer to this very question counts.

    Args:
        fields: of the fleet.
        orders: to the member.
        boot_id: of the boot that is asked.
        ill: why the member is ill, by its last report.
        limit: seconds that its script may take.
        grace: seconds that the answer may take besides.
        why_ill: returns why a member that has not answered is ill, after so long a time.
        beside: members that are down, or may be stopped at the same time.
    """
    asked = time.monotonic()
    answer = await orders.ask(Order.GATE, token_hex(16), boot_id, limit, beside=beside, grace=grace)
    age = timedelta(seconds=time.monotonic() - asked)
    if answer is None and not ill and why_ill is not None:
        ill = await why_ill(age)
    facts = GuestFacts(
        has_gate=True, answer=answer, age=age, ill=ill, member=orders.name, beside=beside
    )
    return GuestReply(guest_agrees(facts, required=fields.script == "required"), answer, ill)


class OutsideChecks:
    """The checks of a fleet's gate that lie outside of its members.

    Args:
        fields: of the fleet.
        once: a check that says the same for several members is asked once for all of them.
    """

    def __init__(self, fields: GateFields, *, once: bool = False) -> None:
        self.fields, self.once = fields, once
        self._asked: dict[str, asyncio.Task[Gate]] = {}

    async def ask(self, names: Mapping[str, str]) -> list[Gate]:
        """Ask those that there are; `names` are what their URLs and queries may use."""
        found: list[Gate] = []
        values, http, prometheus = dict(names), self.fields.http, self.fields.prometheus
        if http is not None:
            key = filled(http.url, values)
            found.append(await self._ask(key, lambda: gate_checks.ask_http(http, names)))
        if prometheus is not None:
            key = f"{filled(prometheus.url, values)}\n{filled(prometheus.query, values)}"
            found.append(
                await self._ask(key, lambda: gate_checks.ask_prometheus(prometheus, names))
            )
        return found

    async def _ask(self, key: str, ask: Callable[[], Gate]) -> Gate:
        if not self.once:
            return await asyncio.to_thread(ask)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(asyncio.to_thread(ask))
        return await asyncio.shield(self._asked[key])


def together(gates: list[Gate]) -> Gate:
    """Return all gates as one: open if each is, with what is said."""
    closed = [gate.why for gate in gates if not gate.open]
    said = [gate.why for gate in gates if gate.open and gate.why]
    return Gate(open=not closed, why="; ".join(closed or said))
