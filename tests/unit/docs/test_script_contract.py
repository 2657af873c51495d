"""Each line of the guide's script contract is held by a test, and its values are the code's."""

from __future__ import annotations

import re

import pytest
from tests.support.guides import lines_of
from tests.support.paths import PROJECT

from bakehouse.guest import render
from bakehouse.recipe.facts import ImageFacts
from bakehouse.recipe.model import Builder
from bakehouse.recipe.payload import VALUE_BYTES
from bakehouse.recipe.readiness import Ready

GUIDE = PROJECT / "docs/recipes.md"
RENDER = "tests/integration/guest/test_render.py"
READY = "tests/integration/guest/test_ready.py"
BOOT = "tests/integration/guest/test_boot_script.py"
BAKE = "tests/integration/guest/test_bake_script.py"
BUILDER = "tests/integration/guest/test_builder.py"
NAMES = "tests/unit/recipe/test_template_names.py"
COLLECT = "tests/unit/recipe/test_collect.py"
SCRIPTS = "tests/unit/recipe/test_render.py"
ORDERS = "tests/integration/guest/test_orders.py"
LOOP = "tests/integration/local/test_inner_loop.py"

# The beginning of a line, and the tests that fail when it does not hold.
HELD_BY = {
    "`*.sh.j2` files see": [f"{NAMES}::test_names_that_are_defined_or_asked_for_are_taken"],
    "Files of `templates/` see": [f"{RENDER}::test_every_name_a_template_may_use"],
    "`image` has": ["test_an_image_has_the_facts_that_the_guide_names"],
    "`instance` is what": [f"{RENDER}::test_every_name_a_template_may_use"],
    "An attribute of the instance wins": [
        f"{BOOT}::test_instance_attributes_win_over_the_projects",
        f"{RENDER}::test_ours_win_over_attributes_of_the_same_name",
    ],
    "A name that nobody defines": [
        f"{NAMES}::test_a_name_that_no_instance_has_is_told_with_its_line",
        f"{BOOT}::test_an_undefined_name_is_told_with_file_and_line",
    ],
    "A value is never a template": [
        f"{RENDER}::test_a_value_is_no_template",
        f"{RENDER}::test_a_template_reaches_nothing_but_its_names",
    ],
    "Values in `*.html.j2`": [
        f"{RENDER}::test_markup_is_escaped_and_config_is_not",
        "test_the_endings_of_markup_are_those_of_the_guide",
    ],
    "A file that the image has": [
        f"{RENDER}::test_a_file_keeps_the_owner_and_mode_that_a_package_gave_it"
    ],
    "A new file belongs to root": [f"{RENDER}::test_modes_links_and_plain_files"],
    "A file of `templates/` without": [f"{RENDER}::test_modes_links_and_plain_files"],
    "Templates are rendered at each boot": [
        f"{RENDER}::test_all_mistakes_at_once_and_nothing_written",
        f"{RENDER}::test_rendering_again_replaces",
    ],
    "A changed unit of systemd": [f"{BOOT}::test_units_rendered_from_templates_are_loaded"],
    "`health` runs as root": [f"{READY}::test_a_health_script_that_answers"],
    "It runs at boot until": [
        f"{READY}::test_a_service_is_ready_once_it_listens",
        f"{READY}::test_a_service_that_is_gone_after_the_smoke_test_fails_it",
        "tests/integration/guest/test_report.py::test_boot_starts_the_timer_that_the_image_has",
        "test_the_defaults_of_ready_are_those_of_the_guide",
    ],
    "It may take 10 seconds": [
        "tests/integration/guest/test_report.py"
        "::test_a_health_check_that_hangs_is_ended_and_reported_as_ill",
        "test_the_defaults_of_ready_are_those_of_the_guide",
    ],
    "What it prints is the reason": [
        f"{BOOT}::test_unhealthy_smoke_machine_says_what_health_printed_and_how_often"
    ],
    "A line `busy: 12 of 340`": [
        "tests/integration/guest/test_report.py::test_a_check_that_counts_is_busy_and_not_ill",
        f"{BOOT}::test_a_boot_that_counts_to_something_is_reported_as_busy_at_once",
    ],
    "`gate` exits with 0": [
        f"{ORDERS}::test_a_gate_that_exits_with_0_is_open_and_with_1_blocked_with_what_it_said"
    ],
    "A line `leader`": [f"{ORDERS}::test_a_gate_names_its_instance_as_a_leader_by_a_line"],
    "`drain` and `resume` exit": [
        f"{ORDERS}::test_drain_runs_once_for_a_nonce_and_is_answered_again",
        "tests/unit/fleet/test_gate_fields.py::test_what_a_fleet_waits_for_by_default",
    ],
    "Each runs as root, without arguments, with empty": [
        f"{ORDERS}::test_a_script_gets_its_order_and_no_input"
    ],
    "Each must bear being run twice": [
        f"{ORDERS}::test_an_order_that_was_interrupted_is_not_carried_out_twice"
    ],
    "An instance answers no other orders": [
        f"{ORDERS}::test_an_order_that_is_none_of_the_five_runs_nothing",
        f"{ORDERS}::test_what_is_no_order_for_this_boot_is_passed_over_and_the_next_one_is_answered",
    ],
    "A recipe without `health`": [f"{BAKE}::test_a_child_recipe_bakes_on_a_parent_image"],
    "Packages start no service": [
        f"{BAKE}::test_services_do_not_start_while_installing",
        f"{BUILDER}::test_a_service_runs_for_the_time_of_a_command",
    ],
    "Nothing asks": [
        f"{BUILDER}::test_what_asks_is_told_not_to",
        f"{BUILDER}::test_children_without_our_environment_are_told_too_and_the_image_is_not",
    ],
    "The timers `apt-daily.timer`": ["test_the_timers_that_are_off_are_those_of_the_guide"],
    "The units of `services`": [
        f"{BAKE}::test_a_service_is_stored_under_its_real_name",
        f"{BOOT}::test_a_member_renders_starts_and_reports",
    ],
    "`install.sh` ends with": [
        f"{BAKE}::test_a_failing_install_names_its_own_line",
        f"{BAKE}::test_installing_that_does_not_end_is_told",
        "test_the_deadline_of_an_install_is_that_of_the_guide",
    ],
    "Lists of apt, logs": [f"{BAKE}::test_what_tells_machines_apart_is_gone"],
    "Every file of the recipe's folder": [
        f"{COLLECT}::test_every_file_with_its_mode_and_bytes",
        f"{SCRIPTS}::test_a_payload_that_is_too_big_names_the_biggest_files",
        "test_the_limit_of_a_payload_is_that_of_the_guide",
    ],
    "`install.sh` runs in that folder": [
        f"{BUILDER}::test_a_helper_beside_install_runs_where_dpkg_runs_its_own"
    ],
    "The image gets": [f"{BAKE}::test_it_installs_says_so_twice_and_powers_off"],
    "`smoke_test.sh` runs after": [f"{BOOT}::test_a_smoke_test_tells_each_check"],
    "Of metadata the smoke machine gets": [
        f"{SCRIPTS}::test_the_smoke_machine_gets_the_recipes_config_and_not_our_names"
    ],
    "`bakehouse render": [
        "tests/integration/cli/test_commands.py"
        "::test_the_files_of_a_boot_are_rendered_with_the_metadata_given"
    ],
    "`bakehouse build": [
        "tests/integration/guest/test_install_parts.py"
        "::test_a_builder_that_is_to_stay_does_not_power_off_when_its_install_fails",
        "tests/vm/test_inner_loop.py",
    ],
    "`bakehouse run": [
        f"{LOOP}::test_a_machine_without_its_runtime_config_says_why_it_is_unhealthy"
    ],
    "`/usr/lib/bakehouse/ready`": [f"{READY}::test_every_dead_unit_is_told_with_its_last_lines"],
    "The error of a failed script": [
        f"{BAKE}::test_a_failing_install_names_its_own_line",
        f"{BAKE}::test_the_message_is_the_end_of_the_output_and_always_text",
    ],
    "`builder: {keep_builder_on_failure": [
        "tests/integration/guest/test_install_parts.py"
        "::test_a_builder_that_is_kept_powers_off_once_and_stays_when_somebody_starts_it",
        f"{BOOT}::test_kept_smoke_machine_that_is_started_again_stays_on",
    ],
}


