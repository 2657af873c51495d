from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.bake import candidate
from bakehouse.bake.builder import adopts, builder_at, insert_body, special_metadata
from bakehouse.bake.plan import LocalLayer
from bakehouse.recipe.load import load_recipe

if TYPE_CHECKING:
    from bakehouse.bake.plan import BakePlan
    from bakehouse.recipe.model import Recipe

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "name", "zone"),
    [
        ("1", "bake-web-01234567-1", "us-central1-a"),
        ("2", "bake-web-01234567-2", "us-central1-b"),
        ("3", "bake-web-01234567-3", "us-central1-a"),
        ("w1", "bake-web-01234567-w1", "us-central1-b"),
        ("w2", "bake-web-01234567-w2", "us-central1-b"),
        ("w3", "bake-web-01234567-w3", "us-central1-a"),
    ],
)
def test_each_attempt_has_a_name_and_goes_to_the_next_zone(
    plan: BakePlan, attempt: str, name: str, zone: str
) -> None:
    vm = builder_at(plan, attempt)
    assert (vm.name, vm.zone) == (name, zone)


def test_machine_and_disk_are_labelled_from_their_first_moment(plan: BakePlan) -> None:
    body = insert_body(plan, builder_at(plan, "1"), {}, NOW)
    labels = body["labels"]
    assert body["disks"][0]["initializeParams"]["labels"] == labels
    assert labels["bakehouse-run"] == plan.run
    assert labels["git-sha"] == plan.commit.sha
    assert labels["bakehouse-role"] == "builder"
    expires = datetime.fromtimestamp(int(labels["expires"]), UTC)
    assert expires == NOW + timedelta(minutes=60) + timedelta(hours=1)


def test_a_builder_that_may_be_kept_says_so_from_its_first_moment(plan: BakePlan) -> None:
    kept = plan.model_copy(update={"keep_builder": True})
    labels = insert_body(kept, builder_at(plan, "1"), {}, NOW)["labels"]
    assert "bakehouse-kept" in labels
    assert datetime.fromtimestamp(int(labels["expires"]), UTC) == NOW + timedelta(hours=24)
    assert "bakehouse-kept" not in insert_body(plan, builder_at(plan, "1"), {}, NOW)["labels"]


def test_a_forgotten_builder_deletes_itself_and_its_disk(plan: BakePlan) -> None:
    body = insert_body(plan, builder_at(plan, "1"), {}, NOW)
    assert body["scheduling"]["maxRunDuration"] == {"seconds": "3600"}
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["disks"][0]["autoDelete"] is True


def test_nothing_reaches_a_builder_unless_asked(plan: BakePlan) -> None:
    body = insert_body(plan, builder_at(plan, "1"), {"startup-script": "true"}, NOW)
    assert "accessConfigs" not in body["networkInterfaces"][0]
    assert "serviceAccounts" not in body
    assert body["metadata"]["items"] == [{"key": "startup-script", "value": "true"}]


