from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bakehouse.bake.builder import adopts, builder_at, insert_body
from bakehouse.bake.plan import BakePlan
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Recipe

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "name", "zone"),
    [
        ("1", "bake-web-01234567-1", "us-central1-a"),
        ("2", "bake-web-01234567-2", "us-central1-b"),
        ("3", "bake-web-01234567-3", "us-central1-a"),
        ("w1", "bake-web-01234567-w1", "us-central1-b"),
        ("w2", "bake-web-01234567-w2", "us-central1-a"),
    ],
)
def test_each_attempt_has_a_name_and_goes_to_the_next_zone(
    plan: BakePlan, attempt: str, name: str, zone: str
) -> None:
    vm = builder_at(plan, attempt)
    assert (vm.name, vm.zone) == (name, zone)


def test_machine_and_disk_are_labelled_from_their_first_moment(
    plan: BakePlan, recipe: Recipe
) -> None:
    body = insert_body(plan, recipe, builder_at(plan, "1"), {}, NOW)
    labels = body["labels"]
    assert body["disks"][0]["initializeParams"]["labels"] == labels
    assert labels["bakehouse-run"] == plan.run
    assert labels["git-sha"] == plan.commit.sha
    assert labels["bakehouse-role"] == "builder"
    expires = datetime.fromtimestamp(int(labels["expires"]), UTC)
    assert expires == NOW + timedelta(minutes=60) + timedelta(hours=1)


def test_9_a_builder_that_may_be_kept_says_so_from_its_first_moment(
    plan: BakePlan, recipe: Recipe
) -> None:
    kept = plan.model_copy(update={"keep_builder": True})
    labels = insert_body(kept, recipe, builder_at(plan, "1"), {}, NOW)["labels"]
    assert "bakehouse-kept" in labels
    assert datetime.fromtimestamp(int(labels["expires"]), UTC) == NOW + timedelta(hours=24)
    assert (
        "bakehouse-kept" not in insert_body(plan, recipe, builder_at(plan, "1"), {}, NOW)["labels"]
    )


def test_a_forgotten_builder_deletes_itself_and_its_disk(plan: BakePlan, recipe: Recipe) -> None:
    body = insert_body(plan, recipe, builder_at(plan, "1"), {}, NOW)
    assert body["scheduling"]["maxRunDuration"] == {"seconds": "3600"}
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["disks"][0]["autoDelete"] is True


def test_nothing_reaches_a_builder_unless_asked(plan: BakePlan, recipe: Recipe) -> None:
    body = insert_body(plan, recipe, builder_at(plan, "1"), {"startup-script": "true"}, NOW)
    assert "accessConfigs" not in body["networkInterfaces"][0]
    assert "serviceAccounts" not in body
    assert body["metadata"]["items"] == [{"key": "startup-script", "value": "true"}]


def test_what_the_recipe_asks_for_is_in_the_body(plan: BakePlan) -> None:
    recipe = load_recipe(
        "base: debian-cloud/debian-12\n"
        "builder:\n"
        "  external_ip: true\n"
        "  subnetwork: ci\n"
        "  service_account: b@p.iam.gserviceaccount.com\n"
        "  scopes: [https://www.googleapis.com/auth/devstorage.read_only]\n"
        "  tags: [builders]\n"
        "image: {shielded: true, kms_key: projects/p/locations/l/keyRings/r/cryptoKeys/k}\n",
        "web.yaml",
    )
    spot = plan.model_copy(update={"spot": True})
    body = insert_body(spot, recipe, builder_at(plan, "1"), {}, NOW)
    assert body["scheduling"]["provisioningModel"] == "SPOT"
    assert body["networkInterfaces"][0]["accessConfigs"]
    assert body["networkInterfaces"][0]["subnetwork"] == "regions/us-central1/subnetworks/ci"
    assert body["serviceAccounts"][0]["email"] == "b@p.iam.gserviceaccount.com"
    assert body["tags"] == {"items": ["builders"]}
    assert body["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert body["disks"][0]["diskEncryptionKey"]["kmsKeyName"].endswith("cryptoKeys/k")


def test_a_missing_or_failed_builder_is_not_adopted() -> None:
    assert not adopts(None)
    assert not adopts({"labels": {"bakehouse-state": "failed"}})
    assert adopts({"labels": {"bakehouse-state": "candidate"}})
