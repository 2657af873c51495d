"""The history: one image for each content, whichever dates it serves; nothing else is moved."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from tests.support.ledger import dates_by_image, read_ledger

from bakehouse.bake.package_snapshot import snapshot_of
from bakehouse.bake.params import BakeParams
from bakehouse.core.errors import PermanentError
from bakehouse.history.location import ledger_url
from bakehouse.triggers import supervisor_comms as comms

from .walk import CHAIN, STATES, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.recipe.model import Recipe
    from devstack.gce_api import Compute

SERIAL = count(1)
DAYS = [datetime(2027, 1, day, 3, tzinfo=UTC) for day in (1, 2, 3)]


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trigger hears of other runs."""
    ask = AsyncMock(side_effect=lambda _, run_id: STATES.get(run_id, "running"))
    monkeypatch.setattr(comms, "dag_run_state", ask)


def backfill(night: datetime, page: str, run_id: str = "", **params: Any) -> Walk:
    """The run of one date of a backfill."""
    run_id = run_id or f"backfill__past_{next(SERIAL)}"
    return Walk("loaf", run_id, "backfill", night=night, vars={"page": page}, **params)


def bake(run: Walk) -> str | None:
    """Everything up to the end of the run; the image that it made."""
    made = None
    if run.through("need_bake"):
        run.through("promote_image", "create_builder")
        made = run.handed["promote_image"]["name"]
    run.tear_down()
    return made


def history(compute: Compute, run: Walk) -> list[dict[str, Any]]:
    key = run.handed["plan_bake"]["content_key"]
    return [i for i in compute.images() if i.get("labels", {}).get("content-key") == key]


def covered(image: str) -> list[date]:
    return dates_by_image(read_ledger(ledger_url()))[image]


@pytest.mark.long
def test_dates_of_one_content_share_one_image_that_carries_them_all(compute: Compute) -> None:
    runs = [backfill(night, "shared") for night in DAYS]
    made = [bake(run) for run in runs]
    (image,) = history(compute, runs[0])
    assert made == [image["name"], None, None]
    assert image["labels"]["bakehouse-state"] == "history"
    assert "family" not in image
    assert "expires" not in image["labels"], "no sweep takes it"
    assert covered(image["name"]) == [night.date() for night in DAYS]


@pytest.mark.long
def test_twice_changes_nothing(compute: Compute) -> None:
    first = backfill(DAYS[0], "twice", "backfill__twice")
    bake(first)
    before = history(compute, first)
    compute.forget()
    again = backfill(DAYS[0], "twice", "backfill__twice")
    assert bake(again) is None
    assert history(compute, again) == before
    told = compute.requests()
    requests = told["requests"] if isinstance(told, dict) else told
    assert not [r for r in requests if r["method"].endswith((".insert", ".setLabels", ".patch"))]
    assert covered(before[0]["name"]) == [DAYS[0].date()]


@pytest.mark.long
def test_a_date_whose_content_is_promoted_is_served_by_that_image(compute: Compute) -> None:
    promoted = Walk("loaf", f"manual__past_{next(SERIAL)}", vars={"page": "promoted"})
    made = bake(promoted)
    assert made is not None
    run = backfill(DAYS[0], "promoted")
    assert bake(run) is None
    (image,) = history(compute, run)
    assert (image["name"], image["family"]) == (made, "loaf")
    assert image["labels"]["bakehouse-state"] == "promoted"


@pytest.mark.long
def test_a_night_is_not_saved_by_the_history(compute: Compute) -> None:
    """An image of the history is in no family: nothing would boot the night's content."""
    bake(backfill(DAYS[0], "night"))
    tonight = Walk("loaf", f"scheduled__past_{next(SERIAL)}", "scheduled", vars={"page": "night"})
    assert bake(tonight) is not None
    states = {i["labels"]["bakehouse-state"] for i in history(compute, tonight)}
    assert states == {"history", "promoted"}


@pytest.mark.long
def test_a_promoted_night_that_a_backfill_reprocesses_stays_promoted(compute: Compute) -> None:
    """Airflow turns the night's own run into one of the backfill."""
    night = Walk("loaf", "scheduled__r", "scheduled", night=DAYS[1], vars={"page": "reprocessed"})
    made = bake(night)
    night.clear(*CHAIN, "delete_builder")
    night.run.run_type = DagRunType.BACKFILL
    night.params["force"] = True
    assert bake(night) == made
    (image,) = history(compute, night)
    assert (image["family"], image["labels"]["bakehouse-state"]) == ("loaf", "promoted")


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_two_dates_of_one_content_at_the_same_time_are_baked_once() -> None:
    """As with --max-active-runs 2."""
    made = together([backfill(night, "together") for night in DAYS])
    assert len([name for name in made if name]) == 1
    (name,) = filter(None, made)
    assert covered(name) == [night.date() for night in DAYS]


