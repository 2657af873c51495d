"""Terraform and a rollout look after the same instances, by the file that the guide shows.

The provider for Google Cloud is built from Go's module proxy once, or found on PATH.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import HERE
from tests.support.deadlines import SOON
from tests.support.paths import PROJECT
from tests.support.terraform import CHANGES, NO_CHANGE, Terraform

from devstack.gce_api import ComputeError
from devstack.waiting import wait_until

from .test_walk import rollout

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = """\
recipe: web
members: {instances: [web-1, web-2], zones: [us-central1-a]}
stages: [1, 100%]
"""

# the first build of the provider takes most of an hour
pytestmark = [pytest.mark.long, pytest.mark.timeout(4500)]


@pytest.fixture
def terraform(tmp_path: Path, compute: Compute) -> Terraform:
    shutil.copy(PROJECT / "docs/examples/terraform/main.tf", tmp_path)
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
    terraform.apply()
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
    terraform.apply()
    wait_until(lambda: runs(compute, images.new), SOON, "the members to boot", every=0.1)
    run = rollout(images.old, FLEET)
    assert run.through() == "success", run.errors
    code, said = terraform.plan()
    assert (code, "forces replacement" in said) == (CHANGES, True), said
