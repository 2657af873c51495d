"""The DAG's task: the same checks, and the answer of the triggerer."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from bakehouse import __version__
from bakehouse.preflight.operators import CheckSetup
from bakehouse.preflight.triggers import AnswerTrigger

if TYPE_CHECKING:
    from .conftest import SetUp

FAILED = "__fail__"  # the next_method of a trigger that has failed
LOST = [
    "Traceback (most recent call last):\n",
    "ModuleNotFoundError: No module named 'bakehouse'\n",
]


@pytest.fixture
def context() -> Any:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="check_setup",
        run_id="manual__1",
        task_id="check_setup",
        try_number=1,
        xcom_push=pushed.__setitem__,
    )
    run = SimpleNamespace(conf={}, run_type="manual", run_id="manual__1")
    return {"ti": ti, "dag_run": run, "params": {}}


def task(setup: SetUp) -> CheckSetup:
    include = str(setup.folder / "include")
    return CheckSetup(task_id="check_setup", include=include, sla=timedelta(minutes=10))


def deferred(setup: SetUp, context: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as waiting:
        task(setup).execute(context)
    return waiting.value


async def answered(setup: SetUp, context: Any) -> Any:
    """What the task returns once its trigger has fired, wherever that was."""
    wait = deferred(setup, context)
    path, arguments = wait.trigger.serialize()
    assert path == "bakehouse.preflight.triggers.AnswerTrigger"
    event = await anext(AnswerTrigger(**arguments).run())
    kwargs = {**(wait.kwargs or {}), "event": event.payload}
    return task(setup).resume_execution(wait.method_name, kwargs, context)


async def test_a_set_up_of_which_nothing_is_wrong_succeeds(setup: SetUp, context: Any) -> None:
    setup.environment.setattr("bakehouse.preflight.triggers.FIRST_LOOK", 0)
    found = {check["name"]: check for check in await answered(setup, context)}
    assert {check["state"] for check in found.values()} == {"ok"}
    assert found["triggerer"]["found"] == f"has the triggers of Bakehouse {__version__}"
    assert list(found)[:3] == ["Airflow", "git program", "include/"]


async def test_what_is_wrong_fails_the_task_with_the_lines_that_are_wrong(
    setup: SetUp, context: Any
) -> None:
    setup.environment.setattr("bakehouse.preflight.triggers.FIRST_LOOK", 0)
    setup.environment.setattr("bakehouse.preflight.triggers.__version__", "0.0.1")
    setup.fault(kind="deny_permission", permission="compute.instances.delete")
    with pytest.raises(AirflowFailException) as failed:
        await answered(setup, context)
    first, *lines = str(failed.value).splitlines()
    assert first == "2 checks have failed: permissions, triggerer"
    assert lines[1].endswith("--add-permissions compute.instances.delete")
    assert "has Bakehouse 0.0.1, the workers have" in lines[2]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ({"error": "Trigger failure", "traceback": LOST}, "No module named 'bakehouse'"),
        ({"error": "Trigger timeout"}, "no triggerer has answered within 0:03:00"),
    ],
)
def test_a_triggerer_without_our_code_is_told_beside_all_else(
    setup: SetUp, context: Any, failure: dict[str, Any], words: str
) -> None:
    with pytest.raises(AirflowFailException) as failed:
        task(setup).resume_execution(FAILED, failure, context)
    first, line, remedy = str(failed.value).splitlines()
    assert first == "1 checks have failed: triggerer"
    assert words in line
    assert f"pip install bakehouse=={__version__}" in remedy
