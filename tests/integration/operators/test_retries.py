"""How long a failed task waits: by the error, by the kind of task, with jitter."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from bakehouse.cloud.errors import of_operation, of_status
from bakehouse.core.errors import (
    Blocked,
    PermanentError,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.core.tasks import TaskKind
from bakehouse.operators.retries import BACK_OFF, ByError

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision


def context(run: str = "r", task: str = "t") -> Any:
    ti = SimpleNamespace(dag_id="bake__web", run_id=run, task_id=task)
    return {"ti": ti, "task": SimpleNamespace(retries=3)}


def decision(
    error: BaseException,
    tries: int = 1,
    most: int = 3,
    kind: TaskKind = TaskKind.CALLS,
    run: str = "r",
) -> RetryDecision:
    return ByError(kind).evaluate(error, tries, most, context(run))


def seconds(error: BaseException, *args: Any, **kwargs: Any) -> float:
    delay = decision(error, *args, **kwargs).retry_delay
    assert delay is not None
    return delay.total_seconds()


def test_what_no_try_can_heal_fails_at_once() -> None:
    assert decision(PermanentError("x")).action is RetryAction.FAIL


def test_what_another_zone_may_have_is_asked_for_soon() -> None:
    assert seconds(ZoneUnavailable("x"), kind=TaskKind.MACHINE) <= 5
    assert seconds(ZoneUnavailable("x"), tries=8, most=3, kind=TaskKind.MACHINE) > 60, (
        "not for ever"
    )


def test_what_is_blocked_waits_as_long_as_it_was_told() -> None:
    assert 300 <= seconds(Blocked("quota", wait=300)) <= 400


@pytest.mark.parametrize("kind", TaskKind)
def test_anything_else_backs_off_by_the_kind_of_task(kind: TaskKind) -> None:
    delays = [seconds(TransientError("x"), tries, 20, kind) for tries in range(18, 31)]
    first, longest = BACK_OFF[kind].first, BACK_OFF[kind].longest
    assert first.total_seconds() * 2 / 3 - 1 <= delays[0] <= first.total_seconds()
    assert max(delays) <= longest.total_seconds()
    assert delays[-1] >= longest.total_seconds() * 2 / 3 - 1


def test_an_error_that_nobody_foresaw_is_tried_again() -> None:
    assert decision(ValueError("x")).action is RetryAction.RETRY


def test_after_a_clear_the_back_off_begins_anew() -> None:
    assert seconds(TransientError("x"), tries=5, most=7) <= 10, (
        "the fifth try, the first of its round"
    )


def test_two_hundred_that_failed_together_do_not_come_back_together() -> None:
    delays = {seconds(TransientError("x"), run=f"run-{number}") for number in range(200)}
    assert len(delays) > 20
    assert seconds(TransientError("x")) == seconds(TransientError("x"))


def test_the_policy_survives_serialisation() -> None:
    told = ByError.deserialize(ByError(TaskKind.GIT).serialize())
    assert told.kind is TaskKind.GIT


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (400, "invalid", PermanentError),
        (401, "authError", PermanentError),
        (403, "forbidden", PermanentError),
        (403, "quotaExceeded", Blocked),
        (403, "rateLimitExceeded", Blocked),
        (429, "", Blocked),
        (404, "notFound", PermanentError),
        (412, "conditionNotMet", TransientError),
        (500, "backendError", TransientError),
        (503, "", TransientError),
    ],
)
def test_http_answers_by_what_they_mean(status: int, reason: str, error: type[Exception]) -> None:
    assert type(of_status(status, reason, "x").error("doing")) is error


@pytest.mark.parametrize("code", ["ZONE_RESOURCE_POOL_EXHAUSTED", "STOCKOUT"])
def test_a_stock_out_is_one(code: str) -> None:
    answer = of_operation({"error": {"errors": [{"code": code, "message": "m"}]}})
    assert answer is not None
    assert type(answer.error("doing")) is ZoneUnavailable


def test_a_quota_waits_longer_than_a_rate() -> None:
    quota = of_status(403, "quotaExceeded", "x").wait
    assert (
        timedelta(seconds=quota)
        >= timedelta(minutes=5)
        > timedelta(seconds=of_status(429, "", "x").wait)
    )
