"""What a project's recipes and fleets need of Google Cloud. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import path_of, project_of, region_of, resource_name
from bakehouse.preflight.facts import Place
from bakehouse.recipe.base import BaseRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.config.project import Project
    from bakehouse.fleet.model import Fleet
    from bakehouse.fleet.template import Template
    from bakehouse.recipe.model import Builder, Recipe


@dataclass(frozen=True)
class MachineNeed:
    """A VM that Bakehouse will create: a builder, or a member of a declared fleet."""

    file: str  # include/recipes/web.yaml
    machine_type: str
    zones: tuple[str, ...]
    disk_gb: int
    disk_type: str
    spot: bool
    network: str  # a path or a name; empty: that of the subnetwork
    subnetwork: str
    external_ip: bool
    service_account: str
    is_builder: bool

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions of its zones, each once."""
        return tuple(dict.fromkeys(region_of(zone) for zone in self.zones))

    def place(self, region: str, project: str) -> Place:
        """Where its subnetwork lies, in a region; `project` is that of the connection."""
        return Place(project_of(self.subnetwork) or project_of(self.network) or project, region)

    def network_path(self, place: Place) -> str:
        """The path of its network; empty where only the subnetwork is named."""
        if not self.network:
            return ""
        name = resource_name(self.network)
        given = path_of(self.network)
        own = f"projects/{place.project}/global/networks/{name}"
        return given if given.startswith("projects/") else own


@dataclass(frozen=True)
class Needs:
    """All that the files of include/ need."""

    machines: tuple[MachineNeed, ...]
    bases: dict[str, str]
    """The file of a recipe by its base; a base that is another recipe is none."""
    members: int
    """How many members are declared, or named."""
    purposes: frozenset[str]
    """What is used of that which permissions.yaml calls optional, by its `for`."""

    @property
    def builders(self) -> tuple[MachineNeed, ...]:
        """The builders."""
        return tuple(machine for machine in self.machines if machine.is_builder)


def needs_of(project: Project) -> Needs:
    """Return what the valid recipes and fleets of a project need."""
    machines = [
        *map(_builder, project.recipes),
        *(_members(one, one.template) for one in project.fleets if one.template is not None),
    ]
    bases = {
        str(recipe.base): f"include/recipes/{recipe.name}.yaml"
        for recipe in reversed(project.recipes)
        if not isinstance(recipe.base, BaseRecipe)
    }
    members = sum(len(fleet.members.names or ()) for fleet in project.fleets)
    return Needs(tuple(machines), bases, members, frozenset(_purposes(project, machines)))


def _purposes(project: Project, machines: list[MachineNeed]) -> Iterator[str]:
    declared = [one for fleet in project.fleets for one in fleet.members.instances or ()]
    if any(fleet.strategy == "mig" for fleet in project.fleets):
        yield "managed instance groups"
    if any(recipe.image.kind == MACHINE_IMAGE for recipe in project.recipes):
        yield "machine images"
    if any(machine.external_ip for machine in machines):
        yield "external addresses"
    if any(one.address or one.external_address for one in declared):
        yield "reserved addresses"


def _builder(recipe: Recipe) -> MachineNeed:
    builder = recipe.builder
    return MachineNeed(
        file=f"include/recipes/{recipe.name}.yaml",
        zones=builder.zones,
        disk_gb=builder.disk_gb,
        disk_type=builder.disk_type,
        spot=builder.spot,
        is_builder=True,
        **_shared(builder),
    )


def _members(fleet: Fleet, template: Template) -> MachineNeed:
    return MachineNeed(
        file=f"include/fleets/{fleet.name}.yaml",
        zones=fleet.members.zones,
        disk_gb=template.boot_disk.size_gb,
        disk_type=template.boot_disk.type,
        spot=False,
        is_builder=False,
        **_shared(template),
    )


def _shared(spec: Builder | Template) -> dict[str, Any]:
    return {
        "machine_type": spec.machine_type,
        "network": spec.network or ("" if spec.subnetwork else "default"),
        "subnetwork": spec.subnetwork or "",
        "external_ip": spec.external_ip,
        "service_account": spec.service_account or "",
    }
