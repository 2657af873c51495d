"""The client of Airflow's REST API against answers as Airflow gives them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from devstack import airflow_api
from devstack.airflow_api import Airflow, AirflowError, Line
from devstack.waiting import DeadlineExceeded, wait_until

Answer = Callable[[httpx.Request], httpx.Response]


def airflow(answer: Answer) -> Airflow:
    return Airflow("http://airflow", "admin", "secret", httpx.MockTransport(answer))


def test_an_expired_token_is_renewed_without_a_word() -> None:
    tokens = iter(["old", "new"])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": next(tokens)})
        if request.headers["Authorization"] == "Bearer old":
            return httpx.Response(401)
        return httpx.Response(200, json={"dags": [{"dag_id": "d", "is_paused": True}]})

    assert airflow(answer).dags() == {"d": True}


def test_a_refusal_carries_the_words_of_airflow() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        return httpx.Response(404, text="no such DAG")

    with pytest.raises(AirflowError, match="GET /dags: 404 no such DAG"):
        airflow(answer).dags()


def test_a_locked_database_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "LOCKED_RETRY", 0.0)
    locked = httpx.Response(503, json={"detail": "Database is locked"})
    untold = httpx.Response(500, json={"detail": {"reason": "Database error"}})
    answers = iter([locked, untold, httpx.Response(200, json={"id": 1})])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        return next(answers)

    assert airflow(answer).call("POST", "/backfills", json={}) == {"id": 1}


def test_no_answer_is_an_error_of_the_same_kind() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(AirflowError, match="no answer: refused"):
        airflow(answer).dags()


def test_a_log_is_read_whether_its_entries_have_a_form_or_not() -> None:
    entry = {"timestamp": "2026-11-23T08:00:00Z", "level": "error", "event": "x", "lineno": 3}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        return httpx.Response(200, json={"content": [entry, "bare"]})

    formed, bare = airflow(answer).log("d", "r", "t")
    assert (formed.level, formed.text, formed.fields) == ("error", "x", {"lineno": 3})
    assert bare == Line(None, "info", "bare", {})


def test_a_wait_in_vain_names_what_it_waited_for() -> None:
    with pytest.raises(DeadlineExceeded, match="waited 0 s in vain for the moon"):
        wait_until(lambda: False, 0, "the moon", every=0.01)
