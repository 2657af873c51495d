"""The strategy mig: give a managed instance group a template with the new image.

Pure: what is handed to the walk of a group, what it reads out of Compute Engine's answers, and the
bodies of its calls. The group replaces its instances itself, within maxSurge and maxUnavailable,
and keeps what its stateful policy and its per-instance configs name. A rollout sets its versions,
waits until it is stable on them, and asks the instances how they are.

The way back is to set the versions that the group had. Where those name an image by its family,
which may be the new image by then, the way back is a copy of that template with the image that the
instances run, made before anything changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.images.links import resource_name
from bakehouse.rollout.mig_plan import (
    GroupPlan,
    NewTemplate,
    Version,
    absolute,
    same,
)
from bakehouse.rollout.plan import RolloutPlan, Target
from bakehouse.rollout.states import State
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Collection


TEXTS: dict[State, str] = {
    State.PENDING: "its next template does not exist yet",
    State.PREPARED: "its next template is ready, the group has its present versions",
    State.UPDATING: "the group replaces its instances",
    State.REPLACED: "the group is stable on its next versions, and its instances are healthy",
    State.UNHEALTHY: "instances of its next versions are not healthy",
    State.LOST: "the group cannot be moved any more",
}
"""The second half of a sentence about a group."""


class GroupMove(Stored):
    """The move of a group to the versions of a stage, or back to those it had."""

    member: str = Field(description="the group")
    zone: str
    id: str
    fleet: str
    run: str
    way: Literal["forward", "back"]
    image: Target
    stage: int = 0
    templates: tuple[NewTemplate, ...] = Field(default=(), description="to be made before")
    versions: tuple[Version, ...]
    goal: tuple[str, ...] = Field(description="the templates of the instances that must be good")
    known: tuple[tuple[Version, ...], ...] = Field(description="what it may have before")
    base: Version | None = Field(
        default=None, description="of the instances not moved yet; None: all move at once"
    )
    policy: dict[str, Any] = Field(description="the update policy to set")
    speaks: bool = Field(description="its instances report the image's health")
    unstable: str = ""
    old_image: str = ""
    old_image_id: str = ""

    @property
    def template(self) -> str:
        """The name of the template that it moves to."""
        return resource_name(self.goal[0])

    def body(self, versions: Collection[Version]) -> dict[str, Any]:
        """Return the body of instanceGroupManagers.patch."""
        return {
            "versions": [version.body() for version in versions],
            "updatePolicy": self.policy,
        }

    def wave_of(self, versions: Collection[Version], size: int) -> int | None:
        """Return how many instances of the goal these versions name; None if they are of others."""
        new = [v for v in versions if v.template in self.goal]
        others = [v for v in versions if v.template not in self.goal]
        if self.base is None or len(new) != 1 or not same(others, [self.base]):
            return None
        target = new[0].target
        return size if target is None else absolute(target, size)

    def after(self, wave: int, size: int) -> tuple[Version, ...]:
        """Return the versions to set when so many instances are good.

        No more instances are taken at once than may be unavailable: the group takes one for
        available as soon as it runs, this rollout only when it has said that it is healthy.
        """
        whole = self.versions[0].target
        total = size if whole is None else absolute(whole, size)
        surge, down = (self.policy.get(key) or {} for key in ("maxSurge", "maxUnavailable"))
        following = wave + max(1, absolute(surge, size) + absolute(down, size))
        if self.base is None or following >= total:
            return self.versions
        new = self.versions[0].model_copy(update={"target": {"fixed": following}})
        return (new, self.base)


def forward(plan: RolloutPlan, group: GroupPlan, stage: int) -> GroupMove:
    """Return the move of a group at a stage, counted from 1."""
    before = group.versions_at(stage - 1) if stage > 1 else group.versions
    return GroupMove(
        member=group.name,
        zone=group.zone,
        id=group.id,
        fleet=plan.fleet,
        run=plan.run,
        way="forward",
        image=plan.image,
        stage=stage,
        templates=group.templates,
        versions=group.versions_at(stage),
        goal=(group.goal,),
        # a stage without a move leaves what the one before it has set
        known=(group.versions, before, *map(group.versions_at, range(1, stage))),
        base=group.base.model_copy(update={"target": None}) if group.speaks else None,
        policy=group.rolling,
        speaks=group.speaks,
        unstable=group.unstable,
        old_image=group.old_image,
        old_image_id=group.old_image_id,
    )


def back(plan: RolloutPlan, group: GroupPlan) -> GroupMove:
    """Return the way back of a group: the versions that it had when the plan was made."""
    every = map(group.versions_at, range(1, len(group.stages) + 1))
    return GroupMove(
        member=group.name,
        zone=group.zone,
        id=group.id,
        fleet=plan.fleet,
        run=plan.run,
        way="back",
        image=Target(
            id=group.old_image_id,
            name=resource_name(group.old_image),
            self_link=group.old_image,
            recipe=plan.image.recipe,
        ),
        versions=way_back(group),
        goal=tuple(version.template for version in way_back(group)),
        known=(group.versions, *every),
        policy=group.rolling,
        speaks=group.reported and len(group.versions) == 1,
        unstable="it goes back",
        old_image=plan.image.self_link,
        old_image_id=plan.image.id,
    )


def way_back(group: GroupPlan) -> tuple[Version, ...]:
    """Return the versions to go back to; a template by family is replaced by its pinned copy."""
    pinned = {t.base: f"{group.goal.rsplit('/', 1)[0]}/{t.name}" for t in group.templates[1:]}
    return tuple(
        v.model_copy(update={"template": pinned.get(v.template, v.template)})
        for v in group.versions
    )


def moving(move: GroupMove) -> str:
    """Say what is about to happen to a group."""
    if move.way == "back":
        return f"the group {move.member} goes back to {told(move.versions)}"
    return f"the group {move.member} moves to {move.image.name}: {told(move.versions)}"


def told(versions: Collection[Version]) -> str:
    """Return versions as text: `web-a1 for 50%, web-a0 for the others`."""

    def each(version: Version) -> str:
        target = version.target or {}
        number = f"{target['percent']}%" if "percent" in target else str(target.get("fixed", ""))
        others = "all instances" if len(versions) == 1 else "the others"
        return f"{resource_name(version.template)} for {number or others}"

    return ", ".join(map(each, versions))


def outcome_of(move: GroupMove, state: str, why: str) -> MemberOutcome:
    """Return how a move ended."""
    return MemberOutcome(
        member=move.member,
        way=move.way,
        state=state,
        why=why,
        image=move.image.name,
        disk=move.template,
    )
