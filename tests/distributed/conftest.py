"""One distributed stack for these tests, with a PostgreSQL and a Redis of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.distributed.servers import Servers, missing, servers
from tests.support.paths import PROJECT

from devstack.ports import free_port
from devstack.processes import describe, marked
from devstack.testbed import Testbed, testbed
from devstack.topology import distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SECONDS = 3600  # of one test; the first one waits for the stack too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = missing()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))
            if absent:
                why = f"not installed: {', '.join(absent)} (`make test-distributed` does that)"
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def servers_of_session() -> Iterator[Servers]:
    with servers() as found:
        yield found
    assert found.processes() == [], "processes are left"
    assert not found.folder.exists()


@pytest.fixture(scope="session")
def stack_of_session(
    tmp_path_factory: pytest.TempPathFactory, servers_of_session: Servers
) -> Iterator[Testbed]:
    folder = tmp_path_factory.mktemp("distributed")
    found = servers_of_session
    topology = distributed(found.database, found.broker, free_port())
    with testbed(PROJECT, folder, "instant", topology) as bed:
        yield bed
    assert [describe(process) for process in marked(folder / "state")] == [], "processes are left"
