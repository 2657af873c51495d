from __future__ import annotations

import pytest

from bakehouse.cloud.errors import Next, of_body, of_operation, of_status
from bakehouse.core.errors import Blocked, PermanentError, TransientError, ZoneExhausted


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "invalid", Next.STOP),
        (400, "resourceNotReady", Next.TRY_AGAIN),
        (400, "resourceInUseByAnotherResource", Next.TRY_AGAIN),
        (401, "authError", Next.STOP),
        (403, "forbidden", Next.STOP),
        (403, "quotaExceeded", Next.NOT_NOW),
        (403, "rateLimitExceeded", Next.NOT_NOW),
        (404, "notFound", Next.STOP),
        (408, "", Next.LOOK),
        (409, "resourceNotReady", Next.TRY_AGAIN),
        (412, "conditionNotMet", Next.TRY_AGAIN),
        (429, "", Next.NOT_NOW),
        (500, "backendError", Next.LOOK),
        (501, "notImplemented", Next.STOP),
        (503, "", Next.LOOK),
    ],
)
def test_status_and_reason_say_what_happens_next(status: int, reason: str, expected: Next) -> None:
    assert of_status(status, reason, "why").next is expected


def test_quota_waits_longer_than_a_rate_limit() -> None:
    quota = of_status(403, "quotaExceeded", "Quota 'CPUS' exceeded")
    rate = of_status(403, "rateLimitExceeded", "slow down")
    assert quota.wait > rate.wait > 0


@pytest.mark.parametrize(
    ("code", "expected", "elsewhere"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", Next.TRY_AGAIN, True),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Next.TRY_AGAIN, True),
        ("QUOTA_EXCEEDED", Next.NOT_NOW, False),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Next.TRY_AGAIN, False),
        ("INVALID_FIELD_VALUE", Next.STOP, False),
    ],
)
def test_operation_codes_say_what_happens_next(code: str, expected: Next, elsewhere: bool) -> None:
    answer = of_operation({"error": {"errors": [{"code": code, "message": "m"}]}})
    assert answer is not None
    assert (answer.next, answer.elsewhere) == (expected, elsewhere)
    assert code in answer.message


def test_an_operation_that_failed_with_a_status_only_has_failed() -> None:
    answer = of_operation(
        {"status": "DONE", "httpErrorStatusCode": 503, "httpErrorMessage": "busy"}
    )
    assert answer is not None
    assert answer.next is Next.TRY_AGAIN  # it has ended: there is nothing to look for


def test_an_operation_without_error_succeeded() -> None:
    assert of_operation({"status": "DONE", "progress": 100}) is None


def test_the_body_of_an_answer_is_read_as_compute_engine_writes_it() -> None:
    body = {"error": {"code": 409, "message": "taken", "errors": [{"reason": "alreadyExists"}]}}
    answer = of_body(409, body)
    assert answer.reason == "alreadyExists"
    assert answer.message == "taken (HTTP 409 alreadyExists)"


@pytest.mark.parametrize("body", [{}, {"error": "plain text"}, {"error": {"errors": []}}])
def test_a_body_of_any_shape_has_a_meaning(body: dict[str, object]) -> None:
    assert of_body(502, body).next is Next.LOOK


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [(403, "quotaExceeded", Blocked), (400, "invalid", PermanentError), (409, "x", TransientError)],
)
def test_the_error_names_what_was_being_done(
    status: int, reason: str, kind: type[Exception]
) -> None:
    error = of_status(status, reason, "because").error("create web-1")
    assert type(error) is kind
    assert str(error).startswith("create web-1: because (HTTP ")


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (503, "", "ZONE_RESOURCE_POOL_EXHAUSTED: try a different zone"),
        (503, "backendError", "The zone does not have enough resources available to fulfill it."),
        (403, "STOCKOUT", "none left"),
    ],
)
def test_a_stock_out_that_is_answered_at_once_leads_to_the_next_zone(
    status: int, reason: str, message: str
) -> None:
    assert type(of_status(status, reason, message).error("create web-1")) is ZoneExhausted
