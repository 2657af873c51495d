"""The teardown asks Compute Engine for nothing where nothing can have been made."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

SERIAL = count(1)
LOOKS = {"compute.instances.aggregatedList", "compute.disks.aggregatedList"}


def a_run(page: str) -> Walk:
    return Walk("loaf", f"manual__teardown_{next(SERIAL)}", vars={"page": page})


def asked(compute: Compute) -> set[str]:
    return {request["method"] for request in compute.requests()["requests"]}


@pytest.fixture
def skipped(compute: Compute) -> Walk:
    """A run that finds the image of its content, before its teardown."""
    baked = a_run("nothing new")
    if baked.through("need_bake"):
        baked.through("promote_image", "create_builder")
        baked.tear_down()
        baked = a_run("nothing new")
        assert baked.through("need_bake") is False
    compute.forget()
    return baked


def test_a_run_that_bakes_nothing_is_torn_down_without_a_call(
    skipped: Walk, compute: Compute
) -> None:
    skipped.tear_down()
    assert asked(compute) == set()


def test_a_second_try_looks(skipped: Walk, compute: Compute) -> None:
    skipped.tries["delete_builder"] = 1
    skipped.tear_down()
    assert asked(compute) == LOOKS


def test_a_run_that_was_cleared_looks(skipped: Walk, compute: Compute) -> None:
    skipped.run.clear_number = 1
    skipped.tear_down()
    assert asked(compute) == LOOKS


def test_a_builder_that_was_made_before_the_plan_was_cleared_is_deleted(compute: Compute) -> None:
    """It was cleared while the run went on, and another run had baked the content meanwhile."""
    run = a_run("cleared in the middle")
    run.through("create_builder")
    assert compute.instances()
    run.handed["need_bake"] = False
    run.tear_down()
    assert compute.instances() == []
