"""How a member differs from the template of its fleet. Pure.

What somebody else may add without harm is no difference: labels beside the template's, data disks
beside the template's, a larger disk, SSH keys of people, and metadata of Bakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.fleet.members import metadata_of
from bakehouse.images.links import (
    Resource,
    attributes_of,
    labels_of,
    path_of,
    resource_name,
    zone_of,
)
from bakehouse.rollout.machine import is_of_people, subnetwork_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bakehouse.fleet.members import Instance
    from bakehouse.fleet.template import Template


class Difference(Frozen):
    """One thing that a member has, or lacks, unlike the template."""

    field: str = Field(description="of the template, such as machine_type")
    has: str
    wanted: str
    mended: bool = Field(default=True, description="recreating the instance mends it")

    def __str__(self) -> str:
        """The text for logs."""
        but = "" if self.mended else ", which no rollout changes"
        return f"{self.field} is {self.has or 'none'} instead of {self.wanted or 'none'}{but}"


def differences(
    template: Template,
    one: Instance,
    instance: Resource,
    disks: Mapping[str, Resource],
    addresses: Mapping[str, Resource] | None = None,
) -> tuple[Difference, ...]:
    """Return all differences of an instance.

    Args:
        template: of the fleet.
        one: the member, with its zone.
        instance: as it is.
        disks: by path; one that is not there is not compared.
        addresses: the reserved ones of the region by name; None: addresses are not compared.
    """
    return (
        *_machine(template, one, instance),
        *_network(template, one, instance),
        *_addresses(template, one, instance, addresses),
        *_account(template, instance),
        *_metadata(template, one, instance),
        *_labels(template, instance),
        *_disks(template, instance, disks),
    )


def _machine(template: Template, one: Instance, instance: Resource) -> Iterator[Difference]:
    zone = zone_of(instance)
    if one.zone and zone and one.zone != zone:
        yield Difference(field="zone", has=zone, wanted=one.zone, mended=False)
    machine_type = resource_name(instance.get("machineType", ""))
    if machine_type != template.machine_type:
        yield Difference(field="machine_type", has=machine_type, wanted=template.machine_type)
    has = sorted((instance.get("tags") or {}).get("items") or [])
    wanted = sorted(template.tags)
    if has != wanted:
        yield Difference(field="tags", has=", ".join(has), wanted=", ".join(wanted))


def _network(template: Template, one: Instance, instance: Resource) -> Iterator[Difference]:
    nic = _first(instance)
    placed = one.model_copy(update={"zone": zone_of(instance) or one.zone})
    subnetwork = subnetwork_of(template, placed)
    if subnetwork and not _same(nic.get("subnetwork", ""), subnetwork):
        has = resource_name(nic.get("subnetwork", ""))
        yield Difference(field="subnetwork", has=has, wanted=resource_name(subnetwork))
    network = template.network or ("" if subnetwork else "default")
    path = network if "/" in network or not network else f"global/networks/{network}"
    if path and not _same(nic.get("network", ""), path):
        has = resource_name(nic.get("network", ""))
        yield Difference(field="network", has=has, wanted=resource_name(path))


def _addresses(
    template: Template,
    one: Instance,
    instance: Resource,
    addresses: Mapping[str, Resource] | None,
) -> Iterator[Difference]:
    nic = _first(instance)
    configs = nic.get("accessConfigs") or []
    nat = next((str(c.get("natIP", "")) for c in configs), "")
    reserved = {str(a.get("address", "")) for a in (addresses or {}).values()}
    wants = template.external_ip or bool(one.external_address)
    # a reserved one is kept: somebody has given it to the instance on purpose
    if bool(configs) != wants and not (nat and nat in reserved):
        told = ("an external address", "")
        yield Difference(field="external_ip", has=told[not configs], wanted=told[not wants])
    if addresses is None:
        return
    for field, name, has in (
        ("address", one.address, str(nic.get("networkIP", ""))),
        ("external_address", one.external_address, nat),
    ):
        wanted = str((addresses.get(name) or {}).get("address", "")) if name else ""
        if name and has != wanted:
            yield Difference(field=field, has=has, wanted=f"{wanted or 'a new one'} ({name})")


def _account(template: Template, instance: Resource) -> Iterator[Difference]:
    account: Resource = next(iter(instance.get("serviceAccounts") or []), {})
    has, wanted = str(account.get("email", "")), template.service_account or ""
    # Compute Engine shows the address of the project's default account
    is_default = wanted == "default" and has.endswith("-compute@developer.gserviceaccount.com")
    if has != wanted and not is_default:
        yield Difference(field="service_account", has=has, wanted=wanted)
    elif wanted and set(account.get("scopes") or []) != set(template.all_scopes):
        has = ", ".join(sorted(map(resource_name, account.get("scopes") or [])))
        wanted = ", ".join(sorted(map(resource_name, template.all_scopes)))
        yield Difference(field="scopes", has=has, wanted=wanted)


def _metadata(template: Template, one: Instance, instance: Resource) -> Iterator[Difference]:
    """Keys only: a value may be a secret, or a long script."""
    has = attributes_of(instance)
    wanted = metadata_of(template.metadata, one.metadata)
    for key in sorted({*has, *wanted}):
        if has.get(key) == wanted.get(key) or (key not in wanted and _is_of_others(key)):
            continue
        told = ["absent" if key not in known else "set" for known in (has, wanted)]
        if key in has and key in wanted:
            told = ["another value", "the template's"]
        yield Difference(field=f"metadata.{key}", has=told[0], wanted=told[1])


def wanted_metadata(template: Template, one: Instance, instance: Resource) -> dict[str, str | None]:
    """Return the metadata that an instance is to have; None: a key that it must not have."""
    wanted = metadata_of(template.metadata, one.metadata)
    surplus = attributes_of(instance).keys() - wanted.keys()
    return {**{key: None for key in surplus if not _is_of_others(key)}, **wanted}


def _is_of_others(key: str) -> bool:
    return is_of_people(key) or key.startswith("bakehouse-")


def _labels(template: Template, instance: Resource) -> Iterator[Difference]:
    has = labels_of(instance)
    for key, value in sorted(template.labels.items()):
        if has.get(key) != value:
            yield Difference(field=f"labels.{key}", has=has.get(key, ""), wanted=value)


def _disks(
    template: Template, instance: Resource, disks: Mapping[str, Resource]
) -> Iterator[Difference]:
    attached = {str(d.get("deviceName", "")): d for d in instance.get("disks") or []}
    boot = next((d for d in attached.values() if d.get("boot")), None)
    found = disks.get(path_of(boot.get("source", ""))) if boot else None
    if found is not None:
        yield from _disk("boot_disk", found, template.boot_disk.size_gb, template.boot_disk.type)
    for disk in template.disks:
        one = attached.get(disk.name)
        field = f"disks.{disk.name}"
        if one is None:
            yield Difference(field=field, has="", wanted=f"{disk.size_gb} GB {disk.type}")
            continue
        data = disks.get(path_of(one.get("source", "")))
        if data is not None:
            yield from _disk(field, data, disk.size_gb, disk.type, mended=False)


def _disk(
    field: str, disk: Resource, size_gb: int, kind: str, *, mended: bool = True
) -> Iterator[Difference]:
    """Compare size and type; a data disk stays as it is, since its data would be lost."""
    has_type, has_gb = resource_name(disk.get("type", "")), int(disk.get("sizeGb", 0))
    if has_type != kind:
        yield Difference(field=f"{field}.type", has=has_type, wanted=kind, mended=mended)
    if has_gb < size_gb:
        wanted = f"{size_gb} GB"
        yield Difference(field=f"{field}.size_gb", has=f"{has_gb} GB", wanted=wanted, mended=mended)


def _first(instance: Resource) -> Resource:
    return next(iter(instance.get("networkInterfaces") or []), {})


def _same(link: str, path: str) -> bool:
    """Whether a full link is that of a path, which may leave out the project."""
    return path_of(link) == path_of(path) or path_of(link).endswith(f"/{path.lstrip('/')}")
