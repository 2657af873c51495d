"""What a rollout of a managed instance group pins before anything changes. Pure.

The group makes and replaces its instances; the rollout gives it a new template, stage by stage. So
the plan holds the group's versions and update policy of now, which are the way back, and what is
set at each stage.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.fleet.stages import at_most, sizes
from bakehouse.images.links import Resource, path_of, resource_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FixedOrPercent = dict[str, int]
"""`{"fixed": 1}` or `{"percent": 50}`, as Compute Engine has it."""

PROACTIVE, OPPORTUNISTIC = "PROACTIVE", "OPPORTUNISTIC"
RECREATE = "RECREATE"


class Version(Frozen):
    """A version of a group: a template, and how many instances it has."""

    template: str = Field(description="projects/P/global/instanceTemplates/T")
    name: str = ""
    target: FixedOrPercent | None = Field(default=None, description="None: the other instances")

    def body(self) -> dict[str, Any]:
        """Return it as Compute Engine takes it."""
        shown: dict[str, Any] = {"instanceTemplate": self.template}
        if self.name:
            shown["name"] = self.name
        return shown if self.target is None else {**shown, "targetSize": dict(self.target)}


class GroupStage(Frozen):
    """A stage of a group: how many instances have the new template after it."""

    members: int = Field(description="of the group's size when the plan was made")
    target: FixedOrPercent | None = Field(description="as the group is told; None: all of them")


class NewTemplate(Frozen):
    """A template to be made: a copy of another one with this image."""

    name: str
    base: str = Field(description="the template that is copied: projects/P/…")
    image: str = Field(description="the URL of the image")
    disk_gb: int = 1
    description: str = Field(description="what it is for, as JSON: a template has no labels")


class GroupPlan(Frozen):
    """The group of a rollout: what it has, and what it gets."""

    name: str
    zone: str = Field(description="its zone; of a regional group the region")
    id: str
    size: int
    templates: tuple[NewTemplate, ...] = Field(description="the one of the image comes first")
    goal: str = Field(description="the template of the image: projects/P/…")
    versions: tuple[Version, ...] = Field(description="of now, and the way back")
    base: Version = Field(description="of the instances that are not moved yet")
    policy: dict[str, Any] = Field(description="the update policy of now")
    rolling: dict[str, Any] = Field(description="the update policy while the rollout goes on")
    stages: tuple[GroupStage, ...]
    speaks: bool = Field(default=True, description="its instances have guest attributes")
    reported: bool = Field(default=False, description="they have reported the image of now")
    unstable: str = Field(default="", description="why the group was not stable")
    closed: str = Field(default="", description="why it has no way back; empty: it has")
    old_image: str = Field(default="", description="the URL of the image of now")
    old_image_id: str = ""

    def versions_at(self, stage: int) -> tuple[Version, ...]:
        """Return what the group is told at a stage, counted from 1."""
        target = self.stages[stage - 1].target
        name = self.goal.rsplit("/", 1)[-1]
        new = Version(template=self.goal, name=name, target=target)
        if target is None:
            return (new,)
        return (new, self.base.model_copy(update={"target": None}))

    def moves(self, stage: int) -> bool:
        """Whether the group is changed at a stage: the last one always settles its template."""
        before = self.stages[stage - 2].members if stage > 1 else 0
        is_last = stage == len(self.stages)
        return is_last or self.stages[stage - 1].members > before

    @property
    def names_of_stages(self) -> tuple[tuple[str, ...], ...]:
        """The group, in each stage that changes it."""
        numbers = range(1, len(self.stages) + 1)
        return tuple((self.name,) if self.moves(number) else () for number in numbers)


def stages_of(stages: Sequence[int | str], size: int) -> tuple[GroupStage, ...]:
    """Return the stages of a group of this size.

    A share stays a share, so that it follows a resize, but for where Compute Engine, which rounds
    to the nearest, would make fewer or more instances than the fleet's file says.
    """
    found: list[GroupStage] = []
    total = 0
    for stage, number in zip(stages, sizes(stages, size), strict=True):
        total += number
        found.append(GroupStage(members=total, target=_target(stage, total, size)))
    return tuple(found)


def rounded(percent: int, size: int) -> int:
    """Return the share of a group as Compute Engine calculates it."""
    return (2 * percent * size + 100) // 200


def _target(stage: int | str, total: int, size: int) -> FixedOrPercent | None:
    if stage == "100%":
        return None
    if isinstance(stage, str) and rounded(int(stage[:-1]), size) == total:
        return {"percent": int(stage[:-1])}
    return {"fixed": total}


def zones_of(group: Resource) -> list[str]:
    """Return the zones of a group: its own, or those of a regional one's distribution."""
    if group.get("zone"):
        return [resource_name(group["zone"])]
    distribution = group.get("distributionPolicy") or {}
    return sorted(resource_name(each.get("zone", "")) for each in distribution.get("zones") or [])


def limit(given: int | str, size: int) -> FixedOrPercent:
    """Return a limit of the fleet's file as a count.

    A share is counted here: Compute Engine rounds otherwise, and takes none of small groups.
    """
    return {"fixed": at_most(given, size)}


def absolute(number: Mapping[str, int], size: int) -> int:
    """Return a FixedOrPercent as a number of instances."""
    if "percent" in number:
        return rounded(number["percent"], size)
    return min(number.get("fixed", 0), size)


def template_name(image: str, run: str, group: str, image_id: str) -> str:
    """Return the name of the template that `run` makes: the same for every try."""
    mark = sha256(f"{run}\n{group}\n{image_id}".encode()).hexdigest()[:8]
    return f"{image[:54].rstrip('-')}-{mark}"


def version_of(shown: Resource) -> Version:
    """Return a version as Compute Engine shows it."""
    target = shown.get("targetSize")
    return Version(
        template=path_of(shown["instanceTemplate"]),
        name=str(shown.get("name", "")),
        target=None if target is None else plain(target),
    )


def versions_of(group: Resource) -> tuple[Version, ...]:
    """Return the versions of a group."""
    shown = group.get("versions") or [{"instanceTemplate": group["instanceTemplate"]}]
    return tuple(version_of(version) for version in shown)


def policy_of(group: Resource) -> dict[str, Any]:
    """Return the update policy of a group as it may be set: without what is calculated."""
    policy: Mapping[str, Any] = group.get("updatePolicy") or {}
    return {key: plain(v) if isinstance(v, dict) else v for key, v in policy.items()}


def plain(number: Mapping[str, int]) -> FixedOrPercent:
    """Return a FixedOrPercent without its calculated value."""
    return {key: int(value) for key, value in number.items() if key in {"fixed", "percent"}}


def same(one: Sequence[Version], other: Sequence[Version]) -> bool:
    """Whether these are the same versions; their order says nothing."""

    def key(version: Version) -> tuple[str, str, tuple[tuple[str, int], ...]]:
        return version.template, version.name, tuple(sorted((version.target or {}).items()))

    return sorted(map(key, one)) == sorted(map(key, other))
