"""What a trigger has said: its lines are in its task's log, until the triggerer has closed that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed


def has_said(bed: Testbed, run: Run, task_id: str, text: str, triggerer: str = "triggerer") -> bool:
    """Whether a trigger of the task has; a second after its end it speaks in its program's log."""
    log = bed.stack.layout.logs / f"{triggerer}.log"
    return text in bed.log(run, task_id) or text in log.read_text("utf-8", errors="replace")
