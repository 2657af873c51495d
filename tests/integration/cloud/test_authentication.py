"""Whatever is wrong with a connection leaves as an error of Bakehouse that says which one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.exceptions import RefreshError, TransportError

from bakehouse.cloud.calls import unauthenticated
from bakehouse.cloud.compute_hook import ComputeHook, hook_of
from bakehouse.core.errors import BakehouseError, PermanentError, TransientError

if TYPE_CHECKING:
    from pathlib import Path

CONN = "broken_google"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def connection(**extra: Any) -> None:
        text = json.dumps({"conn_type": "google_cloud_platform", "extra": extra})
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN.upper()}", text)

    return connection


def look() -> None:
    ComputeHook(gcp_conn_id=CONN).image("web-1")


def test_a_key_file_that_is_missing(connect: Any) -> None:
    connect(project="p", key_path="/nowhere/key.json")
    with pytest.raises(
        PermanentError, match=rf"{CONN}.*/nowhere/key\.json.*correct the connection"
    ):
        look()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"type": "service_account"}', "\xff"])
def test_a_key_file_of_any_content(connect: Any, tmp_path: Path, text: str) -> None:
    key = tmp_path / "key.json"
    key.write_text(text, encoding="latin-1")
    connect(project="p", key_path=str(key))
    with pytest.raises(PermanentError, match=CONN):
        look()


@pytest.mark.parametrize(
    "extra",
    [
        {"project": "p", "keyfile_dict": "not json"},
        {"project": "p", "keyfile_dict": {"type": "service_account", "client_email": "x"}},
        {"project": "p", "credential_config_file": "/nowhere/config.json"},
        {"project": "p", "key_path": "/"},
    ],
)
def test_other_ways_to_break_credentials(connect: Any, extra: dict[str, Any]) -> None:
    connect(**extra)
    with pytest.raises(BakehouseError, match=CONN):
        look()


def test_a_connection_that_is_not_there() -> None:
    with pytest.raises(PermanentError, match="no_such_connection"):
        hook_of("no_such_connection")


def test_a_token_server_that_does_not_answer_is_another_try() -> None:
    lost, refused = TransportError("reset"), RefreshError("invalid_grant")  # type: ignore[no-untyped-call]
    assert type(unauthenticated(lost, "list images")) is TransientError
    assert type(unauthenticated(refused, "list images")) is PermanentError
