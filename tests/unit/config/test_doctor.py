"""`bakehouse doctor`: what is there, and one line of remedy for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from bakehouse.config import doctor
from bakehouse.config.doctor import examine
from bakehouse.config.new_project import write_project
from bakehouse.core.check import Check, passed
from bakehouse.history.key_file import make_key

if TYPE_CHECKING:
    from pathlib import Path


def checks(project: Path, **environment: str) -> dict[str, Check]:
    found = examine(project, environment)
    assert all("\n" not in told(check) for check in found)
    return {check.name: check for check in found}


def told(check: Check) -> str:
    """What is wrong and what mends it, in one line."""
    return f"{check.found}: {check.remedy}" if check.remedy else check.found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "images")
    return tmp_path / "images"


def test_a_new_project_lacks_nothing(project: Path) -> None:
    found = checks(project, AIRFLOW_HOME=str(project))
    assert [check for check in found.values() if not check.ok] == []
    assert "1 recipes, 1 fleets" in found["include/"].found


def test_the_airflow_that_is_accepted_is_the_one_that_is_required() -> None:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    required = next(line for line in lines if line.startswith("apache-airflow>"))
    accepted = str(doctor.AIRFLOW).split(",")
    assert set(required.removeprefix("apache-airflow").split(",")) == set(accepted)


def test_an_airflow_out_of_range_is_missing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.4.0")
    found = checks(project)["Airflow"]
    assert not found.ok
    assert "is 3.4.0" in found.found
    assert "pip install" in found.remedy


def test_mistakes_are_counted_and_validate_names_them(project: Path) -> None:
    (project / "include/recipes/typo.yaml").write_text("bsae: x\n")
    (project / "airflow_settings.yaml").write_text("airflw: {}\n")
    found = checks(project)
    assert "1 files have mistakes: bakehouse validate" in told(found["include/"])
    assert "1 mistakes in airflow_settings.yaml: bakehouse validate" in told(found["settings"])
    assert not found["include/"].ok
    assert not found["settings"].ok


def test_a_connection_may_stand_in_the_settings_or_in_the_environment(project: Path) -> None:
    (project / "airflow_settings.yaml").write_text("airflow:\n")
    found = checks(project, AIRFLOW_CONN_BAKEHOUSE_REPO="git://.")
    assert found["bakehouse_repo"].ok
    assert not found["google_cloud_default"].ok
    assert "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT" in found["google_cloud_default"].found


@pytest.mark.parametrize(
    ("url", "ok", "words"),
    [
        ("gs://conn@bucket/ledger", True, "(not tried)"),
        ("file:///dev/null/ledger", False, "airflow variables set bakehouse_ledger"),
        ('"gs://conn@bucket/json"', True, "gs://conn@bucket/json"),
    ],
)
def test_the_ledger_must_be_writable_where_that_can_be_checked(
    project: Path, url: str, ok: bool, words: str
) -> None:
    found = checks(project, AIRFLOW_VAR_BAKEHOUSE_LEDGER=url)["ledger"]
    assert (found.ok, words in told(found)) == (ok, True), told(found)


def test_without_include_the_remedy_is_init(tmp_path: Path) -> None:
    assert "bakehouse init" in checks(tmp_path)["include/"].remedy


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
        ("VAR_BAKEHOUSE_SIGNING_KEY", "gcpkms:k", "is neither a file nor a key of Cloud KMS"),
        ("VAR_BAKEHOUSE_TRUSTED_KEYS", '{"k": "ssh-rsa"}', "k is no public key in PEM"),
        ("VAR_BAKEHOUSE_UNSIGNED_IMAGES", "none", "Write old, refuse, allow, or a date"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(
    project: Path, variable: str, value: str, detail: str
) -> None:
    name = variable.partition("_")[2].lower()
    found = checks(project, **{f"AIRFLOW_{variable}": value})[name]
    assert not found.ok
    assert f"AIRFLOW_{variable}" in found.found
    assert detail in told(found)


def signing_key(project: Path, **environment: str) -> Check:
    return checks(project, AIRFLOW_HOME=str(project), **environment)["signing key"]


def test_the_signing_key_is_made_by_the_first_signature_where_that_is_possible(
    project: Path,
) -> None:
    made = f"{project}/bakehouse/signing-key.pem, made by the first signature"
    assert signing_key(project) == passed("signing key", made)
    (project / "bakehouse").write_text("")
    check = signing_key(project)
    assert not check.ok
    assert "is not writable: airflow variables set bakehouse_signing_key" in told(check)


def test_a_signing_key_that_is_missing_or_open_to_others_is_told(project: Path) -> None:
    file = project / "mounted.pem"
    named = {"AIRFLOW_VAR_BAKEHOUSE_SIGNING_KEY": f"file://{file}"}
    assert "is missing: openssl genpkey" in told(signing_key(project, **named))
    make_key(file)
    assert signing_key(project, **named) == passed("signing key", str(file))
    file.chmod(0o644)
    check = signing_key(project, **named)
    assert not check.ok
    assert f"has the mode 0644: chmod 600 {file}" in told(check)
    file.write_text("secret")
    file.chmod(0o600)
    assert "is no private key in PEM" in told(signing_key(project, **named))


def test_a_key_of_cloud_kms_is_not_tried(project: Path) -> None:
    key = "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    check = signing_key(project, AIRFLOW_VAR_BAKEHOUSE_SIGNING_KEY=key)
    assert (check.ok, check.found) == (True, f"{key} (not tried)")
