"""A project with the whole cookbook, whose recipes are baked by `bakehouse build`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.vm.cookbook.kitchen import Kitchen

from devstack import machines

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    able, words = machines.doctor()
    if not able:
        pytest.skip(f"no real machines here: {machines.reason(words)}")
    machines.make_public_image(print)
    kitchen = Kitchen(tmp_path_factory.mktemp("cookbook") / "project")
    yield kitchen
    kitchen.close()
