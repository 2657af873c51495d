"""The wheel of this checkout, installed in an environment that does not see the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

SITE = Path(sysconfig.get_path("purelib"))
OURS = ("bakehouse", "__editable__", "localgce")  # what of SITE belongs to this checkout
SECONDS = 240


@dataclass(frozen=True)
class Installed:
    """An environment in which the wheel is installed, or the dependencies only."""

    folder: Path
    wheel: Path | None

    def run(
        self, program: str, *arguments: str | Path, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A program of the environment; it sees nothing of this process's Airflow or Python."""
        foreign = ("AIRFLOW", "PYTHON", "BAKEHOUSE")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            env={**inherited, "HOME": str(self.folder), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=check,
            timeout=SECONDS,
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Made once, whatever the number of pytest's workers."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "wheel"
    with (shared / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make_environment(folder, build(shared))
    return Installed(folder, next(shared.glob("bakehouse-*.whl")))


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What requirements.txt names, and nothing of Bakehouse: plugins/ has to bring it."""
    folder = tmp_path_factory.mktemp("dependencies") / "environment"
    make_environment(folder, None)
    return Installed(folder, None)


@pytest.fixture
def project(installed: Installed, tmp_path: Path) -> Path:
    """What `bakehouse init` writes, with an empty plugins/."""
    folder = tmp_path / "images"
    installed.run("bakehouse", "init", folder)
    (folder / "plugins").mkdir()
    return folder


def build(folder: Path) -> Path:
    """From a copy, since setuptools takes in what an earlier build has left."""
    source = folder / "source"
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if name.startswith("plugins/") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, source / name)
    uv("build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", folder, source)
    return next(folder.glob("bakehouse-*.whl"))


def make_environment(folder: Path, wheel: Path | None) -> None:
    """The dependencies are links to those of this environment: 1.4 GB and a minute less."""
    venv.create(folder, symlinks=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / f"python{version}" / "site-packages"
    for entry in SITE.iterdir():
        if not entry.name.startswith(OURS) and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    if wheel is not None:
        uv("pip", "install", "--quiet", "--no-deps", "--python", folder / "bin" / "python", wheel)


def uv(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    subprocess.run(command, check=True, env=environment, timeout=SECONDS)


def git(*arguments: str) -> str:
    command = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
