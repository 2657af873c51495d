"""The plan of a bake: what later tasks need of the recipe, and whether to bake. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.images.links import Resource, project_of
from bakehouse.images.provenance import Provenance
from bakehouse.images.selection import created_at
from bakehouse.recipe.commit import Commit
from bakehouse.recipe.model import Builder, Image, Scalar
from bakehouse.updates.compare import Updates

if TYPE_CHECKING:
    from collections.abc import Callable

BOOTING = timedelta(minutes=10)


class BaseImage(Frozen):
    """The resolved base image."""

    self_link: str
    id: str
    name: str
    reason: Reason = Reason.NEWEST_BASE
    disk_gb: int = 0
    architecture: str = ""  # older images do not tell theirs

    @property
    def project(self) -> str | None:
        """The project of the image."""
        return project_of(self.self_link)


class LocalLayer(Frozen):
    """The disk of an earlier local build after so many parts of its install."""

    image: str
    image_id: str
    self_link: str
    parts: int


class SmokeSettings(Frozen):
    """The time limits of the smoke test; its metadata is in the bundle."""

    deadline: timedelta
    boot_time_limit: timedelta


class BakePlan(Frozen):
    """The plan of one run: commit, recipe and image, or the reason why nothing is baked.

    Later tasks read the plan, and the bundle of its content key, but not the recipe.
    """

    recipe: str
    commit: Commit
    dag_id: str
    run_id: str
    run: str  # the label of everything that this run makes
    image_name: str
    content_key: str
    base_image: BaseImage
    parent: str | None = None  # the recipe that the base image is of
    promoted: str | None = None  # its image whose promotion has asked for this run
    vars: dict[str, Scalar] = Field(default={})  # over those of the recipe
    builder: Builder  # the recipe's, with the form's zones and spot
    image: Image
    smoke: SmokeSettings
    snapshot: str | None = None  # the day whose packages are installed, as 20261120T000000Z
    keep_builder: bool = False  # of a failed install, for a person to look at
    force: bool = False
    history: bool = False  # of a backfill: it moves no family and tells nobody
    bake: bool
    reason: Reason
    existing_image: str | None = None  # the promoted image that has this content
    layer: LocalLayer | None = None  # of a local build, which the builder goes on from
    keeps_layers: bool = False  # of a local build
    stays_on_failure: bool = False  # of a local build: a failed builder does not power off
    updates: Updates | None = None  # of that image; None where nobody had to look
    created: AwareDatetime  # the run's time: the same in every try

    @property
    def family(self) -> str:
        """The family of the image once it is promoted."""
        return self.image.family or self.recipe

    @property
    def kind(self) -> str:
        """custom_image, or machine_image, which has no family."""
        return self.image.kind

    @property
    def zones(self) -> tuple[str, ...]:
        """In the order they are tried."""
        return self.builder.zones

    @property
    def patience(self) -> timedelta:
        """The time from the builder's creation to its power-off, including the boot."""
        return timedelta(minutes=self.builder.install_deadline_minutes) + BOOTING

    @property
    def provenance(self) -> Provenance:
        """The provenance in labels and descriptions of this run's resources."""
        return Provenance(
            recipe=self.recipe,
            dag_id=self.dag_id,
            run_id=self.run_id,
            run=self.run,
            git_sha=self.commit.sha,
            git_ref=self.commit.ref,
            content_key=self.content_key,
            base_image_id=self.base_image.id,
            work_tree=self.commit.work_tree,
            dirty=self.commit.work_tree and bool(self.commit.dirty),
        )

    @property
    def short_sha(self) -> str:
        """The first seven hex digits of the commit."""
        return self.commit.sha[:7]


class Decision(NamedTuple):
    """Whether to bake, and the reason."""

    bake: bool
    reason: Reason
    updates: Updates | None = None  # what was found, where somebody looked


def decide(
    existing: Resource | None,
    *,
    force: bool,
    rebake: str,
    max_age: timedelta,
    now: datetime,
    history: bool = False,
    superseded: bool = False,
    rolled_back: bool = False,
    updates: Callable[[], Updates] | None = None,
) -> Decision:
    """Decide whether an existing image with this content makes a bake unnecessary.

    For a backfill any image of this content is enough. Otherwise it must be the newest image, or a
    reverted commit would not become the newest one.
    `updates` reads the archives; it is called only if the decision depends on it.
    `rolled_back`: a rollout has blamed the newest image with this content. The same again would be
    blamed again: only updates that this image has not are a reason to bake, whatever its age.
    """
    if force:
        return Decision(True, Reason.FORCED)
    if rolled_back and not history:
        found = updates() if updates is not None and rebake != "never" else None
        is_news = found is not None and bool(found.found)
        reason = found.reason if found is not None and is_news else None
        return Decision(reason is not None, reason or Reason.ROLLED_BACK, found)
    if existing is None:
        return Decision(True, Reason.NO_IMAGE_WITH_THIS_CONTENT)
    if history:
        return Decision(False, Reason.SAME_CONTENT)
    if superseded:
        return Decision(True, Reason.OTHER_CONTENT_IS_NEWER)
    if rebake == "always":
        return Decision(True, Reason.ALWAYS)
    if rebake != "never" and now - created_at(existing) > max_age:
        return Decision(True, Reason.IMAGE_TOO_OLD)
    if rebake == "never" or updates is None:
        return Decision(False, Reason.SAME_CONTENT)
    found = updates()
    return Decision(found.reason is not None, found.reason or Reason.SAME_CONTENT, found)
