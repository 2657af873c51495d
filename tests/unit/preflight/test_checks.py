"""Git, Airflow's settings, the triggerer, unread facts, and the table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.preflight.test_quota import BUILDER

from bakehouse.cloud.permissions import Resource, service_accounts
from bakehouse.config.project import Project
from bakehouse.core.check import State, failed, passed, unknown
from bakehouse.fleet.model import Fleet
from bakehouse.preflight.airflow_checks import check_git, check_settings, check_triggerer
from bakehouse.preflight.decisions import check_permissions, check_store
from bakehouse.preflight.facts import (
    AirflowFacts,
    CloudFacts,
    GitFacts,
    StoreFacts,
    TriggererFacts,
    Unread,
)
from bakehouse.preflight.needs import Needs, needs_of
from bakehouse.preflight.table import summary, table
from bakehouse.recipe.model import Recipe

ACCOUNTS = service_accounts()
NEEDS = Needs(machines=(BUILDER,), bases={}, members=3, purposes=frozenset())
AIRFLOW = AirflowFacts(
    executor="LocalExecutor",
    heartbeat_seconds=1.0,
    triggerer_capacity=1000,
    first_look_seconds=1.5,
    database="postgresql",
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heartbeat_seconds": 5.0}, "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1"),
        ({"heartbeat_seconds": 5.0, "executor": "CeleryExecutor"}, ""),
        ({"first_look_seconds": 0.0}, "AIRFLOW__BAKEHOUSE__FIRST_LOOK=1.5"),
        ({"first_look_seconds": 0.0, "executor": "LastWordExecutor"}, ""),
        ({"triggerer_capacity": 7}, "AIRFLOW__TRIGGERER__CAPACITY=1000"),
        ({"triggerer_capacity": 8}, ""),
        ({"database": "sqlite"}, ""),
        ({"is_composer": True}, "bakehouse-timetable=builtin"),
        ({"is_composer": True, "timetable": "builtin"}, ""),
    ],
)
def test_a_setting_that_breaks_bakes_is_told_with_its_value(
    changes: dict[str, object], words: str
) -> None:
    (check,) = check_settings(replace(AIRFLOW, **changes), NEEDS, 8)  # type: ignore[arg-type]
    assert (check.state is State.OK) == (words == "")
    assert words in check.remedy


def test_sqlite_is_too_small_for_more_runs_than_it_takes() -> None:
    many = replace(NEEDS, machines=(BUILDER,) * 12)
    (check,) = check_settings(replace(AIRFLOW, database="sqlite"), many, 12)
    assert "SQLite" in check.found


def test_a_repository_that_cannot_be_read_or_lacks_recipes_is_told() -> None:
    assert check_git(GitFacts("c", "a" * 40)).ok
    assert "cannot fetch" in check_git(GitFacts("c", Unread("cannot fetch x"))).found
    lacking = check_git(GitFacts("c", "a" * 40, ("web", "api")))
    assert lacking.found == "commit aaaaaaa does not have web, api"


def test_a_triggerer_has_our_triggers_of_the_same_version() -> None:
    assert check_triggerer(TriggererFacts("1.2"), "1.2").ok
    assert "has Bakehouse 1.1" in check_triggerer(TriggererFacts("1.1"), "1.2").found
    lost = check_triggerer(TriggererFacts(problem="No module named 'bakehouse'"), "1.2")
    assert lost.remedy.startswith("pip install bakehouse==1.2")


def test_a_ledgers_remedy_is_a_role_of_the_bucket() -> None:
    told = check_store(StoreFacts("gs://conn@b/ledger", "Forbidden"), "me@p", ACCOUNTS, "p")
    assert told.remedy == (
        "gcloud storage buckets add-iam-policy-binding gs://b --member serviceAccount:me@p"
        " --role projects/p/roles/bakehouseLedger"
    )


@pytest.mark.parametrize(
    ("message", "api", "permission"),
    [
        ("x: Required 'compute.regions.get' permission for 'p' (403)", "", "compute.regions.get"),
        ("a@b does not have storage.objects.create access to", "", "storage.objects.create"),
        ("visit https://x/apis/api/iam.googleapis.com/overview", "iam.googleapis.com", ""),
        ("connection reset", "", ""),
    ],
)
def test_googles_messages_say_which_api_or_permission_is_missing(
    message: str, api: str, permission: str
) -> None:
    why = Unread(message)
    assert (why.disabled_api, why.missing_permission) == (api, permission)


def test_permissions_of_what_is_not_used_are_not_asked_for() -> None:
    uses = ACCOUNTS.orchestrator.on(Resource.PROJECT)
    needed = {name for use in uses if not use.optional for name in use.names}
    facts = CloudFacts(connection="c", project="p", granted=frozenset(needed))
    (check,) = check_permissions(facts, NEEDS, ACCOUNTS)
    assert check.ok
    assert "not used and not granted: managed instance groups" in check.found
    used = replace(NEEDS, purposes=frozenset({"managed instance groups"}))
    (check,) = check_permissions(facts, used, ACCOUNTS)
    assert "compute.instanceGroupManagers.update" in check.remedy


def test_every_purpose_that_a_project_may_use_is_one_of_the_file() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "web",
            "base": "debian-cloud/debian-12",
            "image": {"kind": "machine_image"},
            "builder": {"external_ip": True},
        }
    )
    members = {"instances": [{"name": "a", "zone": "us-central1-a", "address": "x"}]}
    fleets = [
        Fleet.model_validate({"name": "web", "recipe": "web", "members": members}),
        Fleet.model_validate(
            {
                "name": "mig",
                "recipe": "web",
                "strategy": "mig",
                "members": {"group": "g", "zones": ["us-central1-a"]},
            }
        ),
    ]
    found = needs_of(Project([recipe], fleets, [], [])).purposes
    optional = {u.purpose for u in ACCOUNTS.orchestrator.on(Resource.PROJECT) if u.optional}
    assert len(found) == 4
    assert found <= optional


def test_a_command_is_never_folded_and_what_was_found_is() -> None:
    command = "gcloud " + "long " * 30
    checks = [passed("a", "fine"), failed("network", "word " * 20, command), unknown("b", "why")]
    lines = table(checks, width=50)
    assert lines[0] == "✓ a        fine"
    assert f"           → {command}" in lines
    assert all(len(line) <= 50 for line in lines if "→" not in line)
    assert summary(checks) == (
        "1 wrong, 1 not known, 1 fine: run the commands from the top, then this again"
    )
