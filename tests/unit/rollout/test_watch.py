"""What is seen of a member while its stage soaks, and when it has failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bakehouse.rollout.health import Health
from bakehouse.rollout.plan import BootDisk, Target
from bakehouse.rollout.second_try import Cause
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.rollout.watch import Watched, cause_of_end, look, pause

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
PERIOD = timedelta(seconds=15)
SWAP = Swap(
    member="web-1",
    zone="z",
    id="7",
    fleet="web",
    run="r",
    way="forward",
    image=Target(id="2", name="web-2", self_link="", recipe="web"),
    disk="web-1-new",
    old=BootDisk(
        name="web-1", image_id="1", image="", device_name="d", auto_delete=True, type="", size_gb=1
    ),
    before="b0",
)


def instance(status: str = "RUNNING", disk: str = "web-1-new", number: str = "7") -> dict[str, Any]:
    return {"id": number, "status": status, "disks": [{"boot": True, "source": f"x/disks/{disk}"}]}


def health(n: int, **fields: Any) -> Health:
    form = {"state": "healthy", "image": "web-2", "boot_id": "b1", "uptime": 9.0 + n}
    return Health(**{**form, "period": PERIOD, **fields})


def watch(*looks: tuple[Any, Health | None]) -> tuple[Watched, datetime]:
    """What is known after looks, one in each period, and the time of the last."""
    seen, moment = None, NOW
    for n, (found, report) in enumerate(looks):
        moment = NOW + n * PERIOD
        seen = look(seen, SWAP, found, report, moment)
    assert seen is not None
    return seen, moment


def test_a_member_that_runs_and_reports_is_good() -> None:
    seen, moment = watch(*[(instance(), health(n)) for n in range(9)])
    assert (seen.failure(moment), seen.is_good(moment, again=True)) == ("", True)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "the instance was deleted or recreated"),
        (instance(number="8"), "the instance was deleted or recreated"),
        (instance(disk="web-1"), "its boot disk is web-1 instead of web-1-new"),
        ({"id": "7", "status": "RUNNING"}, "its boot disk is none instead of web-1-new"),
    ],
)
def test_another_machine_or_disk_fails_at_once(found: Any, why: str) -> None:
    seen, moment = watch((instance(), health(0)), (found, health(1)))
    assert (seen.failure(moment), seen.is_good(moment, again=False)) == (why, False)


def test_a_member_that_is_stopped_for_long_has_failed_and_a_restart_has_not() -> None:
    up, down = (instance(), health(0)), (instance("TERMINATED"), None)
    seen, moment = watch(up, *[down] * 7)
    assert (seen.failure(moment), seen.is_good(moment, again=False)) == ("", False)
    seen, moment = watch(up, *[down] * 8)
    assert seen.failure(moment) == "it has been TERMINATED for 105 s"
    seen, moment = watch(up, *[down] * 3, (instance(), health(1, boot_id="b2")))
    assert (seen.failure(moment), seen.is_good(moment, again=False)) == ("", True)


def test_nothing_ends_well_on_a_stale_or_an_unhealthy_report() -> None:
    stale, moment = watch(*[(instance(), health(0))] * 5)
    assert (stale.failure(moment), stale.is_good(moment, again=False)) == ("", False)
    ill, moment = watch((instance(), health(0)), (instance(), health(1, state="unhealthy")))
    assert (ill.failure(moment), ill.is_good(moment, again=False)) == ("", False)


def test_a_watch_that_was_interrupted_needs_a_new_report() -> None:
    once, moment = watch((instance(), health(0)))
    assert [once.is_good(moment, again=again) for again in (False, True)] == [True, False]
    twice, moment = watch((instance(), health(0)), (instance(), health(1)))
    assert twice.is_good(moment, again=True)
    old, moment = watch((instance(), health(0, period=None)))
    assert old.is_good(moment, again=True)  # it never reports again


def test_a_log_is_told_what_has_changed_and_no_more() -> None:
    looks: list[tuple[Any, Health | None]] = [
        (instance(), health(0)),
        (instance(), health(1)),
        (instance(), health(2, state="unhealthy", detail="no answer")),
        (instance(), health(2, state="unhealthy", detail="no answer")),
        (instance("STOPPING"), None),
        (instance("STOPPING"), None),
        (instance(), health(3, boot_id="b2")),
    ]
    said, before = [], None
    for n, (found, report) in enumerate(looks):
        after = look(before, SWAP, found, report, NOW + n * PERIOD)
        said.append(after.news(before, NOW + n * PERIOD))
        before = after
    assert said == [
        "healthy",
        None,
        "unhealthy: no answer",
        None,
        "it is STOPPING",
        None,
        "healthy",
    ]


def test_there_is_one_look_in_each_period_and_one_at_the_end() -> None:
    slow, _ = watch((instance(), health(0, period=timedelta(minutes=2))))
    silent, _ = watch((instance(), None))
    assert pause([slow], NOW, NOW + timedelta(hours=1)) == 120
    assert pause([silent, slow], NOW, NOW + timedelta(hours=1)) == 120
    assert pause([silent], NOW, NOW + timedelta(hours=1)) == 15
    assert pause([slow], NOW, NOW + timedelta(seconds=7)) == 7
    assert pause([slow], NOW, NOW) == 120


def states(*said: str) -> tuple[str, int]:
    """Why a member that reports these states fails, and after how many reports."""
    for n in range(1, len(said) + 1):
        looks = [(instance(), health(i, state=state)) for i, state in enumerate(said[:n])]
        seen, moment = watch(*looks)
        if why := seen.failure(moment):
            return why, n
    return "", len(said)


def test_a_member_that_flaps_fails_though_no_two_reports_in_a_row_are_bad() -> None:
    why, reports = states(*["healthy", "unhealthy"] * 40)
    assert why == "it turned unhealthy 3 times in a short time, and healthy in between"
    assert reports == 6


def test_an_unhealthy_report_now_and_then_in_a_long_soak_is_no_flapping() -> None:
    now_and_then = ["unhealthy", *["healthy"] * 11]
    assert states(*now_and_then * 6) == ("", 72)


def test_a_crash_loop_and_silence_end_in_time() -> None:
    """Whatever a member does but be healthy, its watch ends, and late reports gain it nothing."""
    loop = [(instance(), health(n, boot_id=f"b{n}")) for n in range(9)]
    ends = next(n for n in range(1, 10) if watch(*loop[:n])[0].failure(watch(*loop[:n])[1]))
    assert ends == 3, "the second boot too many"
    silent = [(instance(), health(0))] * 20
    ends = next(n for n in range(1, 20) if watch(*silent[:n])[0].failure(watch(*silent[:n])[1]))
    assert ends == 8, "six periods, and the next look"


PREEMPTED = ["compute.instances.preempted", "start", "attachDisk"]


@pytest.mark.parametrize(
    ("found", "kinds", "cause"),
    [
        (instance("TERMINATED"), PREEMPTED, Cause.HOST_LOST),
        (instance("STOPPING"), ["compute.instances.hostError"], Cause.HOST_LOST),
        (instance("TERMINATED"), ["compute.instances.guestTerminate"], None),
        (instance("TERMINATED"), ["stop", "start", "attachDisk"], None),
        (instance(), PREEMPTED, None),  # it runs again, and says itself how it is
        (None, PREEMPTED, Cause.GONE),
        (instance(number="8"), [], Cause.GONE),
        (instance(disk="web-1-other"), [], Cause.GONE),
    ],
    ids=str,
)
def test_a_member_that_is_taken_away_while_it_is_watched_says_nothing_of_its_image(
    found: dict[str, Any] | None, kinds: list[str], cause: Cause | None
) -> None:
    assert cause_of_end(SWAP, found, kinds) is cause