def contract() -> list[str]:
    return lines_of(GUIDE, "The script contract")


def line_of(beginning: str) -> str:
    (found,) = [line for line in contract() if line.startswith(beginning)]
    return found


def test_each_line_has_its_tests_and_each_entry_its_line() -> None:
    without = [line for line in contract() if not any(map(line.startswith, HELD_BY))]
    assert without == []
    for beginning in HELD_BY:
        line_of(beginning)


@pytest.mark.parametrize("beginning", HELD_BY)
def test_the_tests_that_hold_a_line_exist(beginning: str) -> None:
    for test in HELD_BY[beginning]:
        file, _, name = test.rpartition("::")
        if name.endswith(".py"):
            assert (PROJECT / name).is_file()
            continue
        source = (PROJECT / file if file else PROJECT / __file__).read_text("utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), test


def test_an_image_has_the_facts_that_the_guide_names() -> None:
    line = line_of("`image` has")
    assert set(re.findall(r"`(\w+)`", line)) - {"image"} == set(ImageFacts.model_fields) - {"image"}


def test_the_endings_of_markup_are_those_of_the_guide() -> None:
    found = re.findall(r"`\*(\.\w+\.j2)`", line_of("Values in `*.html.j2`"))
    assert tuple(found) == render.MARKUP


def test_the_defaults_of_ready_are_those_of_the_guide() -> None:
    ready = Ready()
    assert f"every {ready.period.total_seconds():.0f} seconds" in line_of("It runs at boot")
    assert f"may take {ready.timeout.total_seconds():.0f} seconds" in line_of("It may take")


def test_the_deadline_of_an_install_is_that_of_the_guide() -> None:
    minutes = Builder().install_deadline_minutes
    assert f"after {minutes} minutes" in line_of("`install.sh` ends with")


def test_the_limit_of_a_payload_is_that_of_the_guide() -> None:
    assert f"{VALUE_BYTES // 1024} KiB" in line_of("Every file of the recipe's folder")


def test_the_timers_that_are_off_are_those_of_the_guide() -> None:
    script = (PROJECT / "plugins/bakehouse/guest/bake.sh.j2").read_text("utf-8")
    (timers,) = re.findall(r"^timers=\((.+)\)$", script, re.MULTILINE)
    assert re.findall(r"`(apt-[\w.-]+)`", line_of("The timers")) == timers.split()
