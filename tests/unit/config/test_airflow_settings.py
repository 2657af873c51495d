"""airflow_settings.yaml: what is read, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.config.airflow_settings import Settings, SettingsError, load_settings, parse_settings

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


@pytest.mark.parametrize("text", ["", "airflow:", "airflow: {connections: [], pools: }"])
def test_nothing_to_read_is_no_mistake(text: str) -> None:
    assert parse_settings(text, "f") == Settings()


CONNECTION = "airflow:\n  connections:\n  - "
TABLE = (Path(__file__).parent / "settings_mistakes.txt").read_text()
"""`## the mistake`, the file, `--`, and what is said of it."""
MISTAKES = {
    name: (text, said.strip())
    for name, _, rest in (part.partition("\n") for part in TABLE.removeprefix("## ").split("\n## "))
    for text, _, said in [rest.partition("\n--\n")]
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_line_value_and_remedy(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "airflow_settings.yaml")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("airflow: \x07", "it contains a control character"),
        ("[" * 3000, "is nested in more than 50 levels"),
        (f"{CONNECTION}conn_id: a\n    conn_extra: '{'[' * 100_000}'", "is nested too deep"),
    ],
)
def test_what_no_person_writes_is_a_mistake_as_well(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_settings(text, "f")


@pytest.mark.parametrize(
    "field", ["conn_password: 012345", "conn_password: 12345", "conn_uri: 12345"]
)
def test_what_may_be_a_secret_is_not_shown(field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(f"{CONNECTION}conn_id: a\n    conn_type: http\n    {field}", "f")
    assert "Write it in quotes" in str(caught.value)
    assert "2345" not in str(caught.value)
    assert "5349" not in str(caught.value)  # 012345 as YAML reads it


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


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^airflow_settings\.yaml:1: the file is missing"):
        load_settings(tmp_path / "airflow_settings.yaml")


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "airflow_settings.yaml"
    file.write_bytes(b"airflow:\n  pools: []  # \xe4\n")
    with pytest.raises(
        SettingsError, match=r"yaml:2: the file is not UTF-8 text\. Save it as UTF-8"
    ):
        load_settings(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsError, match="yaml:1: the file cannot be read"):
        load_settings(file)
