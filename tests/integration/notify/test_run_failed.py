"""A notification of a failed run says why, in the words of the run's last task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from bakehouse.notify.run_failed import RunFailed

REASON = "install: no such package"


def told(monkeypatch: pytest.MonkeyPatch, **context: Any) -> str:
    sent = Mock()
    monkeypatch.setattr("bakehouse.notify.run_failed.notify", sent)
    run = SimpleNamespace(dag_id="bake__web", run_id="manual__1")
    RunFailed([]).notify({"dag_run": run, "reason": "task_failure", **context})
    _, notification = sent.call_args.args
    return str(notification.text)


def test_the_result_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pull = Mock(return_value=REASON)
    assert told(monkeypatch, ti=SimpleNamespace(xcom_pull=pull)) == REASON
    pull.assert_called_once_with(task_ids="result", key="reason")


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"ti": SimpleNamespace(xcom_pull=lambda **_: None)},
        {"ti": SimpleNamespace(xcom_pull=Mock(side_effect=RuntimeError("no supervisor")))},
    ],
)
def test_without_one_airflows_own_word_is_told(
    monkeypatch: pytest.MonkeyPatch, context: dict[str, Any]
) -> None:
    assert told(monkeypatch, **context) == "task_failure"
