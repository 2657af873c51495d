"""Terraform or OpenTofu with Google's provider, as localgce's tests have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from devstack.serving import GCE_PROJECT

from .paths import PROJECT

GO_PROGRAMS = PROJECT / "localgce" / "tests" / "go_programs.py"
CANNOT_BE_HAD = 3  # its status without Go or a module proxy
BUILD_SECONDS = 3600
NO_CHANGE, CHANGES = 0, 2  # of `terraform plan -detailed-exitcode`


class Terraform:
    """A working folder whose provider calls the localgce at `url`; nothing is downloaded.

    Skips the test without the provider. `init` is not needed, nor does it work: the provider's
    registry is not asked.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.program = _terraform()
        settings = folder / "terraform.rc"
        place = json.dumps(str(_provider().parent))
        settings.write_text(
            "provider_installation {\n"
            f'  dev_overrides {{ "hashicorp/google" = {place} }}\n  direct {{}}\n}}\n'
        )
        self.environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "GOOGLE_PROJECT": GCE_PROJECT,
            "GOOGLE_ZONE": "us-central1-a",
            "GOOGLE_OAUTH_ACCESS_TOKEN": "any",
            "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{url}/compute/v1/",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        return subprocess.run(
            (self.program, *words, "-no-color"),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def apply(self, *options: str) -> None:
        """Make what the configuration says."""
        done = self.run("apply", "-auto-approve", "-input=false", *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def destroy(self, *options: str) -> None:
        """Delete what has been made."""
        done = self.run("destroy", "-auto-approve", "-input=false", *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def plan(self, *options: str) -> tuple[int, str]:
        """NO_CHANGE or CHANGES, and what the plan says."""
        done = self.run("plan", "-detailed-exitcode", "-input=false", *options)
        return done.returncode, done.stdout + done.stderr


def _terraform() -> str:
    found = shutil.which("terraform") or shutil.which("tofu")
    return found or str(_built("tofu"))


def _provider() -> Path:
    found = shutil.which("terraform-provider-google")
    return Path(found) if found else _built("terraform-provider-google")


@cache
def _built(name: str) -> Path:
    done = subprocess.run(
        (sys.executable, GO_PROGRAMS, name),
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode == CANNOT_BE_HAD:
        pytest.skip(f"{name}: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
