"""OpenTofu and Terraform with Google's provider, against a localgce."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import go_programs

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_SECONDS = 900
ADDRESSES = ("hashicorp/google", "registry.terraform.io/hashicorp/google")
"""Of the provider: OpenTofu and Terraform each have a registry of their own."""


def provider() -> Path:
    """The provider's program, on PATH or from Go's module proxy; skips the test without one."""
    found = shutil.which("terraform-provider-google")
    return Path(found) if found else _built(go_programs.PROVIDER)


def command(name: str) -> Path:
    """`tofu` or `terraform`, on PATH or, OpenTofu only, from Go's module proxy; or skips."""
    found = shutil.which(name)
    if found:
        return Path(found)
    if name == "terraform":
        pytest.skip("terraform is not on PATH")
    return _built(go_programs.TOFU)


def either() -> Path:
    """OpenTofu where it is there, otherwise Terraform; or OpenTofu from the proxy, or skips."""
    there = shutil.which("tofu") or (go_programs.TOFU.kept.exists() and go_programs.TOFU.kept)
    found = there or shutil.which("terraform")
    return Path(found) if found else command("tofu")


def _built(module: go_programs.Module) -> Path:
    try:
        return go_programs.program(module)
    except go_programs.CannotBeHad as error:
        pytest.skip(f"{module.name}: {error}")


class Terraform:
    """A working folder, a program, and a server that stands for Google.

    `more` are further variables of its environment.
    """

    def __init__(
        self, folder: Path, program: Path, url: str, more: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.program = program
        settings = folder / "terraform.rc"
        place = json.dumps(str(provider().parent))
        overrides = "\n".join(f"    {json.dumps(name)} = {place}" for name in ADDRESSES)
        settings.write_text(
            f"provider_installation {{\n  dev_overrides {{\n{overrides}\n  }}\n  direct {{}}\n}}\n"
        )
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TF_", "GOOGLE_"))},
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "GOOGLE_OAUTH_ACCESS_TOKEN": "any",
            "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{url}/compute/v1/",
            **(more or {}),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        return subprocess.run(
            [self.program, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    def apply(self, *options: str) -> str:
        """Apply the configuration; the errors, empty when all has worked."""
        done = self.run("apply", *_QUIET, "-auto-approve", "-parallelism=20", *options)
        return "" if done.returncode == 0 else done.stderr or done.stdout

    def destroy(self, *options: str) -> str:
        """Destroy what has been applied; the errors."""
        done = self.run("destroy", *_QUIET, "-auto-approve", "-parallelism=20", *options)
        return "" if done.returncode == 0 else done.stderr or done.stdout

    def plan(self, *options: str) -> dict[str, dict[str, Any]]:
        """The change that a plan has for each resource, by its address; raises when it fails."""
        done = self.run("plan", *_QUIET, "-out=plan", *options)
        assert done.returncode == 0, done.stderr or done.stdout
        shown = self.run("show", "-json", "plan")
        assert shown.returncode == 0, shown.stderr
        changes = json.loads(shown.stdout).get("resource_changes", [])
        return {one["address"]: one["change"] for one in changes if one["mode"] == "managed"}

    def state(self) -> list[str]:
        """The addresses of what is there."""
        return self.run("state", "list").stdout.split()


_QUIET = ("-no-color", "-input=false")
