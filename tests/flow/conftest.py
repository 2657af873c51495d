"""One stack for all tests of the flow: a real Airflow, and instant machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

from devstack.testbed import Testbed, testbed

HERE = Path(__file__).parent
SECONDS = 300  # of one test; the first one waits for the stack too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def stack_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    folder = tmp_path_factory.mktemp("flow")
    with testbed(PROJECT, folder, "instant") as bed:
        yield bed


@pytest.fixture(autouse=True)
def _slate(bed: Testbed) -> None:
    """Also for tests that look at the stack by a fixture of their module."""
