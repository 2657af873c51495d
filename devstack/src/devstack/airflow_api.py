"""A client of Airflow's REST API, as far as the demo and the tests on a scheduler need it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TERMINAL_RUN = frozenset({"success", "failed"})
NOT_FAILED = frozenset({"success", "skipped", "removed", "upstream_failed", None})
TIMEOUT = 120  # seconds for an answer: on a busy machine the API server waits for SQLite
# while another process holds the lock of SQLite; in seconds
LOCKED_DEADLINE, LOCKED_RETRY = 60.0, 2.0


class AirflowError(RuntimeError):
    """Airflow refused a call, or a DAG or run is not as the caller needs it."""


@dataclass(frozen=True)
class Run:
    """One DAG run; `start` and `end` are None until it starts and ends."""

    dag_id: str
    run_id: str
    state: str
    start: datetime | None
    end: datetime | None
    conf: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One task instance; `state` None: not scheduled yet, `map_index` -1: not mapped."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start: datetime | None
    end: datetime | None

    @property
    def seconds(self) -> float | None:
        """From the start of the latest try to its end, waiting included."""
        if self.start is None or self.end is None:
            return None
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True)
class Line:
    """One line of a task's log."""

    time: datetime | None
    level: str
    text: str
    fields: dict[str, Any]


