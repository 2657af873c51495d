"""The tasks of a rollout, in the order of the flow, with what each is given by default.

`sla` is the time from the run's start within which the task should have succeeded. In a rollout
that ends a bake the run starts with the bake, so the file's own values should allow for it.
A stage's tasks carry its number behind these names (`replace_1`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, get_args

TaskId = Literal[
    "choose_image",
    "hold",
    "plan",
    "pick",
    "replace",
    "passed",
    "settle",
    "undo",
    "verdict",
    "release",
]

TASK_IDS: tuple[TaskId, ...] = get_args(TaskId)

# Counted from the run's start, so it never falls along the flow.
DEFAULT_SLA: dict[TaskId, timedelta] = {
    "choose_image": timedelta(hours=2),
    "hold": timedelta(hours=3),
    "plan": timedelta(hours=3),
    "pick": timedelta(hours=6),
    "replace": timedelta(hours=6),
    "passed": timedelta(hours=6),
    "settle": timedelta(hours=6),
    "undo": timedelta(hours=7),
    "verdict": timedelta(hours=7),
    "release": timedelta(hours=7),
}

# A member is walked from what stands, so another try costs nothing but its wait.
DEFAULT_RETRIES: dict[TaskId, int] = {
    "choose_image": 3,
    "hold": 3,
    "plan": 3,
    "pick": 3,
    "replace": 3,
    "passed": 3,
    "settle": 4,
    "undo": 5,
    "verdict": 3,
    "release": 6,
}
