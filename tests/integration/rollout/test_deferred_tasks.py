"""Tasks that wait while Bakehouse is upgraded find what they were to go on with."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.paths import PROJECT

from bakehouse.rollout.lease_operators import AcquireLease
from bakehouse.rollout.replace_operator import ReplaceMember
from bakehouse.rollout.rollback_operator import PlanRollback
from bakehouse.rollout.verdict import Verdict
from bakehouse.rollout.verify_operator import VerifyStage

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

FORM_0 = json.loads((PROJECT / "tests/unit/rollout/stored/schema-0.json").read_text())
MEMORY: dict[str, Any] = {"blocked_count": 1, "blocked_since": None, "concluded": ""}
BLAME = {"members": [{"member": "web-1", "why": "unhealthy"}], "newest": "web-old"}
LEASE = {
    "ledger": "file:///ledger",
    "name": "fleet-web",
    "owner": {"dag_id": "roll_out__web", "run_id": "manual__1"},
    "deadline": 1795770000.0,
}
OPERATION = {
    "conn_id": "google_cloud_default",
    "zone": "z",
    "name": "operation-1",
    "doing": "delete the old disk",
    "deadline": 1795770000.0,
}

# What a deferral of the form 0 has stored: the operator's method, the trigger and its arguments,
# and what the try remembers. A name of these is never given up while such a task may wait.
DEFERRED: list[tuple[Any, str, str, dict[str, Any], dict[str, Any]]] = [
    (
        ReplaceMember,
        "walked",
        "bakehouse.rollout.triggers.SwapTrigger",
        FORM_0["swap_trigger"],
        MEMORY,
    ),
    (
        VerifyStage,
        "soaked",
        "bakehouse.rollout.soak_trigger.SoakTrigger",
        FORM_0["soak_trigger"],
        MEMORY,
    ),
    (
        AcquireLease,
        "looks_free",
        "bakehouse.lease.triggers.LeaseTrigger",
        LEASE,
        {**MEMORY, "deadline": 1795770000.0},
    ),
    (
        Verdict,
        "operation_ended",
        "bakehouse.cloud.triggers.OperationTrigger",
        OPERATION,
        {**MEMORY, "recorded": True, "blame": BLAME, "not_marked": "", "failed": 1},
    ),
    (
        PlanRollback,
        "operation_ended",
        "bakehouse.cloud.triggers.OperationTrigger",
        OPERATION,
        MEMORY,
    ),
]


@pytest.mark.parametrize(
    ("operator", "method", "trigger", "arguments", "memory"),
    DEFERRED,
    ids=[operator.__name__ for operator, *_ in DEFERRED],
)
def test_a_task_that_an_older_version_has_deferred_can_be_resumed(
    operator: Any, method: str, trigger: str, arguments: dict[str, Any], memory: dict[str, Any]
) -> None:
    assert getattr(operator, method).event_model
    module, _, name = trigger.rpartition(".")
    kind: type[BaseTrigger] = getattr(import_module(module), name)
    made = kind(**{**arguments, "memory": memory})
    path, stored = made.serialize()
    assert path == trigger
    assert {key: stored[key] for key in arguments if key != "memory"} == {
        key: value for key, value in arguments.items() if key != "memory"
    }
    known = operator.Memory.model_validate(memory).model_dump(mode="json")
    assert known["blocked_count"] == 1
    for key in ("recorded", "failed", "deadline"):
        assert known.get(key) == memory.get(key)
