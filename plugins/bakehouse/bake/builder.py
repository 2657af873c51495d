"""The builder: its name, its zone and the body of its insert. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.core.models import Frozen
from bakehouse.images import labels
from bakehouse.images.links import labels_of, region_of
from bakehouse.images.names import builder_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.bake.plan import BakePlan
    from bakehouse.recipe.model import Builder, Image

SHIELDED = {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True}


class BuilderVm(Frozen):
    """A builder, as an XCom."""

    name: str
    zone: str
    id: str = ""
    created: str = ""  # RFC 3339


def builder_at(
    plan: BakePlan, attempt: str, zones_tried: int = 0, given: str | None = None
) -> BuilderVm:
    """The builder of an attempt: `1`, `2` of create_builder, `w1`, `w2` of wait_for_shutdown.

    Each attempt uses the next of the recipe's zones, and skips those without capacity. `given` is
    the zone of create_builder's builder: `w2` uses the next one, since `w1` waited for that one.
    """
    if attempt.startswith("w"):
        index = plan.zones.index(given) if given in plan.zones else 0
        index += max(int(attempt[1:]) - 1, 1)
    else:
        index = int(attempt) - 1
    zone = plan.zones[(index + zones_tried) % len(plan.zones)]
    return BuilderVm(name=builder_name(plan.recipe, plan.run, attempt), zone=zone)


def adopts(instance: Mapping[str, Any] | None) -> bool:
    """Whether wait_for_shutdown may use the builder of create_builder."""
    if instance is None:
        return False
    state = labels_of(instance).get(labels.STATE)
    return state != labels.FAILED


def insert_body(
    plan: BakePlan, vm: BuilderVm, metadata: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    """The body of instances.insert for a builder; `metadata` as render.builder_metadata gives it.

    The boot disk goes with the machine whoever deletes it, also Compute Engine itself after
    `maxRunDuration` (the dead man's switch): nothing is left behind that costs money. The image is
    made while the stopped machine still stands, and a stopped machine's clock does not run.
    """
    lives = timedelta(minutes=plan.builder.max_run_minutes) + labels.AFTER_THE_LAST_MINUTE
    owned = owned_labels(plan, labels.BUILDER, now, lives)
    lives = lifetime(plan, lives)
    source = plan.layer.self_link if plan.layer else plan.base_image.self_link
    body = machine_body(plan, vm, source, owned, plan.provenance.made_by)
    body["metadata"] = metadata_items(metadata)
    body["scheduling"] = scheduling(plan.builder)
    if plan.stays_on_failure:
        body["scheduling"]["maxRunDuration"] = {"seconds": str(int(lives.total_seconds()))}
    return body


def lifetime(plan: BakePlan, needed: timedelta) -> timedelta:
    """Return how long a builder or smoke VM lives: one that may be kept, until that is over."""
    kept = plan.builder.keep_builder_on_failure or labels.KEPT_BUILDER_LIVES
    return max(needed, kept) if plan.keep_builder else needed


def owned_labels(plan: BakePlan, role: str, now: datetime, needed: timedelta) -> dict[str, str]:
    """Return the labels of a builder or smoke VM, which say from its first moment if it is kept."""
    owned = plan.provenance.labels(role, labels.CANDIDATE, now + lifetime(plan, needed))
    return owned | ({labels.KEPT: "until-it-expires"} if plan.keep_builder else {})


def special_metadata(plan: BakePlan) -> dict[str, str]:
    """Return what a builder is told that is kept after a failure, or is of a local build."""
    told = {}
    if plan.keep_builder:
        told["bakehouse-on-failure"] = "stay" if plan.stays_on_failure else "power-off-once"
    if plan.layer is not None:
        told["bakehouse-installed-parts"] = str(plan.layer.parts)
    if plan.keeps_layers:
        told["bakehouse-keeps-layers"] = "TRUE"
    return told


def machine_body(
    plan: BakePlan, vm: BuilderVm, source_image: str, owned: Mapping[str, str], made_by: str
) -> dict[str, Any]:
    """Return what builders and smoke VMs have in common; disk and VM have the same labels."""
    builder = plan.builder
    disk = _boot_disk(builder, plan.image, vm, source_image)
    disk["initializeParams"] |= {"labels": dict(owned), "description": made_by}
    body: dict[str, Any] = {
        "name": vm.name,
        "description": made_by,
        "machineType": f"zones/{vm.zone}/machineTypes/{builder.machine_type}",
        "labels": dict(owned),
        "tags": {"items": list(builder.tags)},
        "disks": [disk],
        "networkInterfaces": [_interface(builder, vm.zone)],
    }
    if plan.image.shielded:  # else as Compute Engine does with an image of that base
        body["shieldedInstanceConfig"] = SHIELDED
    if builder.service_account:
        account = {"email": builder.service_account, "scopes": list(builder.all_scopes)}
        body["serviceAccounts"] = [account]
    return body


def metadata_items(values: Mapping[str, str]) -> dict[str, Any]:
    """Return metadata in the form of an insert body."""
    return {"items": [{"key": key, "value": value} for key, value in sorted(values.items())]}


def scheduling(builder: Builder) -> dict[str, Any]:
    """Return the scheduling: no restart, and deletion after the maximum run time."""
    return {
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "provisioningModel": "SPOT" if builder.spot else "STANDARD",
        "preemptible": builder.spot,
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": str(builder.max_run_minutes * 60)},
    }


def _boot_disk(builder: Builder, image: Image, vm: BuilderVm, source_image: str) -> dict[str, Any]:
    disk: dict[str, Any] = {
        "boot": True,
        "autoDelete": True,
        "initializeParams": {
            "diskName": vm.name,
            "sourceImage": source_image,
            "diskSizeGb": str(builder.disk_gb),
            "diskType": f"zones/{vm.zone}/diskTypes/{builder.disk_type}",
        },
    }
    if image.kms_key:
        disk["diskEncryptionKey"] = {"kmsKeyName": image.kms_key}
    return disk


def _interface(builder: Builder, zone: str) -> dict[str, Any]:
    interface: dict[str, Any] = {}
    if builder.network or not builder.subnetwork:  # Compute Engine knows that of a subnetwork
        network = builder.network or "default"
        interface["network"] = network if "/" in network else f"global/networks/{network}"
    if builder.subnetwork:
        short = f"regions/{region_of(zone)}/subnetworks/{builder.subnetwork}"
        interface["subnetwork"] = builder.subnetwork if "/" in builder.subnetwork else short
    if builder.external_ip:
        interface["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]
    return interface
