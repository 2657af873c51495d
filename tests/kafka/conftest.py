"""One cluster of three brokers for all tests, with the agent of recipe `kafka` beside each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.paths import PROJECT

from devstack.kafka.artefacts import PACKAGE, jars, java
from devstack.kafka.brokers import Image, cluster
from devstack.kafka.members import members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.kafka.brokers import Cluster
    from devstack.kafka.members import Members

HERE = Path(__file__).parent
LOCK = PROJECT / "include/startup_scripts/kafka/artefacts.lock"
SECONDS = 900  # of one test; the first one waits for the cluster too


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    found = {PACKAGE: java(), "curl": shutil.which("curl")}
    return [package for package, path in found.items() if path is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = missing()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))
            if absent:
                why = f"not installed: {', '.join(absent)} (`scripts/setup packages-kafka.txt`)"
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def image() -> Image:
    """What every broker runs before a test."""
    return Image(jars(LOCK))


@pytest.fixture(scope="session")
def cluster_of_session(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    program = java()
    assert program is not None
    with cluster(tmp_path_factory.mktemp("kafka"), program, image) as made:
        yield made
    left = [broker.node for broker in made.brokers.values() if broker.running]
    assert left == [], "brokers are left"


@pytest.fixture(scope="session")
def agents(cluster_of_session: Cluster) -> Iterator[Members]:
    with members(PROJECT, cluster_of_session) as found:
        yield found


@pytest.fixture
def kafka(cluster_of_session: Cluster, agents: Members, image: Image) -> Iterator[Cluster]:
    """The cluster, safe before and after the test, whatever the test has done to it.

    The brokers learn of a recovery one after the other: the gates of all are waited for, too.
    """
    yield cluster_of_session
    cluster_of_session.recover(image)
    for agent in agents.values():
        agent.until("gate")
