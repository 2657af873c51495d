"""Packer and its plugin for Compute Engine: built once from the Go module proxy, then cached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from figures import CannotMeasure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GO_SECONDS = 3600  # a build of Packer takes minutes on two cores
PLUGIN_SOURCE = "github.com/hashicorp/googlecompute"


class GoMissing(RuntimeError):
    """There is neither Go nor what it would build; the message says so."""


@dataclass(frozen=True)
class Module:
    """A program: the root package of a Go module."""

    path: str
    version: str

    @property
    def name(self) -> str:
        """The program's file in the cache: a new version is another file."""
        return f"{self.path.rsplit('/', 1)[-1]}-{self.version}"


PACKER = Module("github.com/hashicorp/packer", "v1.16.0")
PLUGIN = Module("github.com/hashicorp/packer-plugin-googlecompute", "v1.2.7")


@dataclass(frozen=True)
class Packer:
    """The program, and the folder of its plugins."""

    program: Path
    plugins: Path

    def environment(self, folder: Path) -> dict[str, str]:
        """Of a run that writes into `folder` only, and talks to this machine only."""
        proxies = {"http_proxy", "https_proxy", "all_proxy"}
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in proxies and not name.startswith(("PACKER_", "PKR_VAR_"))
        }
        return {
            **kept,
            "CHECKPOINT_DISABLE": "1",  # no question after newer versions
            "PACKER_CONFIG_DIR": str(folder),
            "PACKER_CACHE_DIR": str(folder / "cache"),
            "PACKER_PLUGIN_PATH": str(self.plugins),
            "PACKER_NO_COLOR": "1",
        }


def default_cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/bakehouse/packer`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bakehouse" / "packer"


def packer(cache: Path | None = None, find: Callable[[str], str | None] = shutil.which) -> Packer:
    """Both programs, built where they are not cached. Raises GoMissing or CannotMeasure."""
    folder = cache or default_cache()
    programs = [folder / module.name for module in (PACKER, PLUGIN)]
    missing = [module for module in (PACKER, PLUGIN) if not (folder / module.name).is_file()]
    if missing:
        go = find("go")
        if go is None:
            raise GoMissing("Go is missing, with which Packer is built: nothing is measured")
        folder.mkdir(parents=True, exist_ok=True)
        for module in missing:
            build(go, module, folder / module.name)
    found = Packer(programs[0], folder / f"plugins-{PLUGIN.version}")
    if not found.plugins.is_dir():
        install_plugin(found, programs[1])
    return found


def build(go: str, module: Module, target: Path) -> None:
    """Build it as its authors do: with its own go.mod, `replace` included, and its own go.sum.

    `go install module@version` refuses modules that replace another one, which both do.
    """
    print(f"building {module.path} {module.version}: some minutes, once", file=sys.stderr)
    with TemporaryDirectory(dir=target.parent, prefix="build-") as name:
        source = Path(name) / "source"
        wanted = f"{module.path}@{module.version}"
        try:
            told = json.loads(run([go, "mod", "download", "-json", wanted], Path(name)))
            # the folder of all modules is no place to build in: a copy, which may be written to
            shutil.copytree(told["Dir"], source, copy_function=shutil.copyfile)
            source.chmod(0o755)
            run([go, "build", "-trimpath", "-o", str(Path(name) / "program"), "."], source)
        except CannotMeasure as error:
            remedy = f"Put a program that was built elsewhere there as {target}."
            raise CannotMeasure(f"{wanted} cannot be built: {error}. {remedy}") from error
        (Path(name) / "program").replace(target)


def install_plugin(found: Packer, program: Path) -> None:
    """Packer loads a plugin only from its folder, with a checksum beside it."""
    with TemporaryDirectory(dir=found.plugins.parent, prefix="plugins-") as name:
        made = Packer(found.program, Path(name) / "plugins")
        command = (str(made.program), "plugins", "install", "--path", str(program), PLUGIN_SOURCE)
        run(command, Path(name), made.environment(Path(name)))
        made.plugins.replace(found.plugins)


def run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """What it has printed. Raises CannotMeasure with the reason that it has told."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=GO_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotMeasure(str(error)) from error
    if done.returncode:
        raise CannotMeasure(reason(done.stdout, done.stderr))
    return done.stdout


def reason(output: str, errors: str) -> str:
    """Why a program has failed, on one line: `go mod download -json` tells it as a value."""
    try:
        told = str(json.loads(output)["Error"])
    except (ValueError, KeyError, TypeError):
        told = errors.strip() or output.strip() or "it ended without a word"
    return "; ".join(line.strip() for line in told.splitlines()[-5:] if line.strip())
