"""`bakehouse build --on CONNECTION`: a project of Google's, which here is another localgce."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from devstack.gce_api import Compute
from devstack.serving import GCE_PROJECT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.local.commands import Loop

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compute]:
    """A project of its own, to which the connection `theirs` leads."""
    with (
        serving(tmp_path_factory.mktemp("theirs")) as url,
        closing(Compute(url, GCE_PROJECT)) as compute,
        pytest.MonkeyPatch.context() as environment,
    ):
        extra = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
        extra |= {"poll_interval": 0.5, "reads_per_minute": 600_000}
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        environment.setenv("AIRFLOW_CONN_THEIRS", json.dumps(connection))
        yield compute


@pytest.mark.long
def test_the_image_in_a_project_is_a_candidate_with_an_end_and_nothing_else_is_left(
    loop: Loop, theirs: Compute
) -> None:
    script = loop.file("startup_scripts/web/smoke_test.sh")
    script.write_text(script.read_text() + "# not committed\n")

    done = loop("build", "web", "--on", "theirs")

    assert done.returncode == 0, done.stdout + done.stderr
    (image,) = theirs.listed("global/images")
    labels = image["labels"]
    assert labels["bakehouse-state"] == "candidate"
    assert labels["bakehouse-local"] == "tested"
    assert labels["git-dirty"] == "true"
    assert int(labels["expires"]) > 0
    assert "bakehouse-kept" in labels, "housekeeping leaves it until then"
    assert "family" not in image
    assert theirs.listed("zones/us-central1-a/instances") == []
    assert theirs.listed("zones/us-central1-a/disks") == []
    again = loop("build", "web", "--on", "theirs")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"web is unchanged ({labels['git-sha'][:7]}" in again.stdout
    assert len(theirs.listed("global/images")) == 1
    assert json.loads("[" + loop("ps", "--json").stdout.partition("[")[2]) == [], "nothing is here"


@pytest.mark.long
def test_the_recipe_below_is_built_first(loop: Loop) -> None:
    recipe = loop.file("recipes/web.yaml").read_text()
    child = recipe.replace("debian-cloud/debian-12", "{recipe: web}")
    loop.file("recipes/shop.yaml").write_text(f"{child}scripts: web\n")

    done = loop("build", "shop")

    assert done.returncode == 0, done.stdout + done.stderr
    built = [line for line in done.stdout.splitlines() if line.startswith("building ")]
    assert [line.split()[1] for line in built] == ["web", "shop"]
    parent = next(line for line in done.stdout.splitlines() if "label_image" in line).split()[1]
    assert f"base image {parent} (recipe web)" in done.stdout
    again = loop("build", "shop")
    assert [line.split()[0] for line in again.stdout.splitlines()] == ["web", "shop"], again.stdout
