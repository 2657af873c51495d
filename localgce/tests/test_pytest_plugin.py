"""The fixture that other projects use with one line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localgce.pytest_plugin import running

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import json, urllib.error, urllib.request
import pytest

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def zones(server):
    with OPEN(f"{server.url}/compute/v1/projects/{server.project}/zones") as answer:
        return [zone["name"] for zone in json.load(answer)["items"]]


def test_a_server_answers(localgce):
    assert "us-central1-a" in zones(localgce)
    assert localgce.url in localgce.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"]


def test_a_fault_lasts_as_long_as_the_test(localgce_faults):
    localgce_faults.fault(kind="http", method="compute.zones.list", status=503)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        zones(localgce_faults)


def test_the_fault_is_gone(localgce):
    assert zones(localgce)
"""


def test_another_project_uses_the_fixture_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["localgce.pytest_plugin"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_theirs.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_theirs.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    wrong = running(tmp_path / "state", "--clock", "sundial")
    with pytest.raises(RuntimeError, match="--clock is real or manual"), wrong:
        pass
