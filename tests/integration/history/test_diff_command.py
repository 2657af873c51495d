"""`bakehouse diff OLD NEW`: text, data, and one line when something is not known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.connections import commit_all
from tests.support.events import bake, fixes, replaced, update
from tests.support.manifests import BAKED, MANIFEST
from typer.testing import CliRunner, Result

from bakehouse.cli import app
from bakehouse.history.ledger import Ledger
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


def commit(folder: Path) -> str:
    """The hash of a commit of everything."""
    commit_all(folder, "Change")
    command = ("git", "-C", str(folder), "rev-parse", "HEAD")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


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
        {
            "name": "libc6",
            "arch": "amd64",
            "old": "2.36-9+deb12u9",
            "new": "2.36-9+deb12u10",
            "security": False,
        }
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


def test_what_a_member_runs_against_an_image_with_base_vars_scripts_and_security_marked(
    ledger: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "include/recipes/web.yaml"
    script = tmp_path / "include/startup_scripts/web/install.sh.j2"
    for file in (recipe, script):
        file.parent.mkdir(parents=True)
    recipe.write_text("base: debian-cloud/debian-12\nvars: {page: old, port: 80}\n")
    script.write_text("echo old\n")
    (tmp_path / "airflow_settings.yaml").touch()
    before = commit(tmp_path)
    recipe.write_text("base: debian-cloud/debian-12\nvars: {page: new, port: 80}\n")
    script.write_text("echo new\n")
    (script.parent / "logo.png").write_bytes(b"\xff\x00")
    after = commit(tmp_path)
    fix = update("libc6", "2.36-9+deb12u10", "2.36-9+deb12u9")
    for event in (
        bake(OLD, sha=before, base_image="debian-12-1"),
        bake(NEW, 1, sha=after, base_image="debian-12-2", vars={"port": 81}),
        fixes(OLD, fix),
        replaced(OLD, "web-1", ""),
    ):
        Ledger(ledger).write(event)
    arguments = ("web-1", NEW, "--ledger", ledger, "--project", str(tmp_path))
    done = diff(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["old"], found["new"]) == (OLD, NEW)
    assert [one["security"] for one in found["upgraded"]] == [True]
    assert found["base"] == ["debian-12-1", "debian-12-2"]
    assert found["commit"] == [before, after]
    assert found["vars"] == [
        {"name": "page", "old": "old", "new": "new"},
        {"name": "port", "old": "80", "new": "81"},
    ]
    told = diff(*arguments).stdout
    assert "libc6 2.36-9+deb12u9 -> 2.36-9+deb12u10 amd64 (security)" in told
    path = "include/startup_scripts/web"
    assert f"--- a/{path}/install.sh.j2\n+++ b/{path}/install.sh.j2\n" in told
    assert "\n-echo old\n+echo new\n" in told
    assert f"Binary files /dev/null and b/{path}/logo.png differ" in told
    assert "used on disk: " in told


def test_scripts_that_cannot_be_read_are_told(ledger: str, tmp_path: Path) -> None:
    Ledger(ledger).write(bake(OLD, 5, sha="e" * 40))
    (tmp_path / "include").mkdir()
    (tmp_path / "airflow_settings.yaml").touch()
    done = diff(OLD, NEW, "--ledger", ledger, "--project", str(tmp_path))
    assert done.exit_code == 0, done.stderr
    assert "recipe and scripts: unknown, " in done.stdout
