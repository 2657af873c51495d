from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.sweep.calls import cases_of, sample
from tests.integration.sweep.recording import Recording, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.sweep.scenarios import World

OF_EVERY_CHANGE = 25  # cases of the sweep that run with each change


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case; those beyond the sample are marked `sweep`."""
    if "case" not in metafunc.fixturenames:
        return
    cases = cases_of(Session.of(metafunc.config).recording.calls)
    first = sample(cases, OF_EVERY_CHANGE)
    metafunc.parametrize(
        "case",
        [
            pytest.param(case, id=str(case), marks=[] if str(case) in first else pytest.mark.sweep)
            for case in cases
        ],
    )


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Session.of(request.config).server.inside() as found:
        yield found


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> Recording:
    return Session.of(request.config).recording
