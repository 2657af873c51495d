"""What the base of the operators makes of what `reconcile` returns and raises."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

from bakehouse.cloud.events import OperationEnded
from bakehouse.core.errors import (
    AlreadyExists,
    BakehouseError,
    Blocked,
    NotFound,
    OutcomeUnknown,
    PermanentError,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.operators.base import BLOCKED_AT_MOST, MOST_ROUNDS, BakehouseOperator
from bakehouse.operators.reconcile import Again, Done, Next, WaitForOperation, resumed_by
from bakehouse.operators.retries import cause_of

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT: dict[str, Any] = {}  # XComs


def keep(key: str, value: Any) -> None:
    KEPT[key] = value


CONTEXT: Any = {
    "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", try_number=1, xcom_push=keep)
}
RUNNING = {"name": "operation-1", "status": "RUNNING", "zone": "zones/us-central1-a"}
DONE = {**RUNNING, "status": "DONE"}
REFUSED = {**DONE, "error": {"errors": [{"code": "INVALID_FIELD_VALUE", "message": "no"}]}}


class Scripted(BakehouseOperator):
    """Does what its list says, one after the other."""

    def __init__(self, *, script: list[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.script = script
        self.asked: list[str] = []
        self.answers: list[Any] = []

    def reconcile(self, context: Any) -> Next:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        found = self.script.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found  # type: ignore[no-any-return]

    @resumed_by(OperationEnded)
    def created(self, context: Any, event: OperationEnded) -> Next:  # ruff: ignore[unused-method-argument]  as the base calls it
        self.require_success(event)
        return Done("created")

    @property
    def compute(self) -> Any:
        def operation(zone: str | None, name: str) -> Any:
            self.asked.append(f"{zone}/{name}")
            return self.answers.pop(0)

        return SimpleNamespace(operation=operation)


def scripted(*script: Any) -> Scripted:
    return Scripted(task_id="t", sla=timedelta(hours=1), script=list(script))


def deferral(call: Callable[[], object]) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as waits:
        call()
    return waits.value


def test_what_is_done_becomes_the_xcom() -> None:
    assert scripted(Again(), Done({"name": "web-1"})).execute(CONTEXT) == {"name": "web-1"}


def test_an_operation_that_has_ended_is_not_waited_for() -> None:
    task = scripted(WaitForOperation(DONE, "create web-1"), Done(1))
    assert task.execute(CONTEXT) == 1
    assert task.asked == []


def test_one_that_ends_meanwhile_is_asked_for_once() -> None:
    task = scripted(WaitForOperation(RUNNING, "create web-1"), Done(1))
    task.answers = [DONE]
    assert task.execute(CONTEXT) == 1
    assert task.asked == ["us-central1-a/operation-1"]


@pytest.mark.parametrize("answer", [None])
def test_one_that_is_forgotten_has_ended(answer: Any) -> None:
    task = scripted(WaitForOperation(RUNNING, "create web-1"), Done(1))
    task.answers = [answer]
    assert task.execute(CONTEXT) == 1


def test_one_that_runs_is_waited_for_in_a_trigger_and_reconciled_after_it() -> None:
    task = scripted(WaitForOperation(RUNNING, "create web-1"), Done(1))
    task.answers = [RUNNING]
    waits = deferral(lambda: task.execute(CONTEXT))
    assert waits.method_name == "operation_ended"
    ended = OperationEnded(doing="create web-1", operation=DONE)
    event = {"event": ended.model_dump(mode="json"), "memory": {}}
    assert task.resume_execution(waits.method_name, {"event": event}, CONTEXT) == 1


def test_one_that_names_a_method_continues_with_it_and_does_not_reconcile() -> None:
    task = scripted(WaitForOperation(RUNNING, "create web-1", "created"))
    task.answers = [DONE]
    assert task.execute(CONTEXT) == "created"
    task = scripted(WaitForOperation(RUNNING, "create web-1", "created"))
    task.answers = [RUNNING]
    waits = deferral(lambda: task.execute(CONTEXT))
    event = OperationEnded(doing="create web-1", operation=DONE).model_dump(mode="json")
    resumed = {"event": {"event": event, "memory": {}}}
    assert task.resume_execution(waits.method_name, resumed, CONTEXT) == "created"


def test_one_that_failed_fails_the_task_with_its_own_words() -> None:
    with pytest.raises(AirflowFailException, match="create web-1: no"):
        scripted(WaitForOperation(REFUSED, "create web-1")).execute(CONTEXT)


def test_one_that_is_late_is_another_try() -> None:
    late = OperationEnded(doing="create web-1", operation=None, late=True)
    event = {"event": late.model_dump(mode="json"), "memory": {}}
    with pytest.raises(AirflowException, match="create web-1: not finished") as error:
        scripted().resume_execution("operation_ended", {"event": event}, CONTEXT)
    assert isinstance(cause_of(error.value), TransientError)


def test_what_is_blocked_waits_deferred_and_asks_again_under_another_request_id() -> None:
    task = scripted(Blocked("quota", wait=30), Done(1))
    before = task.request_id(CONTEXT, "insert")
    waits = deferral(lambda: task.execute(CONTEXT))
    assert waits.method_name == "unblocked"
    kwargs = {**(waits.kwargs or {}), "event": datetime.now(UTC).isoformat()}
    assert task.resume_execution(waits.method_name, kwargs, CONTEXT) == 1
    assert task.request_id(CONTEXT, "insert") != before


@pytest.mark.parametrize("answers", [[DONE], [RUNNING]], ids=["at once", "after a wait"])
def test_a_change_that_is_undone_after_its_operation_is_asked_for_under_another_request_id(
    answers: list[Any],
) -> None:
    """Compute Engine would answer the old one with the operation that has succeeded."""
    task = scripted(WaitForOperation(RUNNING, "create web-1"), Done(1))
    before = [task.request_id(CONTEXT, "create web-1"), task.request_id(CONTEXT, "delete web-1")]
    task.answers = answers
    if answers == [DONE]:
        assert task.execute(CONTEXT) == 1
    else:
        waits = deferral(lambda: task.execute(CONTEXT))
        assert task.request_id(CONTEXT, "create web-1") == before[0], "its outcome is open"
        ended = OperationEnded(doing="create web-1", operation=DONE).model_dump(mode="json")
        event = {"event": ended, "memory": (waits.kwargs or {})["memory"]}
        assert task.resume_execution(waits.method_name, {"event": event}, CONTEXT) == 1
    assert task.request_id(CONTEXT, "create web-1") != before[0]
    assert task.request_id(CONTEXT, "delete web-1") == before[1]


def test_what_stays_blocked_fails_the_try_and_says_when_to_come_back() -> None:
    task = scripted(Blocked("quota", wait=30))
    task.remember(blocked_since=datetime.now(UTC) - BLOCKED_AT_MOST)
    with pytest.raises(AirflowException, match="quota") as error:
        task.execute(CONTEXT)
    cause = cause_of(error.value)
    assert isinstance(cause, TransientError)
    assert cause.wait == 30


@pytest.mark.parametrize("kind", [PermanentError, NotFound, AlreadyExists])
def test_what_no_try_heals_fails_at_once(kind: type[BakehouseError]) -> None:
    with pytest.raises(AirflowFailException, match=r"^why$") as error:
        scripted(kind("why")).execute(CONTEXT)
    assert type(cause_of(error.value)) is kind
    assert KEPT.pop("reason") == "why"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TransientError("the first line\nand more"), "the first line"),
        (OSError("the disk is full"), "OSError: the disk is full"),
        (KeyError("key"), "KeyError: 'key'"),
        (PermanentError(""), "AirflowFailException"),
    ],
)
def test_a_failed_try_keeps_its_reason_in_one_line(error: Exception, reason: str) -> None:
    KEPT.clear()
    with pytest.raises(type(error) if not isinstance(error, BakehouseError) else AirflowException):
        scripted(error).execute(CONTEXT)
    assert {"reason": reason} == KEPT


@pytest.mark.parametrize(
    "outcome", [AirflowSkipException("nothing to do"), Blocked("quota"), Done("well")]
)
def test_a_skip_a_deferral_and_a_success_leave_no_reason(outcome: Any) -> None:
    KEPT.clear()
    with suppress(AirflowSkipException, TaskDeferred):
        scripted(outcome).execute(CONTEXT)
    assert KEPT == {}


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown, ZoneUnavailable])
def test_what_another_try_may_heal_is_retried_by_its_own_kind(kind: type[BakehouseError]) -> None:
    with pytest.raises(AirflowException, match=r"^why$") as error:
        scripted(kind("why")).execute(CONTEXT)
    assert not isinstance(error.value, AirflowFailException)
    assert type(cause_of(error.value)) is kind


@pytest.mark.parametrize("kind", [TransientError, OutcomeUnknown])
def test_what_a_try_has_found_out_is_not_lost_to_an_error_that_may_pass(
    kind: type[BakehouseError],
) -> None:
    """The next try would boot another machine to find it out."""
    task = scripted(kind("the label's answer was lost"), PermanentError("port 80 is closed"))
    task.remember(concluded="port 80 is closed")
    waits = deferral(lambda: task.execute(CONTEXT))
    assert waits.method_name == "unblocked"
    kwargs = {**(waits.kwargs or {}), "event": datetime.now(UTC).isoformat()}
    with pytest.raises(AirflowFailException, match=r"^port 80 is closed$"):
        task.resume_execution(waits.method_name, kwargs, CONTEXT)


def test_a_read_without_an_answer_does_not_cost_another_machine() -> None:
    task = scripted(OutcomeUnknown("get web-1: HTTP 503"), Done(1))
    task.try_costs_a_machine = True  # type: ignore[misc]
    waits = deferral(lambda: task.execute(CONTEXT))
    assert waits.method_name == "unblocked"
    kwargs = {**(waits.kwargs or {}), "event": datetime.now(UTC).isoformat()}
    assert task.resume_execution(waits.method_name, kwargs, CONTEXT) == 1


def test_an_error_that_stays_is_told_beside_what_a_try_has_found_out() -> None:
    task = scripted(PermanentError("no permission to label"))
    task.remember(concluded="port 80 is closed")
    with pytest.raises(AirflowFailException, match=r"^port 80 is closed\nno permission to label$"):
        task.execute(CONTEXT)


def test_a_task_that_never_settles_ends() -> None:
    with pytest.raises(AirflowException, match="did not finish"):
        scripted(*[Again()] * (MOST_ROUNDS + 1)).execute(CONTEXT)


def test_a_try_remembers_across_its_waits_what_it_links_to() -> None:
    task = scripted(Blocked("quota"))
    task.remember(pages={"machine": "https://example.com/web-1"})
    waits = deferral(lambda: task.execute(CONTEXT))
    other = scripted(Done())
    kwargs = {**(waits.kwargs or {}), "event": None}
    other.resume_execution(waits.method_name, kwargs, CONTEXT)
    assert other.pages == {"machine": "https://example.com/web-1"}


def test_an_sla_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be met"):
        BakehouseOperator(task_id="t", sla=timedelta(0))
