"""Lists over all zones: whole, or none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bakehouse.cloud.calls import Calls
from bakehouse.core.errors import TransientError


class Hook(Calls):
    """Its calls are the pages themselves."""

    project = "p"

    def __init__(self) -> None:
        self.filters: list[Any] = []

    def _read(self, call: Any, doing: str) -> dict[str, Any]:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        return dict(call)


def listed(*pages: dict[str, Any], filter_: str = "") -> list[Any]:
    left, hook = list(pages), Hook()

    def first(**query: Any) -> dict[str, Any]:
        hook.filters.append(query["filter"])
        return left.pop(0)

    api = SimpleNamespace(
        aggregatedList=first,
        aggregatedList_next=lambda *_: left.pop(0) if left else None,
    )
    found = hook._scopes(api, "disks", filter_)
    assert hook.filters == [filter_ or None], "an empty filter is none"
    return found


def zone(name: str, **content: Any) -> dict[str, Any]:
    return {f"zones/{name}": content}


def test_every_zone_of_every_page() -> None:
    empty = zone("c", warning={"code": "NO_RESULTS_ON_PAGE"})
    first = {"items": zone("a", disks=[1]) | zone("b", disks=[2]) | empty}
    assert listed(first, {"items": zone("a", disks=[3])}) == [1, 2, 3]
    assert listed({}, filter_="labels.x=y") == []


@pytest.mark.parametrize(
    "page",
    [
        {"items": zone("a", disks=[1]), "unreachables": ["zones/b"]},
        {"items": zone("a", disks=[1]) | zone("b", warning={"code": "UNREACHABLE"})},
    ],
)
def test_a_zone_that_is_down_is_not_taken_for_empty(page: dict[str, Any]) -> None:
    with pytest.raises(TransientError, match="zones/b cannot be reached"):
        listed(page)
