"""What the JSON API answers: one model for each answer. Pure."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.history.comparison import ValueChange
from bakehouse.history.diff import ImageDiff
from bakehouse.history.story import Entry, What


class ImageState(StrEnum):
    """What became of an image last."""

    CANDIDATE = "candidate"
    FAILED = "failed"
    """A candidate that failed its smoke test, or booted too slowly."""
    PROMOTED = "promoted"
    HISTORY = "history"
    DEPRECATED = "deprecated"
    OBSOLETE = "obsolete"
    REVOKED = "revoked"
    """Revoked, or built on an image that is."""
    DELETED = "deleted"


class Fix(Frozen):
    """The security update that an image has lacked for the longest time."""

    package: str
    available: str
    since: AwareDatetime
    days: float


class ImageRow(Frozen):
    """An image of the list."""

    image: str
    image_id: str
    recipe: str
    state: ImageState
    state_reason: str = Field(default="", description="why it is in this state, if that is known")
    kind: What = Field(description="bake or rebake")
    reason: str = Field(description="why it was baked, as a sentence")
    time: AwareDatetime = Field(description="when the bake made it")
    git_sha: str
    subject: str
    author: str
    commit_url: str | None = Field(default=None, description="of the repository's web page")
    family: str | None = None
    base_image: str
    parent: str | None = Field(default=None, description="the recipe that the base image is of")
    size_bytes: int | None = Field(default=None, description="as Compute Engine stores it")
    disk_gb: int | None = None
    bake_seconds: int
    boot_seconds: float | None = Field(default=None, description="power on to ready, smoke test")
    sla_misses: int = 0
    packages: int | None = None
    members: int = Field(default=0, description="how many run it now")
    deploys: int = Field(default=0, description="rollouts to it, forward or back")
    fix: Fix | None = None
    signed: str | None = Field(
        default=None,
        description="verified, unsigned or refused; of a failed candidate: the verdict",
    )
    dag_id: str
    run_id: str


class TimelineRow(Entry):
    """Something that happened, as a sentence, with the web page of its commit."""

    commit_url: str | None = None


class MemberRow(Frozen):
    """A member of a fleet, and what it runs."""

    fleet: str
    recipe: str | None
    member: str
    zone: str
    image: str
    image_id: str
    git_sha: str
    since: AwareDatetime
    exact: bool = Field(description="false: it runs the image since this moment at the latest")
    reason: str
    replaced: str | None = None
    image_time: AwareDatetime | None = None
    image_days: float | None = Field(default=None, description="age of the image")
    newest: bool = Field(description="it runs the newest promoted image of its recipe")
    drift: str = Field(default="", description="how it differs from what it should run; or empty")
    waits: str = Field(default="", description="what the rollout under way waits for, since when")
    held: str = Field(default="", description="the hold of its fleet, as a sentence")
    fix: Fix | None = None
    seen: AwareDatetime


class Rollout(Frozen):
    """A rollout that has not ended."""

    fleet: str
    image: str | None
    state: str
    why: str
    time: AwareDatetime
    moved: int
    members: int
    dag_id: str
    run_id: str


class HeldImage(Frozen):
    """An image that a fleet is held from."""

    fleet: str
    image: str
    instead: str
    since: AwareDatetime
    by: str
    why: str


class RecipeSummary(Frozen):
    """A recipe that has images."""

    recipe: str
    images: int
    newest: str | None = Field(default=None, description="its newest promoted image")
    fleets: tuple[str, ...] = ()
    bake_dag: str
    boot_limit_seconds: float | None = None


class Source(Frozen):
    """Where an answer comes from."""

    ledger: bool = Field(description="false: it could not be read; asset events are shown instead")
    problem: str = ""
    compute: bool = Field(default=False, description="the list of images of Compute Engine is in")
    read: AwareDatetime


class Rights(Frozen):
    """What the user may trigger."""

    user: str = Field(default="", description="the name of the user")
    roll_out: tuple[str, ...] = Field(default=(), description="fleets")
    bake: tuple[str, ...] = Field(default=(), description="recipes")
    revoke: bool = False
    freeze: bool = False


class Summary(Frozen):
    """What the page shows first."""

    source: Source
    recipes: tuple[RecipeSummary, ...]
    fleets: tuple[str, ...]
    rollouts: tuple[Rollout, ...]
    holds: tuple[HeldImage, ...]
    frozen: str = Field(default="", description="the freeze, as a sentence")
    rights: Rights


class ImagePage(Frozen):
    """A page of the list of images, the newest first."""

    source: Source
    total: int
    offset: int
    images: tuple[ImageRow, ...]


class TimelinePage(Frozen):
    """A page of what happened, the newest first."""

    source: Source
    total: int
    offset: int
    entries: tuple[TimelineRow, ...]


class MemberPage(Frozen):
    """A page of members, by fleet and name."""

    source: Source
    total: int
    offset: int
    members: tuple[MemberRow, ...]


class ImageDetail(Frozen):
    """One image with all that is known of it."""

    source: Source
    image: ImageRow
    ancestry: tuple[str, ...] = Field(description="its base image, that image's base, and so on")
    built_on_it: tuple[str, ...]
    story: tuple[TimelineRow, ...]
    members: tuple[MemberRow, ...]


class Point(Frozen):
    """An image in the plots."""

    time: AwareDatetime
    image: str
    bake_seconds: int
    boot_seconds: float | None = None
    size_bytes: int | None = None
    packages: int | None = None


class Series(Frozen):
    """The plots of a recipe, the oldest image first."""

    source: Source
    recipe: str
    boot_limit_seconds: float | None = None
    points: tuple[Point, ...]


class ScriptDiff(Frozen):
    """The git diff of the recipe's folder between two commits."""

    old_sha: str
    new_sha: str
    text: str = Field(default="", description="a unified diff; empty if nothing differs")
    problem: str = Field(default="", description="why there is none")


class Comparison(Frozen):
    """The difference between two images."""

    source: Source
    old: str
    new: str
    packages: ImageDiff | None = None
    packages_problem: str = Field(default="", description="why the packages are unknown")
    security: tuple[str, ...] = Field(
        default=(), description="names of upgraded packages whose new version is a security update"
    )
    values: tuple[ValueChange, ...] = Field(default=(), description="commit, base, size, times")
    vars: tuple[ValueChange, ...] = Field(default=(), description="of the recipe and of the form")
    scripts: ScriptDiff | None = None


class AssetEventRow(Frozen):
    """A promotion as Airflow's asset event has it."""

    time: AwareDatetime
    recipe: str
    image: str
    git_sha: str
    dag_id: str | None
    run_id: str | None
    result: str = Field(default="", description="XCom of the run's task `result`, if it has one")


class AssetEventPage(Frozen):
    """What Airflow itself knows of promoted images, the newest first."""

    source: Source
    images: tuple[AssetEventRow, ...]
