"""The members of a fleet: by name, by a pattern and a count, by labels, or of a group. Pure."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded, words_of
from bakehouse.images.links import region_of
from bakehouse.recipe.base import RESOURCE_NAME
from bakehouse.recipe.model import MetadataValue, ResourceName, ZoneName

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL_KEY, LABEL_VALUE = r"^[a-z][a-z0-9_-]{0,62}$", r"^[a-z0-9_-]{0,63}$"
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            LABEL_KEY,
            "is not the name of a label: at most 63 of a-z, 0-9, _ and -, beginning with a letter",
        )
    ),
]
LabelValue = Annotated[
    str,
    StringConstraints(
        pattern=worded(LABEL_VALUE, "is not the value of a label: at most 63 of a-z, 0-9, _ and -")
    ),
]
_NUMBER = re.compile(r"\{n(?::0(?P<digits>[1-9]))?\}")
_METADATA_KEY = r"^[a-zA-Z0-9_-]{1,128}$"


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        # not an f-string: pydantic fills the braces of its template
        raise PydanticCustomError("twice", "names {names} twice", {"names": ", ".join(twice)})  # ruff: ignore[missing-f-string-syntax]
    return names


def _unique_instances(instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    _unique(tuple(instance.name for instance in instances))
    return instances


def _pattern(value: str) -> str:
    if len(_NUMBER.findall(value)) != 1:
        raise PydanticCustomError("pattern", "does not have {n} once, in the place of the number")
    if not re.fullmatch(RESOURCE_NAME, _NUMBER.sub("1", value)):
        raise PydanticCustomError(
            "pattern", "is not a name of a-z, 0-9 and -, beginning with a letter"
        )
    return value


def _members_metadata(key: str) -> str:
    if key == "enable-guest-attributes" or key.startswith("bakehouse-"):
        raise PydanticCustomError("metadata", "is set by Bakehouse; remove it")
    return key


def _instance(value: object) -> object:
    """Take a name for an instance that differs from the others in nothing else."""
    if isinstance(value, str):
        if not re.fullmatch(RESOURCE_NAME, value):
            raise PydanticCustomError("name", words_of(RESOURCE_NAME) or "is not a name")
        return {"name": value}
    if isinstance(value, dict | Instance):
        return value
    raise PydanticKnownError("string_type")


MemberMetadataKey = Annotated[
    str,
    StringConstraints(
        pattern=worded(_METADATA_KEY, "is not a name of at most 128 letters, digits, - and _")
    ),
    AfterValidator(_members_metadata),
]
NamePattern = Annotated[str, AfterValidator(_pattern)]


class Instance(Frozen):
    """One member, and in what it differs from the others."""

    name: ResourceName
    zone: ZoneName | None = Field(default=None, description="one of `zones`, where it is created")
    address: ResourceName | None = Field(
        default=None, description="name of its reserved internal address, such as kafka-1"
    )
    external_address: ResourceName | None = Field(
        default=None, description="name of its reserved external address, such as web-1"
    )
    metadata: dict[MemberMetadataKey, MetadataValue] = Field(
        default={}, description="its own attributes, such as {broker-id: '1'}"
    )

    @property
    def differs(self) -> bool:
        """Whether anything but its name is given."""
        return bool(self.zone or self.address or self.external_address or self.metadata)

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.differs else self.name


_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": RESOURCE_NAME},
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": RESOURCE_NAME},
                "zone": {"type": "string"},
                "address": {"type": "string", "pattern": RESOURCE_NAME},
                "external_address": {"type": "string", "pattern": RESOURCE_NAME},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    ]
}
InstanceEntry = Annotated[Instance, BeforeValidator(_instance), WithJsonSchema(_SCHEMA)]


class Members(Frozen):
    """The instances: by name or by a pattern of names, by labels, or those of a group."""

    instances: Annotated[tuple[InstanceEntry, ...], AfterValidator(_unique_instances)] | None = (
        Field(
            default=None,
            description="names, such as [web-1, web-2], in the order of the rollout, or mappings,"
            " such as {name: web-1, metadata: {rack: a}}",
        )
    )
    name: NamePattern | None = Field(
        default=None, description='the pattern of `count` names, such as "kafka-{n}"'
    )
    count: int | None = Field(
        default=None, ge=1, le=1_000, description="number of members with names of the pattern"
    )
    first: int = Field(
        default=1, ge=0, le=10_000, description="the number of the first name of the pattern"
    )
    labels: dict[LabelKey, LabelValue] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="labels that must all match, such as {fleet: web}",
    )
    group: ResourceName | None = Field(
        default=None,
        description="the managed instance group that makes them, of the zone or of the region of"
        " the zones; with strategy: mig",
    )
    zones: Annotated[tuple[ZoneName, ...], AfterValidator(_unique)] = Field(
        min_length=1,
        description="zones of the instances, such as [us-central1-a]; missing members are created"
        " in them in turn",
    )

    @model_validator(mode="before")
    @classmethod
    def _zones_of_instances(cls, data: Any) -> Any:
        """Collect the zones where each instance names its own."""
        if not isinstance(data, dict) or "zones" in data:
            return data
        instances = data.get("instances")
        if not isinstance(instances, list | tuple) or not instances:
            return data
        own = [one.get("zone") if isinstance(one, dict) else None for one in instances]
        return {**data, "zones": list(dict.fromkeys(own))} if all(own) else data

    @model_validator(mode="after")
    def _in_one_way(self) -> Self:
        ways = (self.instances, self.labels, self.name, self.group)
        if sum(way is not None for way in ways) != 1:
            raise PydanticCustomError(
                "members", "needs one of instances, labels, group, or name and count"
            )
        if (self.name is None) != (self.count is None):
            raise PydanticCustomError("members", "needs name and count together")
        if self.name and max(map(len, self.names or ())) > 63:
            raise PydanticCustomError("members", "has names of more than 63 characters")
        return self

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The names in the order of the rollout; None if labels or a group choose the members."""
        if self.labels is not None or self.group is not None:
            return None
        if self.name is None or self.count is None:
            return tuple(one.name for one in self.instances or ())
        numbers = range(self.first, self.first + self.count)
        return tuple(_numbered(self.name, number) for number in numbers)

    @cached_property
    def declared(self) -> tuple[Instance, ...]:
        """Each named member with its zone: its own, else the zones in turn."""
        zones = self.zones
        entries = self.instances or tuple(Instance(name=name) for name in self.names or ())
        return tuple(
            one if one.zone else one.model_copy(update={"zone": zones[index % len(zones)]})
            for index, one in enumerate(entries)
        )

    @property
    def group_place(self) -> str:
        """The zone of the group, or its region if it has several zones."""
        return self.zones[0] if len(self.zones) == 1 else region_of(self.zones[0])

    def place(self, name: str) -> tuple[str | int, ...]:
        """Return where the file names a member, below `members`."""
        if self.instances is None:
            return ("name",)
        return ("instances", [one.name for one in self.instances].index(name))


def _numbered(pattern: str, number: int) -> str:
    """Return the name: `kafka-{n}` -> kafka-1, `kafka-{n:02}` -> kafka-01."""
    return _NUMBER.sub(lambda found: f"{number:0{found['digits'] or 1}}", pattern)


NEW_FLEET = "bakehouse-new-fleet"
"""Metadata of an instance that was created while its fleet had neither instance nor data disk.

The value is the run. The first order to the instance takes it away: what may be done once (making
a cluster on an empty disk) must not be done again when the disk is lost.
"""


def metadata_of(common: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of a member: those of all, under its own, and those of Bakehouse."""
    ours = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member"}
    return {**common, **own, **ours}
