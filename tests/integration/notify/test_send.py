from __future__ import annotations

from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier
from pydantic import ValidationError

from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify

NOTIFICATION = Notification(
    occasion=NotificationEvent.SLA_MISS,
    title="create_image of bake__web is late",
    text="should have succeeded within 60 s",
    dag_id="bake__web",
    run_id="manual__1",
)


class Recorder(BaseNotifier):
    template_fields = ("message",)
    sent: ClassVar[list[str]] = []

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def notify(self, context: Any) -> None:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        if "fail" in self.message:
            raise ConnectionError("no route to host")
        self.sent.append(self.message)


def channel(message: str, **more: Any) -> Channel:
    path = f"{Recorder.__module__}.Recorder"
    return Channel(notifier=path, arguments={"message": message}, **more)


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_NOTIFICATIONS", "on")
    monkeypatch.setattr("bakehouse.notify.send._notifier", lambda c: Recorder(**c.keywords))
    Recorder.sent.clear()


@pytest.mark.parametrize("name", ["notification", "news"])  # the second in older recipes
def test_the_notifier_renders_its_arguments_with_the_notification(name: str) -> None:
    assert len(notify([channel("late: {{ " + name + ".title }}")], NOTIFICATION)) == 1
    assert Recorder.sent == ["late: create_image of bake__web is late"]


def test_a_channel_reports_only_its_occasions() -> None:
    assert notify([channel("x", occasions=(NotificationEvent.PROMOTION,))], NOTIFICATION) == []
    assert Recorder.sent == []


def test_off_unless_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_VAR_BAKEHOUSE_NOTIFICATIONS")
    monkeypatch.setattr("airflow.sdk.Variable.get", lambda _, default: default)
    assert notify([channel("x")], NOTIFICATION) == []


def test_a_failing_notifier_neither_raises_nor_stops_the_others() -> None:
    assert len(notify([channel("fail"), channel("second")], NOTIFICATION)) == 1
    assert Recorder.sent == ["second"]


def test_short_names_have_default_arguments_and_the_users_override_them() -> None:
    smtp = Channel(notifier="smtp", arguments={"to": "ops@example.com", "subject": "mine"})
    assert smtp.path.endswith(".SmtpNotifier")
    assert smtp.keywords["subject"] == "mine"
    assert "notification.text" in smtp.keywords["html_content"]


@pytest.mark.parametrize("name", ["mail", "os", "a b.c", ""])
def test_a_notifier_is_a_short_name_or_an_import_path(name: str) -> None:
    with pytest.raises(ValidationError):
        Channel(notifier=name)
