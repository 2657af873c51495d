"""Waits until the checks of a fleet's gate agree, before each step of a managed group.

A group stops its instances itself, so that none of them can be asked: only HTTP and Prometheus are.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from bakehouse.rollout.member_gates import OutsideChecks, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bakehouse.fleet.gate import Gate

ASK_AGAIN = 5.0  # seconds between two questions to a closed gate


class GateClosed(Exception):
    """The checks of the gate did not agree in time, and why."""


async def wait_until_open(
    gate: Gate, names: Mapping[str, str], tell: Callable[[str], Awaitable[None]]
) -> None:
    """Ask until all checks agree, without a thread between two questions.

    Args:
        gate: The fleet's.
        names: What stands for the placeholders of its URLs and queries.
        tell: Gets each new reason for which the gate is closed.

    Raises:
        GateClosed: They did not agree within the gate's deadline.
    """
    within, checks = gate.deadline.total_seconds(), OutsideChecks(gate)
    until, said = monotonic() + within, ""
    while not (found := together(await checks.ask(names))).open:
        if found.why != said:
            await tell(found.why)
            said = found.why
        if monotonic() >= until:
            raise GateClosed(
                f"the gate did not open within {within:.0f} s: {said}. Hint: {gate.hint}"
            )
        await asyncio.sleep(ASK_AGAIN)
