"""A fleet file from instances that run, and what would hinder their rollouts. Pure.

What all instances share becomes the template, what differs belongs to the member. What the file
cannot say of an instance is told, and so is each secret: it is not copied.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.fleet.members import NEW_FLEET, metadata_of
from bakehouse.fleet.template import DataDisk
from bakehouse.guest.config_changes import looks_secret
from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    attributes_of,
    labels_of,
    path_of,
    project_of,
    region_of,
    resource_name,
    zone_of,
)
from bakehouse.recipe.secret_references import CLOUD_PLATFORM, in_the_open, referring
from bakehouse.rollout.instance_facts import boot_of, member_of, refusal
from bakehouse.rollout.machine import is_of_people

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bakehouse.rollout.declared_fleet import Around

_RUNNING = "RUNNING"
_NEEDED = metadata_of({}, {})  # what each member has, whatever its fleet says


class Remark(Frozen):
    """What a person should know of an instance before its first rollout."""

    member: str = Field(description="empty: the whole fleet")
    kind: Literal["refused", "hinders", "way back", "secret", "differs", "metadata"]
    text: str

    def __str__(self) -> str:
        """The line that people read."""
        return f"{self.member or 'the fleet'}: {self.text}"


class Adoption(Frozen):
    """The text of a fleet file, and what it does not say."""

    text: str
    remarks: tuple[Remark, ...] = ()


def adopt(fleet: str, recipe: str, instances: Sequence[Resource], around: Around) -> Adoption:
    """Write a fleet of these instances; at least one.

    Args:
        fleet: the name of the fleet.
        recipe: the recipe whose images the instances are to run.
        instances: in the order of the rollout.
        around: the disks of their zones and the reserved addresses of their regions.
    """
    remarks = [remark for one in instances for remark in _hindrances(one, around)]
    template, more = _template(instances, around)
    own, told = _metadata(fleet, instances, can_read="service_account" in template)
    shared = dict(set.intersection(*(set(values.items()) for values in own.values())))
    if shared:
        template["metadata"] = dict(sorted(shared.items()))
    members = [
        _member(one, {k: v for k, v in own[_name(one)].items() if k not in shared}, around)
        for one in instances
    ]
    form = {
        "description": f"Adopted from {len(instances)} instances",
        "recipe": recipe,
        "members": {"zones": sorted(set(map(zone_of, instances))), "instances": members},
        "template": template,
        "stages": [1, "100%"],
        "rollout": "manual",
    }
    head = "# yaml-language-server: $schema=./schema.json\n"
    text = yaml.safe_dump(form, sort_keys=False, width=100, allow_unicode=True)
    return Adoption(text=head + text, remarks=(*remarks, *more, *told))


def _name(instance: Resource) -> str:
    return str(instance["name"])


def _hindrances(instance: Resource, around: Around) -> Iterator[Remark]:
    """Find what the plan of a rollout would say of an instance, and what a stop would cost it."""
    name, zone = _name(instance), zone_of(instance)
    disk = _boot_disk(instance, around)
    if found := refusal(instance, disk):
        reason, why = found
        yield Remark(member=name, kind="refused", text=f"{reason.text} ({why})")
    if disk is None:
        text = "it has no boot disk that can be read, so that nothing can be swapped"
        yield Remark(member=name, kind="refused", text=text)
    else:
        had = member_of(instance, disk).boot
        if had is not None and not had.image:
            text = (
                f"its boot disk was made of {had.made_of or 'no image'}: the disk itself, which the"
                " rollout keeps, is the only way back"
            )
            yield Remark(member=name, kind="way back", text=text)
    if str(instance.get("status")) != _RUNNING:
        text = f"it is {instance.get('status')}: only running members are changed"
        yield Remark(member=name, kind="hinders", text=text)
    if instance.get("deletionProtection"):
        text = "it has deletion protection: a swap is possible, strategy recreate is not"
        yield Remark(member=name, kind="hinders", text=text)
    if any(d.get("type") == "SCRATCH" for d in instance.get("disks") or []):
        text = "it has a local SSD, whose data are lost when a swap stops the instance"
        yield Remark(member=name, kind="hinders", text=text)
    if len(instance.get("networkInterfaces") or []) > 1:
        text = "it has more than one network interface: a template has one, so it cannot be created"
        yield Remark(member=name, kind="differs", text=text)
    address = _external(instance)
    if address is not None and _address_name(address, zone, around) is None:
        text = (
            f"its external address {address} is not reserved, and another one after a stop: gcloud"
            f" compute addresses create {name} --region={region_of(zone)} --addresses={address}"
        )
        yield Remark(member=name, kind="hinders", text=text)
    yield from _of_metadata(instance)


def _of_metadata(instance: Resource) -> Iterator[Remark]:
    name, has = _name(instance), attributes_of(instance)
    if lacking := {key: value for key, value in _NEEDED.items() if has.get(key) != value}:
        given = ",".join(f"{key}={value}" for key, value in sorted(lacking.items()))
        text = (
            "it lacks metadata of every member: gcloud compute instances add-metadata"
            f" {name} --zone={zone_of(instance)} --metadata={given}"
        )
        yield Remark(member=name, kind="metadata", text=text)
    for key in ("startup-script", "startup-script-url"):
        if key in has:
            text = f"its {key} runs at each boot, also from a new image: move it into the recipe"
            yield Remark(member=name, kind="hinders", text=text)


def _template(instances: Sequence[Resource], around: Around) -> tuple[dict[str, Any], list[Remark]]:
    """Return what most instances are like, and where one is not."""
    remarks: list[Remark] = []

    def common(field: str, values: Mapping[str, Any]) -> Any:
        (value, _), *_ = Counter(map(repr, values.values())).most_common(1)
        chosen = next(one for one in values.values() if repr(one) == value)
        for name, one in values.items():
            if one != chosen:
                text = f"its {field} is {_shown(one)}, that of the template is {_shown(chosen)}"
                remarks.append(Remark(member=name, kind="differs", text=text))
        return chosen

    def of_each(read: Any) -> dict[str, Any]:
        return {_name(one): read(one) for one in instances}

    template: dict[str, Any] = {
        "machine_type": common(
            "machine_type", of_each(lambda one: resource_name(one.get("machineType", "")))
        )
    }
    boots = {_name(o): d for o in instances if (d := _boot_disk(o, around)) is not None}
    if boots:
        template["boot_disk"] = {
            "size_gb": max(10, min(int(disk["sizeGb"]) for disk in boots.values())),
            "type": common("boot_disk.type", {n: _kind(d) for n, d in boots.items()}),
        }
    if disks := _data_disks(instances, around, remarks):
        template["disks"] = disks
    template |= common("network", of_each(_network))
    if common("external_ip", of_each(lambda one: _wants_address(one, around))):
        template["external_ip"] = True
    template |= common("service account", of_each(_account))
    tags = of_each(lambda one: sorted((one.get("tags") or {}).get("items") or []))
    if found := common("tags", tags):
        template["tags"] = found
    same = set.intersection(*(set(labels.users_own(labels_of(one)).items()) for one in instances))
    if same:
        template["labels"] = dict(sorted(same))
    return template, remarks


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value) or "none"


def _boot_disk(instance: Resource, around: Around) -> Resource | None:
    boot = boot_of(instance)
    return around.disk(zone_of(instance), str(boot["name"])) if boot is not None else None


def _kind(disk: Resource) -> str:
    return resource_name(disk.get("type", ""))


def _data_disks(
    instances: Sequence[Resource], around: Around, remarks: list[Remark]
) -> list[dict[str, Any]]:
    """Return the data disks that every member has by the same device name."""
    found: dict[str, dict[str, Resource]] = {}
    for one in instances:
        for attached in one.get("disks") or []:
            disk = around.disks.get(path_of(attached.get("source", "")))
            if not attached.get("boot") and disk is not None:
                found.setdefault(str(attached.get("deviceName", "")), {})[_name(one)] = disk
    disks = []
    for device, of_members in found.items():
        kinds = Counter(map(_kind, of_members.values()))
        size = min(int(disk["sizeGb"]) for disk in of_members.values())
        form = {"name": device, "size_gb": size, "type": kinds.most_common(1)[0][0]}
        if len(of_members) == len(instances) and len(kinds) == 1 and _is_data_disk(form):
            disks.append(form)
            continue
        for name in of_members:
            text = (
                f"its disk {device} is not in the template, since not every member has one that is"
                " alike: it stays attached, and is not created for a new member"
            )
            remarks.append(Remark(member=name, kind="differs", text=text))
    return disks


def _is_data_disk(form: dict[str, Any]) -> bool:
    try:
        DataDisk.model_validate(form)
    except ValueError:
        return False
    return True


def _network(instance: Resource) -> dict[str, str]:
    """Return the template's network; nothing for the network `default`."""
    nic: Resource = next(iter(instance.get("networkInterfaces") or []), {})
    network, subnetwork = (str(nic.get(key, "")) for key in ("network", "subnetwork"))
    if resource_name(network) == "default" and resource_name(subnetwork) in {"", "default"}:
        return {}
    own = project_of(instance.get("selfLink", ""))
    if subnetwork:
        shared = own and project_of(subnetwork) not in {None, own}
        return {"subnetwork": path_of(subnetwork) if shared else resource_name(subnetwork)}
    return {"network": resource_name(network)}


