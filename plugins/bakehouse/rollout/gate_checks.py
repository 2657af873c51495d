"""Ask the checks of a gate that lie outside of the member: HTTP and Prometheus. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.fleet.gate import HttpCheck, PrometheusCheck, filled
from bakehouse.rollout.gates import Gate, http_agrees, prometheus_agrees

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = 100_000  # bytes of an answer


def ask_http(check: HttpCheck, names: Mapping[str, str]) -> Gate:
    """Ask an HTTP check; whatever keeps it from answering is a closed gate with its reason."""
    status, said = _request(check, "GET", filled(check.url, dict(names)))
    return http_agrees(status, said, check.status)


def ask_prometheus(check: PrometheusCheck, names: Mapping[str, str]) -> Gate:
    """Ask a Prometheus server, or what speaks its API (Thanos, Mimir, VictoriaMetrics)."""
    import json

    values = dict(names)
    url = f"{filled(check.url, values).rstrip('/')}/api/v1/query"
    status, said = _request(check, "POST", url, {"query": filled(check.query, values)})
    try:
        answer: Any = json.loads(said)
    except ValueError:
        answer = said if status is None else f"status {status}: {said}"
    return prometheus_agrees(answer, check.expect)


def _request(
    check: HttpCheck | PrometheusCheck, method: str, url: str, data: dict[str, str] | None = None
) -> tuple[int | None, str]:
    """Return status and text; without a status, why there is no answer."""
    import requests

    try:
        with requests.request(
            method,
            url,
            data=data,
            timeout=check.timeout.total_seconds(),
            allow_redirects=False,
            stream=True,
            **_authentication(check.conn_id),
        ) as answer:
            body = next(answer.iter_content(READ), b"")
            return answer.status_code, body.decode("utf-8", "replace")
    except requests.Timeout:
        return None, f"no answer within {check.timeout.total_seconds():.0f} s"
    except Exception as error:  # whatever it is: no answer, no stop
        return None, f"{type(error).__name__}: {error}"


def _authentication(conn_id: str | None) -> dict[str, Any]:
    """Login and password of an Airflow connection, or its password alone as a token."""
    if conn_id is None:
        return {}
    from airflow.sdk import BaseHook

    connection = BaseHook.get_connection(conn_id)
    if connection.login:
        return {"auth": (connection.login, connection.password or "")}
    return {"headers": {"Authorization": f"Bearer {connection.password or ''}"}}
