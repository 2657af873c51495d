"""Many nights in a row over any images: what must hold whatever stands and whoever uses it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.resources import NOW, Resource, image

from bakehouse.core.reasons import Reason
from bakehouse.images.selection import deprecation_state
from bakehouse.recipe.model import Keep
from bakehouse.retire.references import Reference
from bakehouse.retire.retirement import Action, Decision, plan_retirement

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE = timedelta(days=2)
KEEPS = st.builds(Keep, last=st.integers(1, 4), days=st.none() | st.integers(1, 9))
STATES = st.sampled_from([None, "ACTIVE", "DEPRECATED", "OBSOLETE"])
KINDS = st.sampled_from(["promoted", "promoted", "promoted", "history", "revoked", "marked"])
IMAGES = st.lists(st.tuples(st.integers(0, 40), STATES, KINDS, st.booleans()), max_size=9)


def made(number: int, days: int, state: str | None, kind: str) -> Resource:
    labels = {"bakehouse-state": "promoted" if kind == "marked" else kind}
    labels |= {"revoked-base": "7"} if kind == "marked" else {}
    more: dict[str, Any] = {"deprecated": {"state": state}} if state else {}
    return image(f"web-{number}", days + number / 100, labels=labels, **more)


def night(
    images: dict[str, Resource], keep: Keep, uses: Mapping[str, list[Reference]], now: datetime
) -> list[Decision]:
    """Decide and do."""
    decisions = plan_retirement(
        images.values(), {"web": keep.model_copy(update={"grace": GRACE})}, uses, now
    )
    for decision in decisions:
        if decision.do is Action.DELETE:
            del images[decision.id]
        elif decision.do is not Action.LEAVE:
            images[decision.id] = {**images[decision.id], "deprecated": dict(decision.body)}
    return decisions


def usable(images: dict[str, Resource]) -> set[str]:
    return {
        i["id"]
        for i in images.values()
        if deprecation_state(i) == "ACTIVE"
        and i["labels"]["bakehouse-state"] == "promoted"
        and "revoked-base" not in i["labels"]
    }


@examples(150)
@given(IMAGES, KEEPS)
def test_whatever_stands(told: list[tuple[int, str | None, str, bool]], keep: Keep) -> None:
    every = [made(n, days, state, kind) for n, (days, state, kind, _) in enumerate(told)]
    images = {i["id"]: i for i in every}
    used = {i["id"] for i, (_, _, _, in_use) in zip(every, told, strict=True) if in_use}
    uses = {image_id: [Reference(Reason.USED_BY_DISK, "d")] for image_id in used}
    before, begun = dict(images), usable(images)
    for day in range(9):
        stages = {image_id: deprecation_state(i) for image_id, i in images.items()}
        decisions = night(images, keep, uses, NOW + timedelta(days=day))
        assert not [d for d in decisions if d.do is Action.DELETE and stages[d.id] == "ACTIVE"]
        assert day > 1 or len(images) == len(before), "nothing is gone before its grace is over"
    assert all(images[image_id] == before[image_id] for image_id in used)
    assert len(usable(images)) >= min(keep.last, len(begun))
    newest = max(
        begun, key=lambda image_id: str(before[image_id]["creationTimestamp"]), default=None
    )
    assert newest in {*usable(images), None}
    histories = {i["id"] for i in every if i["labels"]["bakehouse-state"] == "history"}
    assert histories <= images.keys()