def _external(instance: Resource) -> str | None:
    nic: Resource = next(iter(instance.get("networkInterfaces") or []), {})
    configs = nic.get("accessConfigs") or []
    return next((str(one["natIP"]) for one in configs if one.get("natIP")), None)


def _wants_address(instance: Resource, around: Around) -> bool:
    address = _external(instance)
    return address is not None and _address_name(address, zone_of(instance), around) is None


def _address_name(address: str, zone: str, around: Around) -> str | None:
    reserved = around.addresses.get(region_of(zone), {})
    return next((n for n, one in reserved.items() if one.get("address") == address), None)


def _account(instance: Resource) -> dict[str, Any]:
    account: Resource = next(iter(instance.get("serviceAccounts") or []), {})
    if not account:
        return {}
    scopes = sorted(account.get("scopes") or [])
    own = {} if scopes == [CLOUD_PLATFORM] else {"scopes": scopes}
    return {"service_account": str(account.get("email", "")), **own}


def _metadata(
    fleet: str, instances: Iterable[Resource], *, can_read: bool
) -> tuple[dict[str, dict[str, str]], list[Remark]]:
    """Return the metadata of each member, without secrets; of these the way to Secret Manager."""
    found: dict[str, dict[str, str]] = {}
    remarks: list[Remark] = []
    for one in instances:
        name, own = _name(one), dict[str, str]()
        for key, value in sorted(attributes_of(one).items()):
            ours = key in _NEEDED or key == NEW_FLEET or key.startswith("bakehouse-")
            if ours or is_of_people(key) or key == "created-by":
                continue
            if referring({key: value}) or not (in_the_open({key: value}) or looks_secret(key)):
                own[key] = value
                continue
            secret = f"{fleet}-{name}-{key}".replace(".", "-").replace("_", "-")
            text = f"its metadata {key} look like a secret, and are not copied"
            if can_read:
                own[key] = f"secret://{secret}"
                text += f": put them into Secret Manager as {secret}, which the file refers to"
            else:
                text += ": give it a service account and put them into Secret Manager (secret://)"
            remarks.append(Remark(member=name, kind="secret", text=text))
        found[name] = own
    return found, remarks


def _member(instance: Resource, metadata: Mapping[str, str], around: Around) -> dict[str, Any]:
    nic: Resource = next(iter(instance.get("networkInterfaces") or []), {})
    zone = zone_of(instance)
    form: dict[str, Any] = {"name": _name(instance), "zone": zone}
    for field, address in (
        ("address", str(nic.get("networkIP", ""))),
        ("external_address", _external(instance) or ""),
    ):
        if address and (name := _address_name(address, zone, around)):
            form[field] = name
    return form | ({"metadata": dict(sorted(metadata.items()))} if metadata else {})
