"""A client of Airflow's REST API, for the command line: runs, their tasks and their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.config.running_stack import Server

_SECONDS = 60.0
_PAGE = 100
NOT_FOUND = 404


class AirflowRefused(RuntimeError):
    """Airflow does not answer, or says no; the message is one line with its own words."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Keep the HTTP status; 0: there was no answer."""
        super().__init__(message)
        self.status = status


class AirflowClient:
    """Logs in at the first call. Every call raises AirflowRefused."""

    def __init__(self, server: Server, transport: httpx.BaseTransport | None = None) -> None:
        self._server = server
        self._http = httpx.Client(base_url=server.url, timeout=_SECONDS, transport=transport)
        if server.token:
            self._http.headers["Authorization"] = f"Bearer {server.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def dag_ids(self) -> list[str]:
        """Return the ids of all DAGs."""
        return [str(dag["dag_id"]) for dag in self._pages("/dags", "dags")]

    def runs(self, dag_id: str = "~", run_id: str = "") -> list[dict[str, Any]]:
        """Return the newest runs of a DAG, or of all; `run_id`: those of that id."""
        parameters = {"limit": _PAGE, "order_by": "-run_after"}
        if run_id:
            parameters["run_id_pattern"] = run_id
        found = self._call("GET", f"/dags/{dag_id}/dagRuns", params=parameters)["dag_runs"]
        return [run for run in found if not run_id or run["dag_run_id"] == run_id]

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run as the API has it."""
        found: dict[str, Any] = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        return found

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> dict[str, Any]:
        """Unpause the DAG and start a run of it; returns the run."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
        body = {"logical_date": None, "conf": conf}
        found: dict[str, Any] = self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return found

    def variable(self, key: str) -> str | None:
        """Return the value of a Variable; None if there is none."""
        try:
            return str(self._call("GET", f"/variables/{key}")["value"])
        except AirflowRefused as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def set_variable(self, key: str, value: str, *, known: bool) -> None:
        """Set a Variable; `known`: there is one already."""
        body = {"key": key, "value": value}
        if known:
            self._call("PATCH", f"/variables/{key}", json=body)
        else:
            self._call("POST", "/variables", json=body)

    def delete_variable(self, key: str) -> None:
        """Delete a Variable."""
        self._call("DELETE", f"/variables/{key}")

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run that have begun, in the order in which they did."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        # one that was skipped, or whose upstream has failed, has a start date and no try
        found = [
            task
            for task in self._pages(path, "task_instances")
            if task["start_date"] and task["try_number"]
        ]
        return sorted(found, key=lambda task: str(task["start_date"]))

    def log(self, task: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the lines of a task's last try: `timestamp`, `level` and `event`."""
        path = (
            f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/"
            f"{task['task_id']}/logs/{task['try_number']}"
        )
        parameters = {"map_index": task["map_index"], "full_content": True}
        json_lines = {"Accept": "application/json"}
        found = self._call("GET", path, params=parameters, headers=json_lines)
        for line in found["content"]:
            yield line if isinstance(line, dict) else {"event": str(line)}

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            found = self._call("GET", path, params={"limit": _PAGE, "offset": offset})[key]
            yield from found
            offset += len(found)
            if len(found) < _PAGE:
                return

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        if "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._send(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise AirflowRefused(f"Airflow says no: {_words(answer)}", answer.status_code)
        return answer.json() if answer.content else None

    def _log_in(self) -> None:
        body = {"username": self._server.user, "password": self._server.password}
        answer = self._send("POST", "/auth/token", json=body)
        if answer.is_error:
            raise AirflowRefused(
                f"{self._server.url} refuses the log-in of {self._server.user or 'nobody'}:"
                f" {_words(answer)}",
                answer.status_code,
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise AirflowRefused(f"{self._server.url} does not answer: {error}") from None


def _words(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:300] or answer.reason_phrase
    return " ".join(str(detail).split())
