"""`bakehouse diff OLD NEW`: text, data, and one line when something is not known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.manifests import BAKED, MANIFEST
from typer.testing import CliRunner, Result

from bakehouse.cli import app
from bakehouse.history.manifest import Package
from bakehouse.history.manifest_store import write_manifest

OLD, NEW = "web-20261122t0300-aaaaaaa-1111", BAKED.image


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"file://{tmp_path_factory.mktemp('diff')}/ledger"
    before = MANIFEST._replace(packages=(Package("libc6", "2.36-9+deb12u9", "amd64"),))
    write_manifest(url, BAKED.model_copy(update={"image": OLD}), before)
    write_manifest(url, BAKED, MANIFEST)
    return url


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["diff", *arguments])


def test_the_diff_is_printed_as_text(ledger: str) -> None:
    done = diff(OLD, NEW, "--ledger", ledger)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{OLD} -> {NEW}: 1 upgraded (libc6), 3 added (g++, libc6, nginx")
    assert "  libc6 2.36-9+deb12u9 -> 2.36-9+deb12u10 amd64" in lines


def test_json_output_holds_nothing_but_the_diff(ledger: str) -> None:
    command = (
        sys.executable,
        "-m",
        "bakehouse.cli",
        "diff",
        OLD,
        NEW,
        "--json",
        "--ledger",
        ledger,
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    form = json.loads(done.stdout)
    assert (form["old"], form["new"], form["same_packages"]) == (OLD, NEW, False)
    assert form["upgraded"] == [
        {"name": "libc6", "arch": "amd64", "old": "2.36-9+deb12u9", "new": "2.36-9+deb12u10"}
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((OLD, "web-2"), "no manifest of web-2 exists: "),
        (("../x", NEW), "'../x' is not the name of an image"),
        ((OLD, NEW, "--ledger", "nosuch://x/ledger"), ""),
    ],
)
def test_what_is_not_known_is_one_line(ledger: str, arguments: tuple[str, ...], why: str) -> None:
    done = diff("--ledger", ledger, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(why)
    assert len(done.stderr.splitlines()) == 1


def test_the_default_ledger_is_the_one_of_airflow(
    ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(Path(ledger.removeprefix("file://")).parent))
    monkeypatch.delenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", raising=False)
    (tmp_path / "airflow_settings.yaml").write_text("")
    done = diff(OLD, NEW, "--project", str(tmp_path))
    assert done.exit_code == 0, done.stderr
