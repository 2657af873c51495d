"""A localgce with instant machines, and two images of a recipe."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from tests.flow.fleet import Members
from tests.integration.bake.walk import Walk
from tests.support.connections import Served, commit_all, served_from
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from devstack.gce_api import Compute
    from devstack.testbed import Testbed

# The new image shows a page that needs the attribute `color`: who lacks it does not get healthy.
RECIPE = """\
base: debian-cloud/debian-12
scripts: web
vars: {page: old}
services: [nginx]
smoke: {metadata: {greeting: hello, color: blue}}
"""
PAGE = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"


class Images(NamedTuple):
    """Two promoted images of the recipe, by name."""

    old: str
    new: str


@contextmanager
def connected(served: Served) -> Generator[None]:
    """Connections lead to the server, and waits are short."""
    with served.connected(poll_interval=0.1) as environment:
        for module in ("cloud", "rollout"):
            environment.setattr(f"bakehouse.{module}.triggers.FIRST_LOOK", 0.0)
        environment.setattr("bakehouse.rollout.step_operations.AT_FIRST", (0.05,) * 20)
        environment.setattr("bakehouse.rollout.walk.LONGEST_PAUSE", 0.1)
        yield


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A localgce with instant machines, and a repository."""
    folder = tmp_path_factory.mktemp("rollout")
    repository(folder / "repository")
    with served_from(folder) as found:
        yield found


@pytest.fixture(scope="session")
def images(served: Served) -> Images:
    """Baked once."""
    with connected(served):
        return Images(*(baked(page) for page in ("old", "new")))


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Compute]:
    """The server to which the connections of a module's tests lead."""
    with connected(served):
        yield served.compute


@pytest.fixture
def compute(server: Compute) -> Iterator[Compute]:
    server.forget()
    yield server
    server.forget()
    server.delete_machines()
    for image in server.images():  # those that a rollout has blamed are the next test's too
        path = f"global/images/{image['name']}"
        if image.get("deprecated"):
            server.call("POST", f"{path}/deprecate", json={"state": "ACTIVE"})
        labels = {k: v for k, v in image["labels"].items() if "-failed-in-" not in k}
        if labels != image["labels"]:
            body = {"labels": labels, "labelFingerprint": image["labelFingerprint"]}
            server.call("POST", f"{path}/setLabels", json=body)


@pytest.fixture
def fleet_of(compute: Compute) -> Members:
    return Members(cast("Testbed", SimpleNamespace(compute=compute)))


def baked(page: str, run_id: str = "") -> str:
    run = Walk("web", run_id or f"manual__{page}", vars={"page": page}, force=bool(run_id))
    run.through("promote_image")
    run.tear_down()
    return str(run.handed["plan_bake"]["image_name"])


def repository(folder: Path) -> None:
    shutil.copytree(PROJECT / "include", folder / "include")
    (folder / "include/recipes/web.yaml").write_text(RECIPE)
    pages = folder / "include/startup_scripts/web/templates/var/www/html"
    pages.mkdir(parents=True, exist_ok=True)
    (pages / "color.html.j2").write_text(PAGE)
    commit_all(folder, "Show a color")
