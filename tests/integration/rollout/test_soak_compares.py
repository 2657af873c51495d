"""The watch of a stage reads members not replaced too, and fails those that are worse."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from bakehouse.rollout import soak_trigger
from bakehouse.rollout.events import SoakEnded
from bakehouse.rollout.health import Health
from bakehouse.rollout.plan import BootDisk, Target
from bakehouse.rollout.soak_trigger import SoakTrigger
from bakehouse.rollout.strategies.swap import Swap

if TYPE_CHECKING:
    from collections.abc import Callable

OLD = BootDisk(
    name="old", image_id="1", image="", device_name="d", auto_delete=True, type="", size_gb=1
)


def swap(name: str) -> dict[str, Any]:
    image = Target(id="2", name="web-2", self_link="", recipe="web")
    made = Swap(
        member=name,
        zone="z",
        id="7",
        fleet="web",
        run="r",
        way="forward",
        image=image,
        disk=f"{name}-new",
        old=OLD,
    )
    return made.model_dump(mode="json")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each member was read; a look follows the other at once."""
    found: dict[str, int] = {}

    async def acquire(**_: Any) -> None: ...

    cloud = SimpleNamespace(interval=0.001, rate_limiter=SimpleNamespace(acquire=acquire))

    def standing(_: Any, zones: dict[str, str]) -> dict[str, Any]:
        disks = {name: [{"boot": True, "source": f"x/{name}-new"}] for name in zones}
        return {n: {"id": "7", "status": "RUNNING", "disks": disks[n]} for n in zones}

    monkeypatch.setattr(soak_trigger, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(soak_trigger, "pause", lambda *_: 0.001)
    monkeypatch.setattr(soak_trigger, "hook_of", lambda _: None)
    monkeypatch.setattr(soak_trigger, "Cloud", SimpleNamespace(of=AsyncMock(return_value=cloud)))
    monkeypatch.setattr("bakehouse.rollout.members.standing", standing)
    return found


@pytest.fixture
def says(reads: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let each member report a number, again and again."""

    def set_(**p99: float) -> None:
        def health(_: Any, __: str, name: str) -> Health:
            reads[name] = reads.get(name, 0) + 1
            image = "web-2" if name in {"a", "b"} else "web-1"
            return Health(
                state="healthy",
                image=image,
                boot_id=name,
                uptime=float(reads[name]),
                numbers={"p99_ms": p99[name] + reads[name] % 3},
            )

        monkeypatch.setattr("bakehouse.rollout.members.health", health)

    return set_


async def ended(names: list[str], others: list[str], seconds: float) -> SoakEnded:
    trigger = SoakTrigger(
        swaps=[swap(name) for name in names],
        conn_id="c",
        began=time.time(),
        until=time.time() + seconds,
        others=dict.fromkeys(others, "z"),
        numbers={"p99_ms": "lower"},
    )
    kind, arguments = trigger.serialize()
    assert kind.endswith("SoakTrigger")
    event = await anext(SoakTrigger(**arguments).run())
    return SoakEnded.model_validate(event.payload["event"])


async def test_a_member_that_is_slower_than_those_not_replaced_fails_before_the_soak_ends(
    says: Callable[..., None],
) -> None:
    says(a=50.0, b=10.0, c=10.0, d=11.0)
    found = await ended(["a", "b"], ["c", "d"], seconds=3600)
    assert [failed.member for failed in found.failed] == ["a"]
    assert "p99_ms is 51 in the median" in found.failed[0].why


async def test_members_that_are_as_slow_as_the_others_pass(
    says: Callable[..., None], reads: dict[str, int]
) -> None:
    says(a=50.0, b=51.0, c=52.0, d=50.0)
    found = await ended(["a", "b"], ["c", "d"], seconds=0.3)
    assert found == SoakEnded()
    assert reads["a"] > 8, "there was enough to compare"


async def test_a_trigger_of_before_has_nobody_to_compare_with(says: Callable[..., None]) -> None:
    says(a=50.0)
    trigger = SoakTrigger(
        swaps=[swap("a")], conn_id="c", began=time.time(), until=time.time() + 0.05
    )
    event = await anext(trigger.run())
    assert SoakEnded.model_validate(event.payload["event"]) == SoakEnded()
