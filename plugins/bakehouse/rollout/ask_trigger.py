"""The trigger that gives members one order at the same time, and hands their answers on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.poller import Cloud
from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.rollout.events import MembersAnswered
from bakehouse.rollout.guest_orders import GRACE, GuestOrders
from bakehouse.rollout.handover import GATE_LIMIT
from bakehouse.rollout.health import parse
from bakehouse.rollout.orders import Answer, Order, nonce_of
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

AT_ONCE = 10  # members that are asked at the same time


def time_limit(count: int, limit: float = GATE_LIMIT) -> timedelta:
    """Return what asking so many members may take, with a reserve."""
    return timedelta(seconds=(limit + GRACE + 60) * (1 + count // AT_ONCE)) + timedelta(minutes=5)


class AskMembersTrigger(BakehouseTrigger):
    """Gives an order to members that run, each once. Fires `MembersAnswered`.

    Args:
        members: their names and zones.
        conn_id: the connection.
        order: an `Order`.
        limit: seconds that it may take.
        once: of an order that must not be carried out twice, whoever gives it again: what it is of;
            empty: it is a question.
    """

    def __init__(
        self,
        *,
        members: dict[str, str],
        conn_id: str,
        order: str = Order.GATE.value,
        limit: float = GATE_LIMIT,
        once: str = "",
        **other: Any,
    ) -> None:
        super().__init__(
            members=members, conn_id=conn_id, order=order, limit=limit, once=once, **other
        )
        self.members, self.conn_id, self.order = members, conn_id, Order(order)
        self.limit, self.once = limit, once

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        cloud, places = await Cloud.of(self.conn_id), asyncio.Semaphore(AT_ONCE)

        async def ask(name: str, zone: str) -> Answer | str:
            async with places:
                orders = GuestOrders(self.conn_id, zone, name, cloud.rate_limiter)
                try:
                    return await self._ask(orders)
                except (Blocked, *FAILURES) as error:
                    return str(error)
                finally:
                    await orders.take_back()

        found = await asyncio.gather(*(ask(name, zone) for name, zone in self.members.items()))
        told = dict(zip(self.members, found, strict=True))
        yield self.fire(
            MembersAnswered(
                answers={name: a for name, a in told.items() if isinstance(a, Answer)},
                silent={name: why for name, why in told.items() if isinstance(why, str)},
            )
        )

    async def _ask(self, orders: GuestOrders) -> Answer | str:
        """Return the answer of a member, or why there is none."""
        health = parse((await orders.attributes()).get("health"))
        if health is None:
            return "no health report"
        if self.order not in health.orders:
            return f"its image has no {self.order}"
        parts = (self.order, self.once, orders.name, health.boot_id)
        nonce = nonce_of(*parts) if self.once else token_hex(16)
        answer = await orders.ask(self.order, nonce, health.boot_id, self.limit)
        return answer if answer is not None else "no answer"
