"""scripts/with_public_image: the image is begun before .venv, and does not outlive the command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parents[3]
SCRIPT = "scripts/with_public_image"
OURS = (SCRIPT, "devstack/src/devstack/parent_death.py")
# Sets up .venv once the image is being built, or fails.
SETUP = """#!/bin/bash
set -e
echo "setup $*" >>steps
[ "$*" != --packages ] || exit 0
until [ -s building ]; do sleep 0.02; done
exit $(cat setup-code)
"""
BUILD = """
import os, pathlib, time
pathlib.Path("building").write_text(str(os.getpid()))
try:
    time.sleep(120)
except KeyboardInterrupt:
    pathlib.Path("interrupted").touch()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The script, beside a set-up and an image of this test."""
    for path in OURS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / path, tmp_path / path)
    setup = tmp_path / "scripts/setup"
    setup.write_text(SETUP)
    setup.chmod(0o755)
    package = tmp_path / "localgce/src/localgce"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "build_public_image.py").write_text(BUILD)
    return tmp_path


def started(project: Path, command: Sequence[str], setup_code: int = 0) -> subprocess.Popen[bytes]:
    """The script, whose set-up ends with this code."""
    (project / "setup-code").write_text(str(setup_code))
    return subprocess.Popen([str(project / SCRIPT), *command], cwd="/")


def interrupted(project: Path) -> None:
    """Wait until the build has been interrupted, and is gone."""
    wait_until((project / "interrupted").exists, 20, "the build to be interrupted", every=0.02)
    pid = int((project / "building").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "its end", every=0.02)


def test_the_image_is_begun_before_set_up_and_ends_with_the_command(project: Path) -> None:
    script = started(project, ["sh", "-c", "test -s building && exit 7"])
    assert script.wait(60) == 7
    assert (project / "steps").read_text() == "setup --packages\nsetup \n"
    interrupted(project)


def test_a_failed_set_up_ends_the_image(project: Path) -> None:
    script = started(project, ["touch", "ran"], setup_code=3)
    assert script.wait(60) == 3
    interrupted(project)
    assert not (project / "ran").exists()


def test_a_killed_command_ends_the_image(project: Path) -> None:
    script = started(project, ["sleep", "120"])
    wait_until((project / "building").exists, 20, "the build", every=0.02)
    os.kill(script.pid, signal.SIGKILL)
    script.wait(60)
    interrupted(project)


def test_the_command_runs_where_no_image_can_be_built(project: Path) -> None:
    (project / "localgce/src/localgce/build_public_image.py").write_text("raise SystemExit('no')")
    (project / "building").write_text("nothing")
    assert started(project, ["true"]).wait(60) == 0
