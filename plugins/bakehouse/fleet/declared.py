"""What is wrong across the fields of a fleet that is declared whole. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.images.links import project_of, region_of, resource_name
from bakehouse.recipe.known_names import unknown_machine_type
from bakehouse.recipe.limits import (
    Loc,
    Problem,
    disk_types_of,
    needless_not_secret,
    open_secrets,
)
from bakehouse.recipe.secret_references import CLOUD_PLATFORM, malformed, referring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bakehouse.fleet.model import Fleet
    from bakehouse.fleet.template import Template

_REGION = re.compile(r"(?:^|/)regions/(?P<region>[^/]+)/")
LONGEST = 63  # of a resource's name


def problems_of(fleet: Fleet) -> list[Problem]:
    """List what is wrong with the template and with what members have of their own."""
    return [
        *_own_fields(fleet),
        *_zones(fleet),
        *_references(fleet),
        *_not_secret(fleet),
        *(_of_template(fleet) if fleet.template else ()),
    ]


def secrets_in_the_open(fleet: Fleet) -> list[Problem]:
    """List metadata that are named as secrets are, and that everybody can read."""
    readers = "the file or the instance"
    remedy = "Put it into Secret Manager and write secret://NAME"
    return [
        problem
        for place, metadata in _all_metadata(fleet)
        for problem in open_secrets(place, metadata, fleet.not_secret, readers, remedy)
    ]


def _all_metadata(fleet: Fleet) -> Iterator[tuple[Loc, Mapping[str, str]]]:
    if fleet.template:
        yield ("template", "metadata"), fleet.template.metadata
    for index, one in enumerate(fleet.members.instances or ()):
        yield ("members", "instances", index, "metadata"), one.metadata


def _not_secret(fleet: Fleet) -> Iterator[Problem]:
    known = {key for _, metadata in _all_metadata(fleet) for key in metadata}
    problem = "is metadata of neither the template nor a member"
    yield from needless_not_secret(fleet.not_secret, known, problem)


def _references(fleet: Fleet) -> Iterator[Problem]:
    for place, metadata in _all_metadata(fleet):
        for key, wrong in malformed(metadata):
            yield Problem((*place, key), wrong, "Correct it")
    template = fleet.template
    if template is None or CLOUD_PLATFORM in template.all_scopes:
        return
    for place, metadata in _all_metadata(fleet):
        for key in referring(metadata):
            problem = "needs an account that may read the secret, with the scope cloud-platform"
            yield Problem((*place, key), problem, "Add template.service_account")


def _own_fields(fleet: Fleet) -> Iterator[Problem]:
    if fleet.template is None and fleet.strategy == "recreate":
        problem = "is recreate, which needs a template: what an instance is recreated from"
        yield Problem(("strategy",), problem, "Add template, or use swap")
    addresses: dict[tuple[str, str], str] = {}
    for index, one in enumerate(fleet.members.instances or ()):
        place = ("members", "instances", index)
        for field in ("metadata", "address", "external_address"):
            if fleet.template is None and getattr(one, field):
                problem = "is given, but the fleet has no template, so nothing is created with it"
                yield Problem((*place, field), problem, "Add template, or remove it")
        zone = one.zone or fleet.members.declared[index].zone or ""
        for field in ("address", "external_address"):
            name = getattr(one, field)
            other = addresses.setdefault((region_of(zone), name), one.name) if name else one.name
            if other != one.name:
                problem = f"is the address of {other} too"
                yield Problem((*place, field), problem, "Give each member an address of its own")


def _zones(fleet: Fleet) -> Iterator[Problem]:
    zones = fleet.members.zones
    for index, one in enumerate(fleet.members.instances or ()):
        if one.zone and one.zone not in zones:
            remedy = f"Add it to zones, or use one of: {', '.join(zones)}"
            yield Problem(("members", "instances", index, "zone"), "is not in zones", remedy)


def _of_template(fleet: Fleet) -> Iterator[Problem]:
    template = fleet.template
    if template is None:
        return
    if fleet.members.labels is not None:
        problem = "cannot create members that are chosen by labels: nobody knows their names"
        yield Problem(("template",), problem, "Name the members: instances, or name and count")
        return
    if not fleet.unlisted and (found := unknown_machine_type(template.machine_type)):
        remedy = f"{found[1]}. If Google has it, say `unlisted: true`"
        yield Problem(("template", "machine_type"), found[0], remedy)
    yield from _disks(fleet, template)
    yield from _network(fleet, template)
    if template.scopes and template.service_account is None:
        remedy = "Add service_account, or remove the scopes"
        yield Problem(("template", "scopes"), "have no service account", remedy)


def _disks(fleet: Fleet, template: Template) -> Iterator[Problem]:
    allowed = disk_types_of(template.machine_type)
    given: list[tuple[Loc, str]] = [(("template", "boot_disk", "type"), template.boot_disk.type)]
    given += [
        (("template", "disks", index, "type"), disk.type)
        for index, disk in enumerate(template.disks)
    ]
    for place, kind in given:
        if kind not in allowed:
            problem = f"is {kind}, which machines of the type {template.machine_type} cannot have"
            yield Problem(place, problem, f"Choose one of: {', '.join(allowed)}")
    yield from _equal_names(fleet, template)
    longest = max(fleet.members.names or ("",), key=len)
    for index, disk in enumerate(template.disks):
        name = f"{longest}-{disk.name}"
        if len(name) > LONGEST:
            problem = f"makes the disk {name}, a name of {len(name)} characters"
            place = ("template", "disks", index, "name")
            yield Problem(place, problem, f"Shorten it: at most {LONGEST}")


def _equal_names(fleet: Fleet, template: Template) -> Iterator[Problem]:
    """Find data disks of two members with one name: `a-b` with `c`, and `a` with `b-c`."""
    owners: dict[str, str] = {}
    for index, disk in enumerate(template.disks):
        for member in fleet.members.names or ():
            name = f"{member}-{disk.name}"
            if (other := owners.setdefault(name, member)) != member:
                problem = f"makes the disk {name} of {member}, which is one of {other} too"
                place = ("template", "disks", index, "name")
                yield Problem(place, problem, "Give the disk another name")


def _network(fleet: Fleet, template: Template) -> Iterator[Problem]:
    projects = {project_of(link) for link in (template.network, template.subnetwork) if link}
    if template.network and template.subnetwork and len(projects - {None}) > 1:
        subnetwork = resource_name(template.subnetwork)
        problem = f"is in another project than the subnetwork {subnetwork}"
        remedy = "Remove it: the network is that of the subnetwork"
        yield Problem(("template", "network"), problem, remedy)
    has_address = any(one.address for one in fleet.members.instances or ())
    if has_address and template.network not in {None, "default"} and not template.subnetwork:
        problem = "has no subnetwork, of which internal addresses are reserved"
        yield Problem(("template", "network"), problem, "Add template.subnetwork")
    told = _REGION.search(template.subnetwork or "")
    for index, zone in enumerate(fleet.members.zones):
        if told and region_of(zone) != told["region"]:
            problem = f"is not in {told['region']}, the region of the subnetwork"
            remedy = "Remove it, or give the subnetwork's name without a region"
            yield Problem(("members", "zones", index), problem, remedy)
