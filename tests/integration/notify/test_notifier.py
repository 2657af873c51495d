"""A notifier is a class of Airflow's, found out before it is called."""

from __future__ import annotations

import abc
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import BaseNotifier
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.config.project import all_mistakes, read_project
from bakehouse.notify import send
from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.notifier import BadNotifier, notifier_class

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

HERE = __name__
NOTIFICATION = Notification(
    occasion=NotificationEvent.FAILURE, title="t", text="x", dag_id="bake__web", run_id="r"
)


class Good(BaseNotifier):
    template_fields = ("message",)

    def __init__(self, message: str, *, to: str = "ops") -> None:
        super().__init__()
        self.message, self.to = message, to

    def notify(self, context: Any) -> None:
        """Do what the message says."""
        del context
        if self.message == "hang":
            threading.Event().wait()
        if self.message == "exit":
            raise SystemExit(3)
        if self.message == "interrupt":
            raise KeyboardInterrupt
        if self.message == "fail":
            raise ConnectionError


class Abstract(Good, abc.ABC):
    @abc.abstractmethod
    def address(self) -> str: ...


class OnlyAsync(BaseNotifier):
    async def async_notify(self, context: Any) -> None: ...


class NotOne:
    """Somebody's class."""


def function(message: str) -> str:
    return message


def channel(name: str, **arguments: Any) -> Channel:
    return Channel(notifier=name if "." in name else f"{HERE}.{name}", arguments=arguments)


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, HERE, sys.modules[Good.__module__])


def test_a_notifier_with_its_arguments_is_found() -> None:
    assert notifier_class(channel("Good", message="m")) is Good
    smtp = Channel(notifier="smtp", arguments={"to": "x@y.z", "from_email": "a@b.c"})
    assert notifier_class(smtp).__name__ == "SmtpNotifier"
    assert notifier_class(Channel(notifier="slack", arguments={})).__name__.startswith("Slack")


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (channel("no.such.module.Class"), "notifier", "cannot be imported: no module no"),
        (channel("bakehouse.nothing.Class"), "notifier", "no module bakehouse.nothing"),
        (channel("Missing"), "notifier", "does not exist"),
        (channel("os.path"), "notifier", "is not a class: path is a module"),
        (channel("os.getcwd"), "notifier", "is not a class"),
        (channel("function", message="m"), "notifier", "is not a class: function is a function"),
        (channel("HERE"), "notifier", "is not a class: HERE is a str"),
        (channel("NotOne"), "notifier", "NotOne is no subclass of BaseNotifier"),
        (channel("subprocess.Popen", args="true"), "notifier", "Popen is no subclass"),
        (channel("airflow.sdk.BaseNotifier"), "notifier", "BaseNotifier does not implement notify"),
        (channel("Abstract", message="m"), "notifier", "is abstract: Abstract"),
        (channel("OnlyAsync"), "notifier", "OnlyAsync does not implement notify"),
        (channel("Good"), "arguments", "missing a required argument: 'message'"),
        (channel("Good", message="m", tO="x"), "arguments", "unexpected keyword argument 'tO'"),
        (channel("Good", **{"message": "m", "a b": 1}), "arguments", "Good takes message, to?"),
    ],
)
def test_anything_else_has_one_message(bad: Channel, field: str, message: str) -> None:
    with pytest.raises(BadNotifier) as caught:
        notifier_class(bad)
    assert caught.value.field == field
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", ["1/0", "raise SystemExit(3)", "import no_such_thing", "x ="])
def test_a_module_that_cannot_be_imported_is_told(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaks_here.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadNotifier, match="cannot be imported"):
        notifier_class(channel("breaks_here.Class"))


def test_nothing_of_the_folder_that_is_validated_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_own.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    monkeypatch.chdir(tmp_path)
    for entry in ("", str(tmp_path)):
        monkeypatch.syspath_prepend(entry)
    with pytest.raises(BadNotifier, match="no module strangers_own"):
        notifier_class(channel("strangers_own.Class"))
    assert not (tmp_path / "ran").exists()


