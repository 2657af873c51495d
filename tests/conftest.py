"""What holds for every test."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.support.plans import PLAN, RECIPE
from tests.support.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from bakehouse.bake.plan import BakePlan
    from bakehouse.recipe.model import Recipe
    from devstack.testbed import Testbed

# How long one example takes says more of the machine than of the code; pytest's own limit stands.
settings.register_profile("bakehouse", deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("bakehouse")

# A shell starts background jobs with SIGINT ignored; programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

FAILED = pytest.StashKey[bool]()


@pytest.fixture
def recipe() -> Recipe:
    return RECIPE


@pytest.fixture
def plan() -> BakePlan:
    return PLAN


@pytest.fixture
def bed(stack_of_session: Testbed, request: pytest.FixtureRequest) -> Iterator[Testbed]:
    """The stack of the folder's session.

    Faults that a test has set are removed with the test; its resources are when it has failed.
    """
    before = Snapshot.of(stack_of_session)
    yield stack_of_session
    stack_of_session.compute.forget()
    if request.node.stash.get(FAILED, False):
        before.restore(stack_of_session)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when in {"setup", "call"}:
        item.stash[FAILED] = call.excinfo is not None and not report.skipped
    return report
