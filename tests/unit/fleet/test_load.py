"""Fleet files: what stands in them, what is refused and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import PROJECT

from bakehouse.fleet.load import load_fleet, load_fleets
from bakehouse.fleet.model import Fleet
from bakehouse.fleet.stages import sizes
from bakehouse.recipe.load import Mistakes

SMALLEST = "recipe: web\nmembers: {instances: [web-1], zones: [us-central1-a]}\n"


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(Mistakes) as told:
        load_fleet(text, "include/fleets/web.yaml")
    return [(m.line, m.where, m.remedy) for m in told.value.mistakes]


def test_every_fleet_of_the_project_is_right() -> None:
    fleets, broken = load_fleets(PROJECT / "include" / "fleets")
    assert broken == []
    assert "web" in [fleet.name for fleet in fleets]


def test_the_smallest_fleet_rolls_back_and_waits_for_a_click() -> None:
    fleet = load_fleet(SMALLEST, "fleets/web.yaml")
    assert (fleet.name, fleet.rollout, fleet.on_failure) == ("web", "manual", "roll_back")
    assert fleet.stages == (1, "50%", "100%")
    assert fleet.retries_of("replace") == 3


def test_the_json_form_is_the_form_of_the_file() -> None:
    fleet = load_fleet(SMALLEST + "soak: 90s\nsla: {replace: 2h}\n", "fleets/web.yaml")
    assert type(fleet).model_validate(fleet.model_dump(mode="json")) == fleet


def test_all_mistakes_are_told_at_once_with_line_and_remedy() -> None:
    told = problems(
        "recip: web\n"
        "members: {instances: [a, a], zones: [us-central1-a]}\n"
        "stages: [1, 40%]\n"
        "sla: {replce: 3h}\n"
        "strategy: swop\n"
        "max_unavailable: 0\n"
    )
    assert [line for line, _, _ in told] == [1, 1, 2, 3, 4, 5, 6]
    assert ("recip", "Did you mean recipe?") in [(where, remedy) for _, where, remedy in told]
    assert (4, "sla.replce", "Did you mean replace?") in told
    assert (5, "strategy", "Did you mean swap?") in told


@pytest.mark.parametrize(
    "members",
    [
        "{zones: [us-central1-a]}",
        "{instances: [a], labels: {fleet: web}, zones: [us-central1-a]}",
        "{labels: {}, zones: [us-central1-a]}",
        "{instances: [a], zones: []}",
        "{instances: [A], zones: [us-central1-a]}",
    ],
)
def test_members_are_named_in_one_way(members: str) -> None:
    assert problems(f"recipe: web\nmembers: {members}\n")[0][0] == 2


@pytest.mark.parametrize(
    "stages", ["[1]", "[100%, 1]", "[2, 1, 100%]", "[50%, 50%, 100%]", "[0, 100%]"]
)
def test_stages_grow_and_take_in_everybody(stages: str) -> None:
    assert problems(f"{SMALLEST}stages: {stages}\n")[0][0] == 3


@pytest.mark.parametrize(
    ("members", "expected"),
    [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (10, [1, 4, 5])],
)
def test_small_fleets_leave_stages_empty(members: int, expected: list[int]) -> None:
    assert sizes([1, "50%", "100%"], members) == expected


@given(
    st.lists(st.one_of(st.integers(1, 30), st.integers(1, 100).map("{}%".format)), max_size=6),
    st.integers(0, 50),
)
def test_every_member_is_in_exactly_one_stage(stages: list[int | str], members: int) -> None:
    found = sizes([*stages, "100%"], members)
    assert len(found) == len(stages) + 1
    assert sum(found) == members
    assert min(found) >= 0


def test_the_example_of_the_guide_is_right() -> None:
    guide = (PROJECT / "docs" / "fleets.md").read_text()
    example = guide.split("```yaml\n")[1].split("```")[0]
    fleet = load_fleet(example, "include/fleets/web.yaml")
    assert fleet.soak is not None
    assert "`wait_for_fleet`" in guide
    assert set(fleet.model_dump(exclude_unset=True)) <= set(Fleet.model_fields)


def test_windows_of_a_file_have_days_hours_and_a_time_zone() -> None:
    fleet = load_fleet(
        SMALLEST
        + "windows:\n"
        + "  - {days: mon-thu, hours: 09:00-16:00, timezone: Europe/Berlin}\n"
        + "  - {days: [sat], hours: 22:00-04:00}\n"
        + "held_at_most: 3d\n",
        "fleets/web.yaml",
    )
    assert [str(window) for window in fleet.windows] == [
        "mon, tue, wed, thu 09:00-16:00 Europe/Berlin",
        "sat 22:00-04:00 UTC",
    ]
    assert Fleet.model_validate(fleet.model_dump(mode="json")) == fleet


def test_all_mistakes_of_windows_are_told_at_once_each_at_its_line() -> None:
    told = problems(
        SMALLEST
        + "windows:\n"
        + "  - {days: monday, hours: 09:00-16:00}\n"
        + "  - {hours: 16:00}\n"  # YAML reads the number 960
        + "  - {timezone: Europe/Berlinn}\n"
        + "  - {hours: 09:00-09:00, day: mon}\n"
    )
    assert [(line, where) for line, where, _ in told] == [
        (4, "windows[0].days"),
        (5, "windows[1].hours"),
        (6, "windows[2].timezone"),
        (7, "windows[3].day"),
        (7, "windows[3].hours"),
    ]
    assert told[3][2] == "Did you mean days?"
