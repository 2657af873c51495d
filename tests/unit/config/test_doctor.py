"""`bakehouse doctor`: what is there, and one line of remedy for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from bakehouse.config import doctor
from bakehouse.config.doctor import Check, examine
from bakehouse.config.new_project import write_project

if TYPE_CHECKING:
    from pathlib import Path


def checks(project: Path, **environment: str) -> dict[str, Check]:
    found = examine(project, environment)
    assert all("\n" not in check.detail for check in found)
    return {check.name: check for check in found}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def test_a_new_project_lacks_nothing(project: Path) -> None:
    found = checks(project, AIRFLOW_HOME=str(project))
    assert [check for check in found.values() if not check.ok] == []
    assert "1 recipes, 1 fleets" in found["include/"].detail


def test_the_airflow_that_is_accepted_is_the_one_that_is_required() -> None:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    required = next(line for line in lines if line.startswith("apache-airflow>"))
    accepted = str(doctor.AIRFLOW).split(",")
    assert set(required.removeprefix("apache-airflow").split(",")) == set(accepted)


def test_an_airflow_out_of_range_is_missing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.4.0")
    found = checks(project)["Airflow"]
    assert not found.ok
    assert "is 3.4.0" in found.detail
    assert "pip install" in found.detail


def test_mistakes_are_counted_and_validate_names_them(project: Path) -> None:
    (project / "include/recipes/typo.yaml").write_text("bsae: x\n")
    (project / "airflow_settings.yaml").write_text("airflw: {}\n")
    found = checks(project)
    assert "1 files have mistakes: bakehouse validate" in found["include/"].detail
    assert "1 mistakes in airflow_settings.yaml: bakehouse validate" in found["settings"].detail
    assert not found["include/"].ok
    assert not found["settings"].ok


def test_a_connection_may_stand_in_the_settings_or_in_the_environment(project: Path) -> None:
    (project / "airflow_settings.yaml").write_text("airflow:\n")
    found = checks(project, AIRFLOW_CONN_BAKEHOUSE_REPO="git://.")
    assert found["bakehouse_repo"].ok
    assert not found["google_cloud_default"].ok
    assert "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT" in found["google_cloud_default"].detail


@pytest.mark.parametrize(
    ("url", "ok", "words"),
    [
        ("gs://conn@bucket/ledger", True, "(not tried)"),
        ("file:///dev/null/ledger", False, "set the Variable bakehouse_ledger"),
        ('"gs://conn@bucket/json"', True, "gs://conn@bucket/json"),
    ],
)
def test_the_ledger_must_be_writable_where_that_can_be_checked(
    project: Path, url: str, ok: bool, words: str
) -> None:
    found = checks(project, AIRFLOW_VAR_BAKEHOUSE_LEDGER=url)["ledger"]
    assert (found.ok, words in found.detail) == (ok, True), found.detail


def test_without_include_the_remedy_is_init(tmp_path: Path) -> None:
    assert "bakehouse init" in checks(tmp_path)["include/"].detail


@pytest.mark.parametrize(
    ("variable", "value", "detail"),
    [
        ("CONN_BAKEHOUSE_REPO", "/srv/repo", "is neither a URI nor JSON: write TYPE://"),
        ("CONN_BAKEHOUSE_REPO", "https://x/y.git", "is not the type that Bakehouse needs here: "),
        ("CONN_BAKEHOUSE_REPO", '{"conn_type": "git"', "is not JSON: Expecting ',' delimiter"),
        ("CONN_BAKEHOUSE_REPO", '{"type": "git"}', "has no conn_type: write git"),
        ("VAR_BAKEHOUSE_BULDERS", "8", "(it is '8'): Did you mean bakehouse_builders?"),
        ("VAR_BAKEHOUSE_BUILDERS", "many", "is not a whole number of 1 or more (it is 'many')"),
        ("VAR_BAKEHOUSE_NOTIFICATIONS", "enabled", "is neither on nor off (it is 'enabled')"),
        ("VAR_BAKEHOUSE_SNAPSHOT_URL", "mirror/x", "is not a URL of http:// or https://"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(
    project: Path, variable: str, value: str, detail: str
) -> None:
    name = variable.partition("_")[2].lower()
    found = checks(project, **{f"AIRFLOW_{variable}": value})[name]
    assert not found.ok
    assert f"AIRFLOW_{variable}" in found.detail
    assert detail in found.detail
