from __future__ import annotations

import pytest

from bakehouse.cloud.errors import Meaning, of_body, of_operation, of_status
from bakehouse.core.errors import Blocked, PermanentError, TransientError, ZoneUnavailable


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "invalid", Meaning.PERMANENT),
        (400, "resourceNotReady", Meaning.TRANSIENT),
        (400, "resourceInUseByAnotherResource", Meaning.TRANSIENT),
        (401, "authError", Meaning.PERMANENT),
        (403, "forbidden", Meaning.PERMANENT),
        (403, "quotaExceeded", Meaning.BLOCKED),
        (403, "rateLimitExceeded", Meaning.BLOCKED),
        (404, "notFound", Meaning.PERMANENT),
        (408, "", Meaning.UNKNOWN),
        (409, "resourceNotReady", Meaning.TRANSIENT),
        (412, "conditionNotMet", Meaning.TRANSIENT),
        (429, "", Meaning.BLOCKED),
        (500, "backendError", Meaning.UNKNOWN),
        (501, "notImplemented", Meaning.PERMANENT),
        (503, "", Meaning.UNKNOWN),
    ],
)
def test_status_and_reason_say_what_happens_next(
    status: int, reason: str, expected: Meaning
) -> None:
    assert of_status(status, reason, "why").meaning is expected


def test_quota_waits_longer_than_a_rate_limit() -> None:
    quota = of_status(403, "quotaExceeded", "Quota 'CPUS' exceeded")
    rate = of_status(403, "rateLimitExceeded", "slow down")
    assert quota.wait > rate.wait > 0


@pytest.mark.parametrize(
    ("code", "expected", "zone_unavailable"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", Meaning.TRANSIENT, True),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Meaning.TRANSIENT, True),
        ("QUOTA_EXCEEDED", Meaning.BLOCKED, False),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Meaning.TRANSIENT, False),
        ("INVALID_FIELD_VALUE", Meaning.PERMANENT, False),
    ],
)
def test_operation_codes_say_what_happens_next(
    code: str, expected: Meaning, zone_unavailable: bool
) -> None:
    answer = of_operation({"error": {"errors": [{"code": code, "message": "m"}]}})
    assert answer is not None
    assert (answer.meaning, answer.zone_unavailable) == (expected, zone_unavailable)
    assert code in answer.message


def test_an_operation_that_failed_with_a_status_only_has_failed() -> None:
    answer = of_operation(
        {"status": "DONE", "httpErrorStatusCode": 503, "httpErrorMessage": "busy"}
    )
    assert answer is not None
    assert answer.meaning is Meaning.TRANSIENT  # it has ended: there is nothing to look for


def test_an_operation_without_error_succeeded() -> None:
    assert of_operation({"status": "DONE", "progress": 100}) is None


@pytest.mark.parametrize("error", [{"code": "RESOURCE_NOT_FOUND"}, {"code": "x"}])
def test_a_deletion_of_what_somebody_else_has_deleted_has_succeeded(error: dict[str, str]) -> None:
    gone = {"status": "DONE", "error": {"errors": [error]}, "httpErrorStatusCode": 404}
    assert of_operation({**gone, "operationType": "delete"}) is None
    assert of_operation({**gone, "operationType": "start"}) is not None


@pytest.mark.parametrize("code", ["RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"])
def test_an_operation_that_finds_its_name_in_use_is_looked_after_by_the_next_try(code: str) -> None:
    answer = of_operation({"status": "DONE", "error": {"errors": [{"code": code}]}})
    assert answer is not None
    assert answer.meaning is Meaning.TRANSIENT


def test_the_body_of_an_answer_is_read_as_compute_engine_writes_it() -> None:
    body = {"error": {"code": 409, "message": "taken", "errors": [{"reason": "alreadyExists"}]}}
    answer = of_body(409, body)
    assert answer.reason == "alreadyExists"
    assert answer.message == "taken (HTTP 409 alreadyExists)"


@pytest.mark.parametrize("body", [{}, {"error": "plain text"}, {"error": {"errors": []}}])
def test_a_body_of_any_shape_has_a_meaning(body: dict[str, object]) -> None:
    assert of_body(502, body).meaning is Meaning.UNKNOWN


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
    assert type(of_status(status, reason, message).error("create web-1")) is ZoneUnavailable
