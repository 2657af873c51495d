"""Wait until instances whose deletion was requested do not exist any more."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.core.errors import TransientError
from bakehouse.operators.reconcile import Again, WaitFor

if TYPE_CHECKING:
    from bakehouse.cloud.events import InstancesGone
    from bakehouse.operators.base import BakehouseOperator

GONE_WITHIN = timedelta(minutes=10)


def until_gone(operator: BakehouseOperator, names: dict[str, list[str]]) -> WaitFor:
    """Return the wait, after which the operator's `instances_gone` continues.

    Args:
        operator: The task that waits.
        names: The names of the instances by zone.
    """
    from bakehouse.cloud.triggers import GoneTrigger

    deadline = time.time() + GONE_WITHIN.total_seconds()
    trigger = GoneTrigger(conn_id=operator.gcp_conn_id, machines=names, deadline=deadline)
    return WaitFor(trigger, "instances_gone", 2 * GONE_WITHIN)


def none_left(event: InstancesGone) -> Again:
    """Continue after the wait.

    Raises:
        TransientError: Some instances still existed at the deadline.
    """
    if event.left:
        raise TransientError(f"still existing: {', '.join(event.left)}")
    return Again()
