from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.connections import Served, commit_all, served_from
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.gce_api import Compute

KNOBS = (
    "fail_install",
    "silent",
    "fail_check",
    "unhealthy",
    "hang",
    "until",
    "install_lines",
    "packages",
    "sources",
    "mirrors",
    "releases",
)
BUN = """
builder:
  zones: [us-central1-a, us-central1-b, us-central1-c]
  spot: true
  service_account: baker@bakehouse-local.iam.gserviceaccount.com
  scopes: [https://www.googleapis.com/auth/devstorage.read_only]
  tags: [builders]
  max_run_minutes: 75
  keep_builder_on_failure: 8h
"""  # everything that a builder can be asked to be
KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
DEBIAN = "debian-cloud/debian-12"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A localgce with instant machines, and a repository."""
    folder = tmp_path_factory.mktemp("bake")
    repository(folder / "repository")
    with served_from(folder) as found:
        yield found


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Compute]:
    """The server to which the connections of a module's tests lead."""
    with served.connected(poll_interval=0.2) as environment:
        environment.setattr("bakehouse.cloud.triggers.FIRST_LOOK", 0.1)
        environment.setattr("bakehouse.lease.triggers.POLL_LEASE", 0.3)
        yield served.compute


@pytest.fixture
def compute(server: Compute) -> Iterator[Compute]:
    """The server without faults, and nothing asked yet."""
    server.forget()
    yield server
    server.forget()


def repository(folder: Path) -> None:
    """The recipes `loaf` and `bun`, whose vars say how machines behave; `slice`, `tray`."""
    shutil.copytree(PROJECT / "include", folder / "include")
    knobs = "".join(f"  instant_{knob}: ''\n" for knob in KNOBS)
    recipe = f"base: {DEBIAN}\nscripts: web\nvars:\n  page: hello\n{knobs}"
    recipe += "smoke: {metadata: {greeting: hi}, deadline: 20s}\n"
    image = "image: {keep: {failed: 3d}}\n"
    locked = f"image: {{shielded: true, kms_key: {KEY}}}\n"
    (folder / "include/recipes/loaf.yaml").write_text(recipe + image)
    (folder / "include/recipes/bun.yaml").write_text(recipe + locked + BUN)
    layer = recipe.replace(DEBIAN, "{recipe: loaf}")
    (folder / "include/recipes/slice.yaml").write_text(layer)
    (folder / "include/recipes/tray.yaml").write_text(recipe + "image: {kind: machine_image}\n")
    commit_all(folder, "A loaf")
