"""`bakehouse trigger` and `bakehouse logs`, against an API that answers as Airflow's does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tests.support.http_servers import SilentHandler, running
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from bakehouse.config.running_stack import NoStack, server_of, stack_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

RUN = {"dag_id": "bake__web", "dag_run_id": "manual__1", "state": "success", "conf": {}}
TASK = {
    "dag_id": "bake__web",
    "dag_run_id": "manual__1",
    "task_id": "plan_bake",
    "map_index": -1,
    "state": "success",
    "try_number": 2,
    "start_date": "2026-11-27T03:00:00Z",
}
LINE = {"timestamp": "2026-11-27T03:00:01Z", "level": "info", "event": "will bake web-1"}


class Api(SilentHandler):
    posted: ClassVar[list[Any]] = []
    password: ClassVar[str] = "secret"
    variables: ClassVar[dict[str, str]] = {}

    def answer(self, form: object, status: int = 200) -> None:
        self.respond(json.dumps(form).encode(), status)

    def form(self) -> Any:
        return json.loads(self.body())

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/api/v2")
        runs = "/dags/bake__web/dagRuns"
        answers: dict[str, object] = {
            "/dags": {"dags": [{"dag_id": "bake__web"}, {"dag_id": "roll_out__web"}]},
            runs: {"dag_runs": [RUN]},
            "/dags/roll_out__web/dagRuns": {"dag_runs": []},
            "/dags/~/dagRuns": {"dag_runs": [RUN]},
            f"{runs}/manual__1": RUN,
            f"{runs}/manual__1/taskInstances": {
                "task_instances": [
                    TASK,
                    {**TASK, "task_id": "later", "start_date": None},
                    {**TASK, "task_id": "skipped", "state": "upstream_failed", "try_number": 0},
                ]
            },
            f"{runs}/manual__1/taskInstances/plan_bake/logs/2": {
                "content": [
                    {"event": "::group::Log message source details"},
                    {"event": "/opt/airflow/logs/attempt=2.log"},
                    {**LINE, "event": "::endgroup::"},
                    LINE,
                    {**LINE, "event": "::group::3 lines of the kernel and of systemd"},
                    *({**LINE, "event": f"  │ [    0.00000{n}] pci"} for n in range(3)),
                    {**LINE, "event": "::endgroup::"},
                ]
            },
        }
        key = path.removeprefix("/variables/")
        if key in self.variables:
            answers[path] = {"key": key, "value": self.variables[key]}
        found = answers.get(path)
        self.answer(found or {"detail": "not found"}, 200 if found else 404)

    def do_POST(self) -> None:
        form = self.form()
        if self.path == "/auth/token":
            good = form["password"] == self.password
            return self.answer(
                {"access_token": "t"} if good else {"detail": "no"}, 201 if good else 401
            )
        if self.path == "/api/v2/variables":
            self.variables[form["key"]] = form["value"]
            return self.answer(form, 201)
        self.posted.append(form)
        if form["conf"].get("git_ref") == "-x":
            return self.answer({"detail": "Invalid input for param git_ref"}, 400)
        return self.answer(RUN)

    def do_PATCH(self) -> None:
        form = self.form()
        if "/variables/" in self.path:
            self.variables[form["key"]] = form["value"]
        self.answer({})

    def do_DELETE(self) -> None:
        del self.variables[self.path.rpartition("/")[2]]
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project whose stack answers."""
    folder = tmp_path / "images"
    write_project(folder)
    Api.posted.clear()
    Api.variables.clear()
    with running(Api) as port:
        up = folder / ".bakehouse" / "up"
        up.mkdir(parents=True)
        (up / "stack.json").write_text(json.dumps({"airflow_port": port}))
        (up / "passwords.json").write_text(json.dumps({"admin": Api.password}))
        yield folder


