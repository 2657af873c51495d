"""Every kind of event is read as it was written, those of schema 1 too."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime
from tests.support.paths import PROJECT

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BakeEvent, PromotionDetail, PromotionEvent
from bakehouse.history.event import BadEvent, Event
from bakehouse.history.events import LedgerEvent, parse_event
from bakehouse.history.housekeeping_events import ImagesKeptEvent, KeptImage
from bakehouse.history.rollout_events import MemberSkippedEvent

HERE = Path(__file__).parent
SCHEMA_1 = (HERE / "ledger_v1.jsonl").read_text().splitlines(keepends=True)
PATHS = (HERE / "ledger_v1_paths.txt").read_text().split()
WHEN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
KINDS: tuple[type[Event], ...] = get_args(get_args(LedgerEvent)[0])

moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
st.register_type_strategy(AwareDatetime, moments)


def events() -> st.SearchStrategy[LedgerEvent]:
    """Of every kind; a NaN is left out, for it equals nothing."""
    every = st.one_of([st.builds(kind, schema=st.just(2)) for kind in KINDS])
    return every.filter(lambda event: "NaN" not in event.to_json())  # type: ignore[return-value]


@given(events())
def test_an_event_is_read_as_it_was_written(event: LedgerEvent) -> None:
    assert parse_event(event.to_json()) == event


@given(events())
def test_an_event_is_one_line_with_its_schema_and_kind(event: LedgerEvent) -> None:
    line = event.to_json()
    form = json.loads(line)
    assert (line.count("\n"), form["schema"], form["kind"]) == (1, 2, event.kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_named_after_its_kind(kind: type[Event]) -> None:
    name = str(kind.model_fields["kind"].default).title().replace("_", "")
    assert kind.__name__ == f"{name}Event"


def test_the_guide_lists_every_kind() -> None:
    guide = (PROJECT / "docs/operating.md").read_text()
    table = guide.partition("| DAG | kinds of events |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([a-z_]+)`", table)) - {"housekeeping", "revoke"}
    assert listed == {kind.model_fields["kind"].default for kind in KINDS}


def test_there_is_a_record_of_schema_1_for_every_kind() -> None:
    recorded = {json.loads(line)["kind"] for line in SCHEMA_1}
    since = {"image_rolled_back", "data_finalised", "waits", "waited"}
    since |= {"members", "missing_fixes", "image_held", "hold_released", "rollout_cut_short"}
    assert recorded | since == {kind.model_fields["kind"].default for kind in KINDS}
    assert not recorded & since


@pytest.mark.parametrize(("line", "path"), list(zip(SCHEMA_1, PATHS, strict=True)))
def test_a_record_of_schema_1_says_the_same_under_the_same_name(line: str, path: str) -> None:
    event = parse_event(line)
    assert event.path == path
    before, now = said(json.loads(line)), said(json.loads(event.to_json()))
    assert {key: now.get(key) for key in before} == before


def said(form: dict[str, Any]) -> dict[str, Any]:
    """What a record says, wherever it stands: value by place, without what schema 2 has renamed."""
    detail = dict(form.pop("detail"))
    form.pop("schema")
    form["at"] = moment(form.get("at") or detail.pop("at", None))
    if form["kind"] == "images_kept" and isinstance(detail["kept"], list):
        told = [(kept["image"], f"{kept['reason']}: {kept['detail']}") for kept in detail["kept"]]
        detail["kept"] = {image: why.removesuffix(": ") for image, why in told}
    if form["kind"] == "member_skipped":
        detail["why"] = detail.pop("detail", None) or detail.get("why")
    for outcome in detail.get("outcomes", []):
        assert [outcome.pop(since, "") for since in ("cause", "first_try")] == ["", ""]
    for key, value in detail.items():
        detail[key] = moment(value)
    return {**form, **{f"detail.{key}": value for key, value in detail.items()}}


def moment(value: object) -> object:
    """Two spellings of one moment are equal."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def test_what_schema_1_said_in_one_text_is_parted() -> None:
    (kept,) = [
        event for line in SCHEMA_1 if isinstance(event := parse_event(line), ImagesKeptEvent)
    ]
    assert kept.detail.kept == (
        KeptImage(
            image="web-2", reason=Reason.USED_BY_INSTANCE, detail="fleet-1: the first, fleet-2"
        ),
        KeptImage(image="web-3", reason=Reason.RECIPE_GONE),
    )


def test_both_forms_of_a_skipped_member_say_why() -> None:
    skipped = [parse_event(line) for line in SCHEMA_1 if '"member_skipped"' in line]
    why = {e.detail.member: e.detail.why for e in skipped if isinstance(e, MemberSkippedEvent)}
    assert why == {"web-3": "web-2 did not get healthy", "web-4": "TERMINATED"}


def test_a_bake_of_before_there_were_layers_is_read() -> None:
    """Fields that records of schema 1 have only since then have a default."""
    form = next(json.loads(line) for line in SCHEMA_1 if '"kind": "bake"' in line)
    for later in ("base_image_id", "base_reason", "parent", "promoted", "snapshot", "updates"):
        del form["detail"][later]
    event = parse_event(json.dumps(form))
    assert isinstance(event, BakeEvent)
    assert event.detail.parent is None


def promotion(**fields: Any) -> PromotionEvent:
    facts: dict[str, Any] = {
        "time": WHEN,
        "dag_id": "bake__web",
        "run_id": "manual__1",
        "task_id": "promote_image",
        "recipe": "web",
        "image": "web-1",
        "git_sha": "a" * 40,
        "reason": Reason.PROMOTED,
        "detail": PromotionDetail(family="web", image_id="1"),
    }
    return PromotionEvent(**{**facts, **fields})


def test_the_id_is_made_from_run_kind_and_subject_alone() -> None:
    others: list[dict[str, str]] = [{"run_id": "2"}, {"subject": "vm-2"}, {"dag_id": "x"}]
    assert len({promotion().id, *(promotion(**fields).id for fields in others)}) == 4
    again = promotion(time=WHEN.replace(hour=5), at=WHEN, task_id="x", reason=Reason.FORCED)
    assert again.id == promotion().id
    owner = "bake__web\nmanual__1\npromotion\nweb-1"
    assert promotion().id == sha256(owner.encode()).hexdigest()[:20]


def test_a_time_is_told_in_utc_and_one_without_zone_is_refused() -> None:
    form = json.loads(promotion().to_json()) | {"time": "2026-11-23T04:00:00.000005+01:00"}
    assert parse_event(json.dumps(form)).time.isoformat() == "2026-11-23T03:00:00.000005+00:00"
    with pytest.raises(BadEvent, match="time is a time without a time zone"):
        parse_event(json.dumps(form | {"time": "2026-11-23T04:00:00"}))


@given(st.text() | st.binary())
def test_anything_else_is_a_bad_event(content: str | bytes) -> None:
    with pytest.raises(BadEvent):
        parse_event(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
names = st.sampled_from(["schema", "kind", "detail", "time", "reason", "subject"])


@given(
    st.sampled_from(SCHEMA_1),
    st.dictionaries(names, json_values | st.sampled_from([1, 2, 3, "bake", "images_kept"])),
)
def test_a_garbled_record_is_an_event_or_a_bad_one(line: str, garbled: dict[str, object]) -> None:
    told = ""
    try:
        parse_event(json.dumps(json.loads(line) | garbled))
    except BadEvent as bad:
        told = str(bad)
    assert "\n" not in told