def test_validate_names_file_line_and_remedy_and_the_dags_stay(tmp_path: Path) -> None:
    for folder in ("recipes", "fleets", "startup_scripts"):
        (tmp_path / "include" / folder).mkdir(parents=True)
    (tmp_path / "include/recipes/web.yaml").write_text(
        "base: debian-cloud/debian-12\n"
        "notify:\n"
        "- notifier: smtp\n"
        "  arguments: {too: x@y.z}\n"
        "- notifier: os.path.join\n"
    )
    (tmp_path / "include/fleets/web.yaml").write_text(
        "recipe: web\n"
        "members: {labels: {a: b}, zones: [us-central1-a]}\n"
        "notify: [{notifier: nobody.Has}]\n"
    )
    found = [str(one) for many in all_mistakes(tmp_path / "include") for one in many.mistakes]
    told = [one for one in found if "notify[" in one]
    assert [one.partition(" ")[0] for one in told] == [
        "include/recipes/web.yaml:4:",
        "include/recipes/web.yaml:5:",
        "include/fleets/web.yaml:3:",
    ]
    assert "SmtpNotifier takes to" in told[0]
    assert "is not a class" in told[1]
    assert "no module nobody" in told[2]
    project = read_project(tmp_path / "include")
    assert (len(project.recipes), len(project.fleets)) == (1, 1)


@pytest.mark.parametrize("message", ["hang", "exit", "interrupt", "fail"])
def test_a_notifier_that_hangs_or_ends_the_process_fails_nobody(
    message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_NOTIFICATIONS", "on")
    if message == "hang":
        monkeypatch.setattr(send, "SECONDS", 0.2)
    channels = [channel("Good", message=message), channel("NotOne"), channel("Good", message="m")]
    assert send.notify(channels, NOTIFICATION) == [f"{HERE}.Good"]
    expected = {"hang": "did not return within", "exit": "3", "interrupt": "KeyboardInterrupt"}
    assert expected.get(message, "ConnectionError") in caplog.text
    assert "NotOne is no subclass of BaseNotifier" in caplog.text


def project_with(tmp_path: Path, *messages: str) -> Path:
    folder = tmp_path / "images"
    write_project(folder)
    channels = [{"notifier": f"{HERE}.Good", "arguments": {"message": one}} for one in messages]
    for file in ("recipes/web.yaml", "fleets/web.yaml"):
        with (folder / "include" / file).open("a") as target:
            target.write(f"notify: {json.dumps(channels)}\n")
    return folder


def bakehouse_notify(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["notify", *words, "--project", str(folder)])


def test_the_notifiers_are_listed_each_once_with_those_who_have_it(tmp_path: Path) -> None:
    done = bakehouse_notify(project_with(tmp_path, "hello"), "--json")
    (row,) = json.loads(done.stdout)
    assert row["of"] == ["recipes/web.yaml", "fleets/web.yaml"]
    assert "result" not in row


def test_a_test_message_is_sent_through_each_and_each_result_is_told(tmp_path: Path) -> None:
    done = bakehouse_notify(project_with(tmp_path, "hello", "exit", "fail"), "--test", "--json")
    assert [row["result"] for row in json.loads(done.stdout)] == ["sent", "3", "ConnectionError"]
    assert done.exit_code == 1


def test_a_test_says_when_notifications_are_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "switched_on", lambda: False)
    done = bakehouse_notify(project_with(tmp_path, "hello"), "--test")
    assert done.exit_code == 0
    assert "bakehouse_notifications is not on" in done.stderr


def test_a_project_without_notifiers_says_so(tmp_path: Path) -> None:
    write_project(tmp_path / "images")
    assert "nobody is notified" in bakehouse_notify(tmp_path / "images", "--test").stderr
