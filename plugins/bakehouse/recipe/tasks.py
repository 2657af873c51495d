"""The tasks of a bake, in the order of the flow, with what each is given by default.

`sla` is the time from the run's start within which the task should have succeeded.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, get_args

TaskId = Literal[
    "resolve_commit",
    "plan_bake",
    "need_bake",
    "create_builder",
    "wait_for_shutdown",
    "create_image",
    "label_image",
    "smoke_test",
    "promote_image",
    "publish_image",
    "delete_builder",
]

TASK_IDS: tuple[TaskId, ...] = get_args(TaskId)

# Counted from the run's start, so it never falls along the flow.
DEFAULT_SLA: dict[TaskId, timedelta] = {
    "resolve_commit": timedelta(minutes=10),
    "plan_bake": timedelta(minutes=15),
    "need_bake": timedelta(minutes=15),
    "create_builder": timedelta(minutes=25),
    "wait_for_shutdown": timedelta(minutes=75),
    "create_image": timedelta(minutes=90),
    "label_image": timedelta(minutes=90),
    "smoke_test": timedelta(minutes=105),
    "promote_image": timedelta(minutes=110),
    "publish_image": timedelta(minutes=110),
    "delete_builder": timedelta(minutes=120),
}

# A bake costs a machine, so it is not tried for ever; a call costs nothing.
DEFAULT_RETRIES: dict[TaskId, int] = {
    "resolve_commit": 3,
    "plan_bake": 3,
    "need_bake": 2,
    "create_builder": 3,
    "wait_for_shutdown": 2,
    "create_image": 3,
    "label_image": 4,
    "smoke_test": 2,
    "promote_image": 4,
    "publish_image": 3,
    "delete_builder": 6,
}

# Which kind of back-off a task has (retries.Kind).
KIND: dict[TaskId, Literal["git", "calls", "machine", "teardown"]] = {
    "resolve_commit": "git",
    "plan_bake": "git",
    "need_bake": "calls",
    "create_builder": "machine",
    "wait_for_shutdown": "machine",
    "create_image": "calls",
    "label_image": "calls",
    "smoke_test": "machine",
    "promote_image": "calls",
    "publish_image": "calls",
    "delete_builder": "teardown",
}
