"""Each complaint about other tools in the guide to rollouts is held by tests."""

from __future__ import annotations

import re

import pytest
from tests.support.guides import lines_of
from tests.support.paths import PROJECT

GUIDE = PROJECT / "docs/rollouts.md"
HERE, UNIT = "tests/integration/rollout", "tests/unit/rollout"
FLOW = "tests/flow"

# The beginning of a line, and the tests that fail when it does not hold.
HELD_BY = {
    "A roll-back goes to the new": [
        f"{HERE}/test_pinned_plan.py::test_an_edit_in_the_middle_changes_neither_goal_nor_way_back",
        f"{HERE}/test_mig.py::test_a_plan_that_is_made_again_in_the_middle_has_the_same_way_back",
    ],
    "A rollout waits for days": [
        f"{UNIT}/test_progress.py::test_the_clock_begins_anew_with_each_member_that_has_passed",
        f"{UNIT}/test_watch.py::test_a_crash_loop_and_silence_end_in_time",
        f"{UNIT}/test_watch.py::"
        "test_a_member_that_flaps_fails_though_no_two_reports_in_a_row_are_bad",
        f"{HERE}/test_progress.py::"
        "test_a_member_that_is_tried_again_and_again_ends_the_rollout_in_time",
        f"{HERE}/test_progress.py::test_a_closed_gate_that_is_asked_again_and_again_ends_in_time",
    ],
    "A fix cannot go out": [
        f"{HERE}/test_ill_fleet.py::"
        "test_a_fleet_with_ill_members_takes_the_image_that_mends_them_ill_ones_first",
        f"{UNIT}/test_order.py::"
        "test_a_fleet_of_which_one_two_or_all_are_ill_takes_a_fixing_image_ill_ones_first",
    ],
    "An undo is treated": [
        f"{HERE}/test_failed_here.py::"
        "test_the_way_back_goes_in_reverse_order_without_soak_or_approval",
        f"{HERE}/test_gates.py::test_a_way_back_asks_the_same_gate",
        f"{FLOW}/test_rollout.py::test_a_later_stage_takes_those_before_back_too_in_reverse_order",
    ],
    "One of a hundred fails": [
        f"{HERE}/test_second_try.py::"
        "test_a_member_without_capacity_is_tried_once_more_on_a_fresh_disk",
        f"{HERE}/test_failed_here.py::"
        "test_beyond_halt_after_the_fleet_stays_and_the_image_keeps_its_family",
        f"{UNIT}/test_outcome.py::test_beyond_halt_after_nothing_goes_back_by_itself",
    ],
    "A to B and back": [
        f"{HERE}/test_pinned_plan.py::test_a_fleet_goes_there_and_back_and_there_again",
        f"{UNIT}/test_plan.py::"
        "test_an_image_with_the_name_of_the_members_own_is_another_image_by_its_id",
    ],
    "An abort is ignored": [
        f"{HERE}/test_stopped.py::"
        "test_a_stopped_rollout_names_the_state_of_its_member_and_the_next_one_goes_on",
        f"{FLOW}/test_rollout_decisions.py::"
        "test_a_run_that_is_cancelled_in_mid_swap_goes_on_when_it_is_cleared",
        f"{FLOW}/test_rollout.py::"
        "test_a_rollout_that_is_marked_failed_in_mid_swap_is_taken_up_by_the_next_one",
    ],
    "An upgrade of the tool": [
        f"{UNIT}/test_stored.py::test_a_fleet_at_rest_is_not_touched_after_an_upgrade",
        f"{HERE}/test_hold.py::"
        "test_outside_its_windows_a_fleet_is_left_alone_and_the_reason_is_told",
        f"{HERE}/test_hold.py::test_a_freeze_holds_a_reconcile_and_a_change_of_metadata_too",
        "tests/integration/bake/test_frozen_promotion.py::"
        "test_a_tested_image_is_promoted_when_the_freeze_has_ended",
    ],
    "A protected machine": [
        f"{HERE}/test_odd_members.py::test_every_odd_member_is_judged_with_its_reason_and_counted",
    ],
    "A member that recovers": [
        f"{HERE}/test_gates.py::test_a_busy_member_is_waited_for_up_to_a_hard_limit",
        f"{UNIT}/test_states.py::"
        "test_a_busy_member_has_time_while_it_counts_further_up_to_a_hard_limit",
    ],
    "A rollout that is stuck": [
        f"{HERE}/test_gates.py::"
        "test_a_blocked_member_waits_with_the_named_reason_until_its_deadline",
        "tests/unit/history/test_overview.py::"
        "test_a_rollout_that_waits_says_since_when_and_why_until_it_goes_on",
        "tests/unit/runs/test_note.py::test_a_wait_says_task_member_and_since_when",
    ],
}


def complaints() -> list[str]:
    return lines_of(GUIDE, "What goes wrong elsewhere")


def test_each_complaint_has_its_tests_and_each_entry_its_complaint() -> None:
    assert [line for line in complaints() if not any(map(line.startswith, HELD_BY))] == []
    assert [begin for begin in HELD_BY if not any(c.startswith(begin) for c in complaints())] == []


@pytest.mark.parametrize("beginning", HELD_BY)
def test_the_tests_that_hold_a_complaint_exist(beginning: str) -> None:
    for test in HELD_BY[beginning]:
        file, _, name = test.partition("::")
        source = (PROJECT / file).read_text("utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), test
