"""Terraform and a rollout look after the same instances, by the file that the guide shows.

It needs terraform and the binary of its provider for Google Cloud: with `terraform-provider-google`
on PATH nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import HERE
from tests.support.deadlines import SOON
from tests.support.paths import PROJECT

from devstack.gce_api import ComputeError
from devstack.serving import GCE_PROJECT
from devstack.waiting import wait_until

from .test_walk import rollout

if TYPE_CHECKING:
    from devstack.gce_api import Compute

    from .conftest import Images

TERRAFORM = shutil.which("terraform") or shutil.which("tofu")
PROVIDER = shutil.which("terraform-provider-google")
FLEET = """\
recipe: web
members: {instances: [web-1, web-2], zones: [us-central1-a]}
stages: [1, 100%]
"""
NO_CHANGE, CHANGES = 0, 2  # of `terraform plan -detailed-exitcode`

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(TERRAFORM is None, reason="neither terraform nor tofu is installed"),
    pytest.mark.skipif(PROVIDER is None, reason="terraform-provider-google is not on PATH"),
]


class Terraform:
    """A working folder with the guide's file, against a localgce."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        shutil.copy(PROJECT / "docs/examples/terraform/main.tf", folder)
        settings = folder / "terraform.rc"
        of_provider = json.dumps(str(Path(PROVIDER or "").parent))
        settings.write_text(
            "provider_installation {\n"
            f'  dev_overrides {{ "hashicorp/google" = {of_provider} }}\n  direct {{}}\n}}\n'
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
        command = (str(TERRAFORM), *words, "-no-color", "-input=false")
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def plan(self) -> tuple[int, str]:
        done = self.run("plan", "-detailed-exitcode")
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def terraform(tmp_path: Path, compute: Compute) -> Terraform:
    return Terraform(tmp_path, compute.url)


def runs(compute: Compute, image: str) -> bool:
    """Whether both members run the image, healthy by their own report."""
    said = []
    for name in ("web-1", "web-2"):
        path = f"{HERE}/instances/{name}/getGuestAttributes"
        try:
            value = compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        except ComputeError:  # no report yet is a 404
            return False
        said.append(json.loads(value["queryValue"]["items"][0]["value"]))
    return all(one["state"] == "healthy" and one["image"] == image for one in said)


def test_a_rollout_and_a_roll_back_are_no_change_of_terraforms_plan(
    compute: Compute, images: Images, terraform: Terraform
) -> None:
    made = terraform.run("apply", "-auto-approve")
    assert made.returncode == 0, made.stdout + made.stderr
    wait_until(lambda: runs(compute, images.new), SOON, "the members to boot", every=0.1)
    assert terraform.plan()[0] == NO_CHANGE

    for image in (images.old, images.new):
        run = rollout(image, FLEET)
        assert run.through() == "success", run.errors
        assert runs(compute, image)
        code, said = terraform.plan()
        assert code == NO_CHANGE, said

    # the proof that the plan can see: what Terraform looks after is a change
    instance = compute.call("GET", f"{HERE}/instances/web-1")
    compute.call(
        "POST",
        f"{HERE}/instances/web-1/setTags",
        json={"items": ["by-hand"], "fingerprint": instance["tags"]["fingerprint"]},
    )
    assert terraform.plan()[0] == CHANGES


def test_without_ignore_changes_a_rollout_is_a_replacement_of_the_instances(
    compute: Compute, images: Images, terraform: Terraform
) -> None:
    file = terraform.folder / "main.tf"
    text = file.read_text().replace("      boot_disk,", "      description,")
    file.write_text(text)
    made = terraform.run("apply", "-auto-approve")
    assert made.returncode == 0, made.stdout + made.stderr
    wait_until(lambda: runs(compute, images.new), SOON, "the members to boot", every=0.1)
    run = rollout(images.old, FLEET)
    assert run.through() == "success", run.errors
    code, said = terraform.plan()
    assert (code, "forces replacement" in said) == (CHANGES, True), said
