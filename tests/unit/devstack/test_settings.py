"""airflow_settings.yaml: what is read, and how each mistake is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import PROJECT

from bakehouse.config.airflow_settings import Settings, SettingsError, load_settings, parse_settings
from devstack.settings import with_endpoint

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
airflow:
  connections:
    - conn_id: db
      conn_type: postgres
      conn_host: h
      conn_schema: s
      conn_login: l
      conn_password: "p"
      conn_port: 5432
      conn_extra: {sslmode: require}
    - conn_id: by_uri
      conn_uri: "http://x"
    - conn_id: json
      conn_type: http
      conn_extra: '{"camelCase": 1}'
    - conn_id:
      conn_type:
  pools:
    - pool_name: builders
      pool_slot: 3
      pool_description: at a time
  variables:
    - variable_name: v
      variable_value: "7"
"""


def test_all_three_kinds_are_read() -> None:
    settings = parse_settings(WHOLE, "f")
    assert settings.connections == {
        "db": {
            "conn_type": "postgres",
            "host": "h",
            "schema": "s",
            "login": "l",
            "password": "p",
            "port": 5432,
            "extra": {"sslmode": "require"},
        },
        "by_uri": "http://x",
        "json": {"conn_type": "http", "extra": {"camelCase": 1}},
    }
    assert settings.pools == {"builders": (3, "at a time")}
    assert settings.variables == {"v": "7"}


@pytest.mark.parametrize("text", ["", "airflow:", "airflow: {connections: [], pools:}"])
def test_nothing_to_read_is_no_mistake(text: str) -> None:
    assert parse_settings(text, "f") == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("airflow: [", "f:1: is not YAML"),
        ("- a", "f:1: the file must be a mapping"),
        ("airflw: {}", "f:1: the file has no key 'airflw'; known: airflow"),
        ("airflow:\n  conections: []", "f:2: airflow has no key 'conections'"),
        ("airflow:\n  pools: 3", "f:2: airflow.pools must be a list"),
        ("airflow:\n  pools:\n  - pool_slot: 3", "f:3: an entry of pools has no pool_name"),
        ("airflow:\n  pools:\n  - pool_name: a", "f:3: the pool has no pool_slot"),
        (
            "airflow:\n  pools:\n  - pool_name: a\n    pool_slot: x",
            "f:4: pool_slot must be a whole number from -1 to 1000000, not 'x'",
        ),
        (
            "airflow:\n  variables:\n  - variable_name: a\n    variable_value: 7",
            "f:4: variable_value must be text; put quotes around '7'",
        ),
        ("airflow:\n  variables:\n  - variable_name: a", "f:3: the variable has no variable_value"),
        (
            "airflow:\n  connections:\n  - conn_id: a",
            "f:3: the connection has neither conn_type nor conn_uri",
        ),
        (
            "airflow:\n  connections:\n  - {conn_id: a, conn_type: b, conn_uri: c}",
            "f:3: conn_uri and conn_type exclude each other",
        ),
        (
            "airflow:\n  connections:\n  - conn_id: a\n    conn_type: b\n    conn_port: 70000",
            "f:5: conn_port must be a whole number from 1 to 65535, not 70000",
        ),
        (
            "airflow:\n  connections:\n  - conn_id: a\n    conn_type: b\n    conn_extra: |\n"
            '      {"a": 1,\n       "b" 2}',
            "f:7: conn_extra is not JSON: Expecting ':' delimiter",
        ),
        (
            "airflow:\n  connections:\n  - conn_id: a\n    conn_type: b\n    conn_extra: [1]",
            "f:5: conn_extra must be a mapping",
        ),
        (
            "airflow:\n  connections:\n  - {conn_id: a, conn_uri: b}\n"
            "  - {conn_id: a, conn_uri: b}",
            "f:4: conn_id 'a' is defined twice",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "f")
    assert [m for m in caught.value.mistakes if m.startswith(said)], caught.value.mistakes
    assert len(caught.value.mistakes) == 1


def test_every_mistake_is_told_at_once() -> None:
    text = "airflow:\n  pools:\n  - pool_name: a\n  variables:\n  - variable_name: a\n  x: 1"
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "f")
    assert len(caught.value.mistakes) == 3


@given(st.text(max_size=200))
def test_no_text_ends_otherwise_than_in_settings_or_mistakes(text: str) -> None:
    found: object
    try:
        found = parse_settings(text, "f")
    except SettingsError as error:
        found = error.mistakes
    assert isinstance(found, Settings) or found


def test_the_endpoint_goes_in_and_the_rest_stays() -> None:
    settings = with_endpoint(
        load_settings(PROJECT / "airflow_settings.yaml"), "http://here", "other"
    )
    google = settings.connections["google_cloud_default"]
    assert isinstance(google, dict)
    assert google["extra"] == {
        "project": "bakehouse-local",
        "is_anonymous": True,
        "api_endpoint": "http://here",
        "poll_interval": 1,
        "reads_per_minute": 1200,
    }
    assert settings.connections["bakehouse_repo"] == {"conn_type": "git", "host": "."}


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is missing"):
        load_settings(tmp_path / "airflow_settings.yaml")
