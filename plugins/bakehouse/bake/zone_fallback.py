"""Use the next zone within the same try, if a zone has no capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.operators.base import TryMemory
from bakehouse.operators.reconcile import Again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakehouse.core.errors import ZoneUnavailable
    from bakehouse.operators.base import BakehouseOperator


class ZoneMemory(TryMemory):
    """The memory of a try that has used several zones."""

    zones_tried: int = 0


def next_zone(operator: BakehouseOperator, zones: Sequence[str], error: ZoneUnavailable) -> Again:
    """Continue in the next zone; the operator's memory is a `ZoneMemory`.

    Raises:
        ZoneUnavailable: A resource was created in that zone, or no zone is left.
    """
    memory = operator.memory
    if not isinstance(memory, ZoneMemory):
        raise TypeError(f"{operator.task_id} has no record of the zones that it has tried")
    tried = memory.zones_tried + 1
    # another requestId: the old one would be answered with the old failure
    operator.remember(zones_tried=tried, blocked_count=memory.blocked_count + 1)
    if not error.nothing_created or tried >= len(zones):
        raise error
    operator.log.warning("%s; trying the next zone", error)
    return Again()
