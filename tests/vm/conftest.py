"""One stack for all tests on real machines; skipped, with the reason, where QEMU is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.paths import PROJECT
from tests.support.snapshot import Snapshot

from devstack import machines
from devstack.testbed import Testbed, testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SECONDS = 5000  # of one test without KVM; the first one may have to build the public image


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def stack_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    able, words = machines.doctor()
    if not able:
        pytest.skip(f"no real machines here: {machines.reason(words)}")
    machines.make_public_image(print)
    with testbed(PROJECT, tmp_path_factory.mktemp("vm"), "qemu") as bed:
        yield bed


@pytest.fixture
def web_image(bed: Testbed) -> dict[str, Any]:
    """The newest image of `web`; it is baked where no earlier test has: that takes minutes."""
    if not any(image.get("family") == "web" for image in bed.compute.images()):
        run = bed.bake("bake__web", deadline=3600, git_ref=bed.head, roll_out=False)
        assert run.state == "success", bed.explain(run)
    return bed.compute.newest_of("web")


@pytest.fixture(scope="module")
def as_it_was(stack_of_session: Testbed) -> Iterator[None]:
    """Behind a module of tests, project and Compute Engine are as before it, for the next one."""
    before = Snapshot.of(stack_of_session)
    yield
    before.restore(stack_of_session)
