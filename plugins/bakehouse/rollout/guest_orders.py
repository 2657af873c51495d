"""Gives orders to a member and waits for their answers; in the triggerer."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.core.errors import FAILURES, Blocked, NotFound, TransientError
from bakehouse.rollout.config_change import with_values
from bakehouse.rollout.orders import KEY, Answer, Order, answer_to, order_text, with_order

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bakehouse.cloud.rate_limiter import RateLimiter

# Seconds between two reads of the answer: most scripts are quick, a drain is not.
PAUSES = (0.5, 1.0, 1.0, 2.0, 3.0, 5.0)
GRACE = 45.0  # beyond an order's own limit: the guest may hold its answer back for a rate limit
TRIES = 4  # of a change of metadata that somebody else has changed meanwhile


class GuestOrders:
    """The orders to one instance.

    Args:
        conn_id: the connection.
        zone: of the instance.
        name: of the instance.
        limiter: of the project's reads.
        priority: of its reads.
    """

    def __init__(
        self,
        conn_id: str,
        zone: str,
        name: str,
        limiter: RateLimiter,
        priority: Priority = Priority.RESULT,
    ) -> None:
        self.conn_id, self.zone, self.name, self.limiter = conn_id, zone, name, limiter
        self.priority = priority
        self._given = ""

    async def attributes(self) -> dict[str, str]:
        """Return what the guest has written."""
        await self.limiter.acquire(self.priority)
        return await asyncio.to_thread(
            lambda: hook_of(self.conn_id).guest_attributes(self.zone, self.name)
        )

    async def ask(
        self,
        order: Order,
        nonce: str,
        boot_id: str,
        limit: float,
        values: Mapping[str, str | None] | None = None,
        beside: Collection[str] = (),
        grace: float | None = None,
    ) -> Answer | None:
        """Give the order and return its answer; None if there is none in its time.

        `values` are further metadata that the instance gets with it; `beside` are members that are
        down, or may be stopped at the same time; `grace` are the seconds beyond the limit until the
        answer must be there. Errors are those of the hook.
        """
        text = order_text(order, nonce, boot_id, limit, time.time_ns(), beside)
        self._given = text
        await asyncio.to_thread(self._give, text, values)
        end = time.monotonic() + limit + (GRACE if grace is None else grace)
        pauses = iter(PAUSES)
        while time.monotonic() < end:
            await asyncio.sleep(min(next(pauses, PAUSES[-1]), max(0.0, end - time.monotonic())))
            answer = answer_to(await self.attributes(), order, nonce)
            if answer is not None:
                return answer
        return None

    async def take_back(self) -> None:
        """Take the last order out of the metadata, where a person would wonder about it.

        Another one than the last of these orders is somebody else's, and stays.
        """
        if self._given:
            with suppress(Blocked, *FAILURES):
                await asyncio.to_thread(self._give, None)

    def _give(self, text: str | None, values: Mapping[str, str | None] | None = None) -> None:
        hook = hook_of(self.conn_id)
        for left in range(TRIES - 1, -1, -1):
            instance = hook.instance(self.zone, self.name)
            if instance is None:
                raise NotFound(f"{self.name} does not exist")
            metadata = instance.get("metadata") or {}
            items = metadata.get("items") or []
            known = next((item.get("value") for item in items if item.get("key") == KEY), None)
            if text is None and known != self._given:
                return
            try:
                body = with_order(with_values(metadata, values or {}), text)
                hook.set_metadata(self.zone, instance, body)
            except TransientError:
                if not left:
                    raise
            else:
                return