def test_what_the_recipe_asks_for_is_in_the_body(plan: BakePlan) -> None:
    recipe = load_recipe(
        "base: debian-cloud/debian-12\n"
        "builder:\n"
        "  spot: true\n"
        "  external_ip: true\n"
        "  subnetwork: ci\n"
        "  service_account: b@p.iam.gserviceaccount.com\n"
        "  scopes: [https://www.googleapis.com/auth/devstorage.read_only]\n"
        "  tags: [builders]\n"
        "image: {shielded: true, kms_key: projects/p/locations/l/keyRings/r/cryptoKeys/k}\n",
        "web.yaml",
    )
    body = insert_body(of_recipe(plan, recipe), builder_at(plan, "1"), {}, NOW)
    assert body["scheduling"]["provisioningModel"] == "SPOT"
    assert body["networkInterfaces"][0]["accessConfigs"]
    assert body["networkInterfaces"][0]["subnetwork"] == "regions/us-central1/subnetworks/ci"
    assert body["serviceAccounts"][0]["email"] == "b@p.iam.gserviceaccount.com"
    assert body["tags"] == {"items": ["builders"]}
    assert body["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert body["disks"][0]["diskEncryptionKey"]["kmsKeyName"].endswith("cryptoKeys/k")


@pytest.mark.parametrize(
    ("text", "network", "subnetwork"),
    [
        ("", "global/networks/default", None),
        ("builder: {network: ci}\n", "global/networks/ci", None),
        ("builder: {subnetwork: ci}\n", None, "regions/us-central1/subnetworks/ci"),
        (
            "builder: {network: n, subnetwork: projects/host/regions/us-central1/subnetworks/s}\n",
            "global/networks/n",
            "projects/host/regions/us-central1/subnetworks/s",
        ),
        (
            "builder: {zones: [europe-west3-a],"
            " subnetwork: projects/net-host/regions/europe-west3/subnetworks/bakers}\n",
            None,
            "projects/net-host/regions/europe-west3/subnetworks/bakers",
        ),
    ],
)
def test_with_a_subnetwork_the_network_is_compute_engines_to_know(
    plan: BakePlan, text: str, network: str | None, subnetwork: str | None
) -> None:
    (interface,) = body_of(plan, text)["networkInterfaces"]
    assert (interface.get("network"), interface.get("subnetwork")) == (network, subnetwork)


def of_recipe(plan: BakePlan, recipe: Recipe) -> BakePlan:
    return plan.model_copy(update={"builder": recipe.builder, "image": recipe.image})


def baked(text: str = "") -> Recipe:
    return load_recipe(f"base: debian-cloud/debian-12\n{text}", "web.yaml")


def body_of(plan: BakePlan, text: str, **changes: Any) -> dict[str, Any]:
    changed = of_recipe(plan, baked(text)).model_copy(update=changes)
    return insert_body(changed, builder_at(plan, "1"), {}, NOW)


def test_a_shielded_image_is_built_and_kept_shielded(plan: BakePlan) -> None:
    text = "image: {shielded: true}\n"
    assert body_of(plan, text)["shieldedInstanceConfig"] == {
        "enableSecureBoot": True,
        "enableVtpm": True,
        "enableIntegrityMonitoring": True,
    }
    image = candidate.insert_body(of_recipe(plan, baked(text)), {"selfLink": "disk"}, NOW)
    assert image["guestOsFeatures"] == [{"type": "UEFI_COMPATIBLE"}]
    assert "shieldedInstanceConfig" not in body_of(plan, ""), "as its base allows"


def test_the_key_encrypts_the_disk_and_the_image(plan: BakePlan) -> None:
    key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    text = f"image: {{kms_key: {key}}}\n"
    disk = body_of(plan, text)["disks"][0]
    image = candidate.insert_body(of_recipe(plan, baked(text)), {"selfLink": "disk"}, NOW)
    assert disk["diskEncryptionKey"] == image["imageEncryptionKey"] == {"kmsKeyName": key}


def test_a_service_account_comes_with_its_scopes(plan: BakePlan) -> None:
    text = "builder: {service_account: b@p.iam.gserviceaccount.com, scopes: [https://s/x]}\n"
    account = {"email": "b@p.iam.gserviceaccount.com", "scopes": ["https://s/x"]}
    assert body_of(plan, text)["serviceAccounts"] == [account]


def test_network_tags_and_a_way_out_only_when_asked_for(plan: BakePlan) -> None:
    asked = body_of(plan, "builder: {tags: [builders, nat], external_ip: true}\n")
    assert asked["tags"] == {"items": ["builders", "nat"]}
    assert asked["networkInterfaces"][0]["accessConfigs"][0]["type"] == "ONE_TO_ONE_NAT"
    unasked = body_of(plan, "")
    assert unasked["tags"] == {"items": []}
    assert "accessConfigs" not in unasked["networkInterfaces"][0]


@pytest.mark.parametrize("spot", [True, False])
def test_the_dead_mans_switch_deletes_spot_and_standard_machines(
    plan: BakePlan, spot: bool
) -> None:
    text = f"builder: {{max_run_minutes: 90, spot: {str(spot).lower()}}}\n"
    scheduling = body_of(plan, text)["scheduling"]
    assert scheduling["maxRunDuration"] == {"seconds": "5400"}
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert scheduling["provisioningModel"] == ("SPOT" if spot else "STANDARD")
    assert (scheduling["preemptible"], scheduling["automaticRestart"]) == (spot, False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("", timedelta(hours=24)), ("builder: {keep_builder_on_failure: 8h}\n", timedelta(hours=8))],
)
def test_a_builder_that_may_be_kept_has_an_expiry_of_its_own(
    plan: BakePlan, text: str, kept: timedelta
) -> None:
    expires = body_of(plan, text, keep_builder=True)["labels"]["expires"]
    assert datetime.fromtimestamp(int(expires), UTC) == NOW + kept


def test_zones_are_tried_in_their_order_within_a_try_and_over_tries(plan: BakePlan) -> None:
    zones = ("z-a", "z-b", "z-c")
    builder = plan.builder.model_copy(update={"zones": zones})
    three = plan.model_copy(update={"builder": builder})
    assert [builder_at(three, "1", tried).zone for tried in range(3)] == list(zones)
    assert [builder_at(three, attempt).zone for attempt in ("1", "2", "3")] == list(zones)
    for given in zones:
        later = [builder_at(three, attempt, given=given).zone for attempt in ("w2", "w3")]
        assert {given, *later} == set(zones), "whatever zone create_builder came to"


def test_a_missing_or_failed_builder_is_not_adopted() -> None:
    assert not adopts(None)
    assert not adopts({"labels": {"bakehouse-state": "failed"}})
    assert adopts({"labels": {"bakehouse-state": "candidate"}})


def test_only_the_builder_of_a_local_build_hears_of_layers_and_goes_on_from_one(
    plan: BakePlan,
) -> None:
    assert special_metadata(plan) == {}
    layer = LocalLayer(image="layer-web-1", image_id="9", self_link="global/images/l", parts=2)
    local = plan.model_copy(update={"layer": layer, "keeps_layers": True})

    body = insert_body(local, builder_at(plan, "1"), {}, NOW)

    assert special_metadata(local) == {
        "bakehouse-installed-parts": "2",
        "bakehouse-keeps-layers": "TRUE",
    }
    assert body["disks"][0]["initializeParams"]["sourceImage"] == "global/images/l"
    assert body["labels"]["base-image-id"] == plan.base_image.id, "what it is built on"


def test_a_failed_builder_that_stays_on_may_run_until_it_expires(plan: BakePlan) -> None:
    stays = plan.model_copy(update={"keep_builder": True, "stays_on_failure": True})

    body = insert_body(stays, builder_at(plan, "1"), {}, NOW)

    seconds = int(body["scheduling"]["maxRunDuration"]["seconds"])
    assert NOW + timedelta(seconds=seconds) == datetime.fromtimestamp(
        int(body["labels"]["expires"]), UTC
    )
    assert special_metadata(stays) == {"bakehouse-on-failure": "stay"}
    kept = plan.model_copy(update={"keep_builder": True})
    assert special_metadata(kept) == {"bakehouse-on-failure": "power-off-once"}
