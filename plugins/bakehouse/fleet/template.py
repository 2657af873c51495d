"""What the instances of a declared fleet are like. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.fleet.members import LabelKey, LabelValue, MemberMetadataKey
from bakehouse.images.labels import users_own
from bakehouse.recipe.model import (
    MetadataValue,
    NetworkName,
    ResourceName,
    Scope,
    ServiceAccount,
    SubnetworkName,
)
from bakehouse.recipe.secret_references import CLOUD_PLATFORM

DiskType = Literal["pd-balanced", "pd-standard", "pd-ssd", "hyperdisk-balanced"]


def _users_own(labels: dict[str, str]) -> dict[str, str]:
    if ours := sorted(labels.keys() - users_own(labels).keys()):
        # not an f-string: pydantic fills the braces of its template
        raise PydanticCustomError(
            "labels", "has labels of Bakehouse: {names}", {"names": ", ".join(ours)}
        )
    return labels


def _each_once(disks: tuple[DataDisk, ...]) -> tuple[DataDisk, ...]:
    names = [disk.name for disk in disks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PydanticCustomError("twice", "names {names} twice", {"names": ", ".join(twice)})  # ruff: ignore[missing-f-string-syntax]
    return disks


class BootDiskTemplate(Frozen):
    """The boot disk of a member, which each rollout replaces."""

    size_gb: int = Field(
        default=10, ge=10, le=65_536, description="at least this size, from 10 to 65536"
    )
    type: DiskType = Field(
        default="pd-balanced", description="pd-balanced, pd-standard, pd-ssd or hyperdisk-balanced"
    )


class DataDisk(Frozen):
    """A data disk of each member. It outlives the instance."""

    name: Annotated[
        str,
        StringConstraints(
            pattern=worded(
                r"^[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?$",
                "is not a name of at most 40 of a-z, 0-9 and -, beginning with a letter",
            )
        ),
    ] = Field(description="the device name, such as data; the disk is called MEMBER-data")
    size_gb: int = Field(ge=1, le=65_536, description="from 1 to 65536")
    type: DiskType = Field(
        default="pd-balanced", description="pd-balanced, pd-standard, pd-ssd or hyperdisk-balanced"
    )


class Template(Frozen):
    """The instance that is created for a missing member, and that each member is compared with."""

    machine_type: str = Field(
        pattern=worded(r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)+$", "is not the name of a machine type"),
        max_length=63,
        description="a machine type, such as e2-small",
    )
    boot_disk: BootDiskTemplate = Field(
        default=BootDiskTemplate(), description="{size_gb: 10, type: pd-balanced}"
    )
    disks: Annotated[tuple[DataDisk, ...], AfterValidator(_each_once)] = Field(
        default=(),
        max_length=31,
        description="data disks, such as [{name: data, size_gb: 100, type: pd-ssd}]",
    )
    network: NetworkName | None = Field(
        default=None,
        description="a network's name or path; that of the subnetwork, or `default`, by default",
    )
    subnetwork: SubnetworkName | None = Field(
        default=None, description="a subnetwork's name, or its path with the region of the zones"
    )
    external_ip: bool = Field(
        default=False, description="true if each member has an external address"
    )
    service_account: ServiceAccount | None = Field(
        default=None, description="an e-mail address; none by default"
    )
    scopes: tuple[Scope, ...] = Field(
        default=(), description="of the service account, as URLs; cloud-platform by default"
    )
    metadata: dict[MemberMetadataKey, MetadataValue] = Field(
        default={}, description="attributes of all members, such as {cluster: main}"
    )
    labels: Annotated[dict[LabelKey, LabelValue], AfterValidator(_users_own)] = Field(
        default={},
        max_length=56,
        description="labels of instances and disks, such as {team: web}",
    )
    tags: tuple[ResourceName, ...] = Field(
        default=(), max_length=64, description="network tags, at most 64"
    )

    @property
    def all_scopes(self) -> tuple[str, ...]:
        """The scopes of the service account."""
        return self.scopes or ((CLOUD_PLATFORM,) if self.service_account else ())
