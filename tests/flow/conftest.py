"""One stack for all tests of the flow: a real Airflow, and instant machines.

With pytest-xdist each worker has a stack of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import Members
from tests.flow.shop import bake_two
from tests.support.paths import PROJECT

from devstack.testbed import Testbed, testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SECONDS = 3000  # of one test; the first one waits for the stack too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def stack_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with testbed(PROJECT, tmp_path_factory.mktemp("flow"), "instant") as bed:
        yield bed


@pytest.fixture(scope="session")
def two_images(stack_of_session: Testbed) -> tuple[str, str]:
    """An older image of the recipe `shop`, and a newer one."""
    return bake_two(stack_of_session)


@pytest.fixture
def members(bed: Testbed) -> Iterator[Members]:
    """A fleet to be created, and deleted behind the test."""
    found = Members(bed)
    yield found
    found.delete()


@pytest.fixture(autouse=True)
def _as_it_was(bed: Testbed) -> None:
    """Also for tests that look at the stack by a fixture of their module."""