class Airflow:
    """A logged-in client. Every call raises AirflowError with Airflow's own message."""

    def __init__(
        self, url: str, user: str, password: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._client = httpx.Client(
            base_url=url, timeout=TIMEOUT, trust_env=False, transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, path: str, api: str = "/api/v2", **arguments: Any) -> Any:
        """The answer's JSON; logs in at the first call and when the token has expired.

        `api` is "/ui" for what only the pages ask for.
        """
        if "Authorization" not in self._client.headers:
            self._log_in()
        answer = self._send(method, f"{api}{path}", **arguments)
        if answer.status_code == 401:
            self._log_in()
            answer = self._send(method, f"{api}{path}", **arguments)
        if _is_locked(answer):
            answer = self._send_until_unlocked(method, f"{api}{path}", **arguments)
        if answer.is_error:
            raise AirflowError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def _log_in(self) -> None:
        answer = self._send("POST", "/auth/token", json=self._login)
        if answer.is_error:
            raise AirflowError(f"log-in refused: {answer.status_code} {answer.text[:200]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _send_until_unlocked(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answers: list[httpx.Response] = []

        def unlocked() -> bool:
            answers[:] = [self._send(method, path, **arguments)]
            return not _is_locked(answers[0])

        with suppress(DeadlineExceeded):  # the refusal is the answer then
            wait_until(unlocked, LOCKED_DEADLINE, "SQLite's lock", every=LOCKED_RETRY)
        return answers[0]

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise AirflowError(f"{method} {path}: no answer: {error}") from error

    # DAGs

    def dags(self) -> dict[str, bool]:
        """Every DAG that was parsed -> whether it is paused."""
        found = self.call("GET", "/dags", params={"limit": 1000, "exclude_stale": True})["dags"]
        return {dag["dag_id"]: dag["is_paused"] for dag in found}

    def import_errors(self) -> list[str]:
        """File and last line of the traceback of each DAG file that cannot be imported."""
        found = self.call("GET", "/importErrors")["import_errors"]
        return [f"{e['filename']}: {_tail(e['stack_trace'])}" for e in found]

    def wait_for_dag(self, dag_id: str, deadline: float) -> None:
        """Until the DAG is parsed; an import error ends the wait at once."""

        def parsed() -> bool:
            errors = self.import_errors()
            if errors:
                raise AirflowError(f"a DAG file cannot be imported: {'; '.join(errors)}")
            return dag_id in self.dags()

        wait_until(parsed, deadline, f"the DAG {dag_id} to be parsed")

    def reparse(self, dag_id: str) -> None:
        """Have the file of this DAG, and so every DAG that it defines, parsed again now."""
        token = self.call("GET", f"/dags/{dag_id}")["file_token"]
        self.call("PUT", f"/parseDagFile/{token}")

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    # runs

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run of the DAG, which is unpaused for it; returns its run id."""
        self.unpause(dag_id)
        body = {"logical_date": None, "conf": conf or {}}
        run_id: str = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def run(self, dag_id: str, run_id: str) -> Run:
        """One run of the DAG; AirflowError when there is none."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        return Run(
            dag_id,
            run_id,
            found["state"],
            _when(found["start_date"]),
            _when(found["end_date"]),
            found.get("conf") or {},
        )

    def runs(self, dag_id: str) -> list[str]:
        """The ids of the DAG's runs, at most 100."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100})
        return [run["dag_run_id"] for run in found["dag_runs"]]

    def wait(
        self,
        dag_id: str,
        run_id: str,
        deadline: float,
        watch: Callable[[list[Task]], None] | None = None,
    ) -> Run:
        """Until the run has ended, well or not; `watch` gets its tasks about once a second."""
        ended: list[Run] = []

        def over() -> bool:
            # the run first: what `watch` sees at last is then the state at the end
            run = self.run(dag_id, run_id)
            if watch is not None:
                watch(self.tasks(dag_id, run_id))
            if run.state in TERMINAL_RUN:
                ended.append(run)
            return bool(ended)

        wait_until(over, deadline, f"the run {run_id} of {dag_id} to end", every=1.0)
        return ended[0]

    # tasks

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        """The task instances of a run, mapped ones too, at most 1000."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self.call("GET", path, params={"limit": 1000})["task_instances"]
        return [
            Task(
                ti["task_id"],
                ti["map_index"],
                ti["state"],
                ti["try_number"],
                _when(ti["start_date"]),
                _when(ti["end_date"]),
            )
            for ti in found
        ]

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Unmapped tasks by their id, a mapped one as `id[index]`."""
        return {
            task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]": task.state
            for task in self.tasks(dag_id, run_id)
        }

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Sequence[str], deadline: float
    ) -> None:
        """Until the task is in one of the states; the end of the run ends the wait too."""

        def there() -> bool:
            state = self.states(dag_id, run_id).get(task_id)
            if state in states:
                return True
            if self.run(dag_id, run_id).state in TERMINAL_RUN:
                raise AirflowError(f"{run_id} has ended with {task_id} {state}, not {states}")
            return False

        wait_until(there, deadline, f"{task_id} of {run_id} to be {' or '.join(states)}")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """An XCom as Python value: JSON in a string is parsed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        value = self.call("GET", path, params={"deserialize": False, "stringify": False})["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value

    def log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> list[Line]:
        """The lines of one try; none while it has not written any."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        params = {"map_index": map_index, "full_content": True}
        found = self.call("GET", path, params=params, headers={"Accept": "application/json"})
        return [_line(entry) for entry in found["content"]]

    def explain(self, dag_id: str, run_id: str, most: int = 30) -> str:
        """The states of a run, the last log lines of its failed tasks, and its event log."""
        unfinished = [task for task in self.tasks(dag_id, run_id) if task.state not in NOT_FAILED]
        parts = [f"{run_id} of {dag_id}: {self.states(dag_id, run_id)}"]
        for task in unfinished:
            lines = self.log(dag_id, run_id, task.task_id, max(task.try_number, 1), task.map_index)
            name = f"{task.task_id}[{task.map_index}]"
            parts.append(f"--- {name} {task.state}, try {task.try_number}")
            parts += [f"{line.level}: {line.text} {line.fields or ''}" for line in lines[-most:]]
        events = self.call("GET", "/eventLogs", params={"dag_id": dag_id, "run_id": run_id})
        parts += [
            f"event log: {e['event']} {e['task_id']} {e['extra']}" for e in events["event_logs"]
        ]
        return "\n".join(parts)

    def clear(
        self, dag_id: str, run_id: str, task_ids: Sequence[str], *, downstream: bool = False
    ) -> list[str]:
        """Let the tasks run again; returns the ids of all that will."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        found = self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)
        return [ti["task_id"] for ti in found["task_instances"]]


def _is_locked(answer: httpx.Response) -> bool:
    """SQLite refused before anything was written; Airflow reports it in two ways."""
    locked = answer.status_code == 503 and "locked" in answer.text
    return locked or (answer.status_code == 500 and "Database error" in answer.text)


def _line(entry: dict[str, Any] | str) -> Line:
    if isinstance(entry, str):
        return Line(None, "info", entry, {})
    fields = {k: v for k, v in entry.items() if k not in {"timestamp", "level", "event"}}
    when = _when(entry.get("timestamp"))
    return Line(when, str(entry.get("level") or "info"), str(entry.get("event", "")), fields)


def _when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _tail(trace: str) -> str:
    lines = [line for line in trace.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"