def bakehouse(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--project", str(project)])


def test_a_run_is_started_with_the_fields_given(project: Path) -> None:
    done = bakehouse(project, "trigger", "bake__web", "git_ref=main", "force=true", "vars={a: 1}")
    assert done.exit_code == 0, done.output
    assert done.stdout == "bake__web manual__1\n"
    conf = {"git_ref": "main", "force": True, "vars": {"a": 1}}
    assert Api.posted == [{"logical_date": None, "conf": conf}]


def test_waiting_ends_with_the_run_and_its_state(project: Path) -> None:
    done = bakehouse(project, "trigger", "bake__web", "--wait", "--json")
    assert json.loads(done.stdout)["state"] == "success"
    assert done.exit_code == 0


def test_no_run_is_started_of_a_dag_that_does_not_exist(project: Path) -> None:
    done = bakehouse(project, "trigger", "bake__wib")
    assert "did you mean 'bake__web'?" in done.stderr
    assert not Api.posted


def test_what_airflow_refuses_is_told_in_its_words(project: Path) -> None:
    done = bakehouse(project, "trigger", "bake__web", "git_ref=-x")
    assert done.exit_code == 1
    assert "Invalid input for param git_ref" in done.stderr


@pytest.mark.parametrize("run", ["manual__1", "bake__web"])
def test_logs_are_those_of_the_run_or_of_the_newest_run_of_a_dag(project: Path, run: str) -> None:
    told = bakehouse(project, "logs", run).stdout.splitlines()
    assert told == [
        "── plan_bake: success, try 2",
        "03:00:01Z  will bake web-1",
        "03:00:01Z    │ … 3 lines of the kernel and of systemd",
        "bake__web manual__1: success",
    ]


def test_logs_are_json_for_programs(project: Path) -> None:
    lines = bakehouse(project, "logs", "manual__1", "--json").stdout.splitlines()
    assert {"task": "plan_bake", "try": 2, **LINE} in map(json.loads, lines)
    assert len(lines) == 9, "of folded lines too"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("logs", "manual__2"), "did you mean 'manual__1'?"),
        (("logs", "roll_out__web"), "has no run yet"),
        (("logs", "manual__1", "--task", "plan"), "no task plan has begun"),
    ],
)
def test_logs_that_do_not_exist_are_told_in_one_line(
    project: Path, words: tuple[str, ...], told: str
) -> None:
    done = bakehouse(project, *words)
    assert done.exit_code == 1
    assert told in done.stderr


def test_a_stack_that_is_down_is_told_in_one_line(project: Path) -> None:
    record = project / ".bakehouse/up/stack.json"
    record.write_text(json.dumps({"airflow_port": 9}))
    done = bakehouse(project, "logs", "manual__1")
    assert done.exit_code == 1
    assert "does not answer" in done.stderr


def test_a_wrong_password_is_told(project: Path) -> None:
    (project / ".bakehouse/up/passwords.json").write_text('{"admin": "wrong"}')
    assert "refuses the log-in of admin" in bakehouse(project, "logs", "manual__1").stderr


def test_another_airflow_is_named_by_the_environment(tmp_path: Path) -> None:
    with pytest.raises(NoStack):
        server_of(tmp_path, {})
    other = {"BAKEHOUSE_AIRFLOW_URL": "https://a.example/", "BAKEHOUSE_AIRFLOW_TOKEN": "t"}
    assert server_of(tmp_path, other)[:2] == ("https://a.example", "t")


def test_the_environment_of_a_stack_is_what_it_has_left(project: Path) -> None:
    assert stack_environment(project) is None
    (project / ".bakehouse/up/environment.json").write_text('{"AIRFLOW_HOME": "/x"}')
    assert stack_environment(project) == {"AIRFLOW_HOME": "/x"}


def test_a_freeze_says_who_and_why_until_it_is_ended(project: Path) -> None:
    assert bakehouse(project, "freeze").stdout == "not frozen\n"
    done = bakehouse(project, "freeze", "ann", "the", "quarter ends")
    assert (done.exit_code, done.stdout) == (0, "frozen by ann: the quarter ends\n")
    said = {"who": "ann", "why": "the quarter ends"}
    assert json.loads(Api.variables["bakehouse_freeze"]) == said
    assert bakehouse(project, "freeze", "bob", "a move").exit_code == 0, "the newest counts"
    assert bakehouse(project, "freeze").stdout == "frozen by bob: a move\n"
    ended = bakehouse(project, "unfreeze")
    assert ended.stdout == "not frozen any more; it was frozen by bob: a move\n"
    assert Api.variables == {}
    assert bakehouse(project, "unfreeze").stdout == "nothing was frozen\n"


@pytest.mark.parametrize("words", [["ann"], ["ann", " "], ["", "why"]])
def test_a_freeze_without_who_or_why_is_refused(project: Path, words: list[str]) -> None:
    done = bakehouse(project, "freeze", *words)
    assert done.exit_code == 2
    assert "say who and why, such as: bakehouse freeze ann" in done.stderr
    assert Api.variables == {}