@pytest.mark.usefixtures("compute")
class _OnAppend(list[Any]):
    """The waits of a run; something happens when it begins to wait."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def append(self, wait: Any) -> None:
        super().append(wait)
        self._happens()


@pytest.mark.usefixtures("compute")
def test_who_waits_goes_on_itself_when_the_other_run_has_failed() -> None:
    first = backfill(DAYS[0], "orphan")
    assert first.through("need_bake") is True
    second = backfill(DAYS[1], "orphan")
    second.deferred = _OnAppend(lambda: STATES.update({first.run_id: "failed"}))
    assert bake(second) is not None
    assert type(second.deferred[0].trigger).__name__ == "LeaseTrigger"
    first.tear_down()


@pytest.mark.long
def test_a_backfill_beside_a_scheduled_run(compute: Compute) -> None:
    night = Walk("loaf", f"scheduled__past_{next(SERIAL)}", "scheduled", vars={"page": "beside"})
    made = together([night, backfill(DAYS[0], "beside"), backfill(DAYS[1], "beside")])
    found = history(compute, night)
    assert made[0] is not None
    promoted = [i for i in found if i["labels"]["bakehouse-state"] == "promoted"]
    assert [i["name"] for i in promoted] == [made[0]]
    assert len(found) <= 2


@pytest.mark.usefixtures("compute")
def test_the_base_image_of_a_date_before_any_is_the_oldest_and_the_plan_says_so() -> None:
    run = backfill(datetime.now(UTC), "old base")
    run.params["git_ref"] = "HEAD"
    run.run.data_interval_end = datetime.now(UTC)
    run.through("plan_bake")
    assert run.handed["plan_bake"]["base_image"]["reason"] in {
        "base_of_that_date",
        "base_of_that_date_gone",
    }
    assert run.handed["plan_bake"]["base_image"]["name"].startswith("debian-12-bookworm-v")


@pytest.mark.parametrize(
    ("asks", "form", "past", "expected"),
    [
        (None, None, True, None),
        ("debian", None, False, None),
        ("debian", None, True, "20261123T000000Z"),
        ("debian", "2026-11-20", True, "20261120T000000Z"),
        (None, "2026-11-20", False, "20261120T000000Z"),
    ],
)
def test_whose_packages(
    recipe: Recipe, asks: str | None, form: str | None, past: bool, expected: str | None
) -> None:
    wanted = recipe.model_copy(update={"snapshot": asks})
    answers = BakeParams.model_validate({"snapshot_date": form})
    now = datetime(2026, 11, 23, 3, 17, tzinfo=UTC)
    assert snapshot_of(wanted, answers, now, history=past) == expected


def test_packages_of_tomorrow_are_refused(recipe: Recipe) -> None:
    answers = BakeParams.model_validate({"snapshot_date": "2026-11-24"})
    with pytest.raises(PermanentError, match="later than this run"):
        snapshot_of(recipe, answers, datetime(2026, 11, 23, 3, tzinfo=UTC), history=False)


def test_a_builder_is_told_where_its_days_archive_is(
    compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_SNAPSHOT_URL", "http://127.0.0.1:9/archive/")
    params: dict[str, Any] = {"force": True, "snapshot_date": "2026-11-20", "spot": "yes"}
    run = Walk("loaf", f"manual__past_{next(SERIAL)}", zone="us-central1-c", **params)
    run.through("create_builder")
    vm = run.handed["create_builder"]
    assert vm["zone"] == "us-central1-c"
    found = compute.call("GET", f"zones/{vm['zone']}/instances/{vm['name']}")
    told = {item["key"]: item["value"] for item in found["metadata"]["items"]}
    assert told["bakehouse-snapshot"] == "http://127.0.0.1:9/archive"
    assert "20261120T000000Z" in told["startup-script"]
    assert found["scheduling"]["provisioningModel"] == "SPOT"
    run.tear_down()


def test_days_of_a_snapshot_share_no_image() -> None:
    keys = set()
    for day in ("2026-11-19", "2026-11-20"):
        run = Walk("loaf", f"manual__past_{next(SERIAL)}", snapshot_date=day)
        run.through("plan_bake")
        keys.add(run.handed["plan_bake"]["content_key"])
    assert len(keys) == 2


def together(runs: list[Walk]) -> list[str | None]:
    """Each in a thread of its own."""
    made: list[str | None] = [None] * len(runs)
    errors: list[BaseException] = []

    def one(index: int) -> None:
        try:
            made[index] = bake(runs[index])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=280)
    assert errors == []
    return made
