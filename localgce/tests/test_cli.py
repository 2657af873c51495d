"""The command line: invalid arguments and states are reported in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .gce import Gce


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`localgce ...`, to its end."""
    command = [sys.executable, "-m", "localgce", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def serve(state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A `serve` that cannot start."""
    return run("serve", "--state", str(state), "--project", "demo", *options)


def test_a_port_in_use_is_named(instant: Gce, tmp_path: Path) -> None:
    port = instant.base.rsplit(":", 1)[1]
    done = serve(tmp_path / "state", "--machines", "instant", "--port", port)
    assert done.returncode == 1
    line = f"localgce: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert done.stderr == line


def test_an_invalid_state_database_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "state"
    broken.mkdir()
    (broken / "state.sqlite").write_text("no database at all, but long enough to be read as one")
    done = serve(broken, "--machines", "instant", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == "localgce: the state folder cannot be used: file is not a database\n"


def test_a_state_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = serve(file, "--machines", "instant", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("localgce: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--machines", "paper"],
        ["--port", "70000", "--machines", "instant"],
        ["--clock", "sun", "--machines", "instant"],
        ["--guest", "guest.py", "--machines", "qemu"],
        ["--clock-rate", "20", "--machines", "qemu"],
        ["--clock-rate", "20", "--clock", "manual", "--machines", "instant"],
        ["--clock-rate", "0", "--machines", "instant"],
    ],
)
def test_invalid_options_are_rejected(tmp_path: Path, options: list[str]) -> None:
    done = serve(tmp_path / "state", *options)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_an_image_that_is_not_built_here_has_to_be_imported() -> None:
    done = run("image", "windows-95")
    assert done.returncode == 1
    assert done.stderr.startswith("localgce: windows-95 is none of debian-12, debian-13; ")
    assert "localgce image import FILE" in done.stderr


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"localgce {version('localgce')}\n"
