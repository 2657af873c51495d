"""The tasks of `housekeeping` and `revoke`, with what each is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from bakehouse.notify.models import Channel
from bakehouse.operators.retries import Kind, retry_arguments

EXECUTION_TIMEOUT = timedelta(minutes=15)  # of a worker at a time; a wait has its own deadline
RETRIES = 4

# Counted from the run's start, so it never falls along the flow.
SLA: dict[str, timedelta] = {
    "plan_sweep": timedelta(minutes=15),
    "sweep": timedelta(minutes=45),
    "plan_retire": timedelta(minutes=15),
    "retire": timedelta(minutes=45),
    "show_drift": timedelta(minutes=30),
    "find_image": timedelta(minutes=5),
    "revoke_image": timedelta(minutes=10),
    "mark_descendants": timedelta(minutes=15),
    "name_members": timedelta(minutes=20),
}

DOCS: dict[str, str] = {
    "plan_sweep": "Finds machines, disks and candidates that no run owns any more.",
    "sweep": "Deletes what was planned to go and still is so. Skipped in a dry run.",
    "plan_retire": "Says of each promoted image whether it stays, and why.",
    "retire": "Deprecates, makes obsolete or deletes, one stage a run. Skipped in a dry run.",
    "show_drift": "Lists the members that do not run the newest promoted image.",
    "find_image": "Refuses what is no image of ours; lists what is built upon it.",
    "revoke_image": "Labels the image as revoked and makes it OBSOLETE.",
    "mark_descendants": "Labels and deprecates every image that is built upon it.",
    "name_members": "Names the members that run any of them, and tells whoever wants to know.",
}


def channels(notify: Iterable[Mapping[str, object]]) -> list[Channel]:
    """Who is told, as the `notify` of a recipe says it. Raises pydantic's ValidationError."""
    return [Channel.model_validate(told) for told in notify]


def step(task_id: str, include: str) -> dict[str, Any]:
    """What every task has: retries with back-off, a time limit, an SLA and its documentation."""
    return {
        "task_id": task_id,
        "include": include,
        "retries": RETRIES,
        **retry_arguments(Kind.CALLS),
        "execution_timeout": EXECUTION_TIMEOUT,
        "sla": SLA[task_id],
        "doc_md": DOCS[task_id],
    }
