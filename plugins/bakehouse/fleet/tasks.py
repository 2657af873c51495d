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
    "acquire_lease",
    "plan",
    "select_members",
    "replace",
    "verify_stage",
    "plan_rollback",
    "roll_back",
    "verdict",
    "release_lease",
]

TASK_IDS: tuple[TaskId, ...] = get_args(TaskId)

# Counted from the run's start, so it never falls along the flow.
DEFAULT_SLA: dict[TaskId, timedelta] = {
    "choose_image": timedelta(hours=2),
    "acquire_lease": timedelta(hours=3),
    "plan": timedelta(hours=3),
    "select_members": timedelta(hours=6),
    "replace": timedelta(hours=6),
    "verify_stage": timedelta(hours=6),
    "plan_rollback": timedelta(hours=6),
    "roll_back": timedelta(hours=7),
    "verdict": timedelta(hours=7),
    "release_lease": timedelta(hours=7),
}

# A member is walked from what stands, so another try costs nothing but its wait.
DEFAULT_RETRIES: dict[TaskId, int] = {
    "choose_image": 3,
    "acquire_lease": 3,
    "plan": 3,
    "select_members": 3,
    "replace": 3,
    "verify_stage": 3,
    "plan_rollback": 4,
    "roll_back": 5,
    "verdict": 3,
    "release_lease": 6,
}
