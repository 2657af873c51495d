"""Programs that are built from the Go module proxy, once, and kept in localgce's cache.

    python localgce/tests/go_programs.py terraform-provider-google

prints where one is, for the tests of other packages. Without Go, or without a proxy that has the
module, it says why and ends with the status 3.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from localgce.core.cache import default_cache

BUILD_SECONDS = 3600  # a provider of Terraform takes a quarter of an hour on two cores
MISSING = 3  # the status of this program where there is no Go, or no module


class CannotBeHad(RuntimeError):
    """There is no Go, or no module proxy that has the sources; the message says which."""


@dataclass(frozen=True)
class Module:
    """A program of a Go module; its go.sum pins all others."""

    path: str
    version: str
    package: str = "."

    @property
    def name(self) -> str:
        """Of the program: `tofu` of `./cmd/tofu`."""
        return (self.path if self.package == "." else self.package).rsplit("/", 1)[-1]

    @property
    def kept(self) -> Path:
        """Where the program is kept: a new version is another folder."""
        return default_cache() / "tests" / f"{self.name}-{self.version}" / self.name


# The proxy has the provider's releases of the last years by their commits only: this one is 8.0.
PROVIDER = Module(
    "github.com/hashicorp/terraform-provider-google", "v1.20.1-0.20260828184646-f3721fb45fa3"
)
TOFU = Module("github.com/opentofu/opentofu", "v1.12.6", "./cmd/tofu")
KNOWN = {module.name: module for module in (PROVIDER, TOFU)}


def program(module: Module) -> Path:
    """The program, built where it is not kept yet. Raises CannotBeHad."""
    if module.kept.exists():
        return module.kept
    module.kept.parent.mkdir(parents=True, exist_ok=True)
    with (module.kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in other processes want the same one
        if not module.kept.exists():
            _make(module)
    return module.kept


def _make(module: Module) -> None:
    with TemporaryDirectory(prefix="go-") as name:
        place = Path(name)
        told = _downloaded(place, "-json", f"{module.path}@{module.version}")
        source = Path(json.loads(told)["Dir"])  # it is read only, which a build does not mind
        download(source)
        build(source, module.package, place / module.name)
        keep(place / module.name, module.kept)


def build(source: Path, package: str, target: Path) -> None:
    """Build a package of the module in a folder: by its own go.mod, and its own go.sum."""
    built = go(source, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", str(target), package)
    assert built.returncode == 0, built.stderr


def keep(built: Path, kept: Path) -> None:
    """Move a program to its place in the cache, whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = kept.with_suffix(f".{os.getpid()}")
    shutil.copy2(built, aside)
    aside.rename(kept)


def download(source: Path) -> None:
    """Have all modules of the module in a folder. Raises CannotBeHad."""
    _downloaded(source)


def _downloaded(folder: Path, *arguments: str) -> str:
    if shutil.which("go") is None:
        raise CannotBeHad("Go is not installed, which would build it")
    done = go(folder, "mod", "download", *arguments)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["without a word"]
        raise CannotBeHad(f"the module cannot be had: {said[-1]}")
    return done.stdout


def go(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder; programs need no C compiler, on this machine or another."""
    return subprocess.run(
        ["go", *arguments],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    try:
        print(program(KNOWN[sys.argv[1]]))
    except CannotBeHad as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)
