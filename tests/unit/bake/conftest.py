from __future__ import annotations

import pytest
from tests.support.plans import PLAN

from bakehouse.bake.plan import BakePlan
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Recipe


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("base: debian-cloud/debian-12\nvars: {page: hello}\n", "web.yaml")


@pytest.fixture
def plan() -> BakePlan:
    return PLAN
