"""The model of a fleet file, `include/fleets/<name>.yaml`; the file's stem is the name.

The JSON form (`model_dump(mode="json")`) is the form of the file and validates again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.core.task_id import TaskOf
from bakehouse.core.tasks import Flow, task_spec
from bakehouse.fleet.approval import Approval
from bakehouse.fleet.gate import DRAIN, RESUME, Gate, Step
from bakehouse.fleet.members import Members
from bakehouse.fleet.stages import Limit, Stage, at_most, check_stages
from bakehouse.fleet.template import Template
from bakehouse.notify.models import Channel
from bakehouse.recipe.duration import Duration
from bakehouse.recipe.model import RecipeName
from bakehouse.schedule.window import Window

TASKS_FOR_ONE = 2
"""Tasks of a stage for each member that may be down: one more is ready, and waits for its turn."""
NumberName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[a-z][a-z0-9_]{0,39}$",
            "is not the name of a number: at most 40 of a-z, 0-9 and _, beginning with a letter",
        )
    ),
]
OrderKey = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^(name|zone|labels\.[a-z][a-z0-9_-]{0,62}|metadata\.[A-Za-z0-9_-]{1,128})$",
            "is none of name, zone, labels.KEY and metadata.KEY",
        )
    ),
]
RolloutTask = Annotated[str, TaskOf(Flow.ROLLOUT)]


class Fleet(Frozen):
    """A group of instances that run one image."""

    name: RecipeName = Field(description="the file's stem: at most 35 of a-z, 0-9, -")
    description: str = Field(default="", description="one line for people")
    recipe: RecipeName = Field(description="the recipe whose images its members run")
    members: Members = Field(
        description="{instances: [web-1], zones: [us-central1-a]} or {labels: {fleet: web}, ...}"
    )
    template: Template | None = Field(
        default=None,
        description="what missing members are created from, such as {machine_type: e2-small}",
    )
    create_missing: bool = Field(
        default=True,
        description="false if a missing member ends the rollout although there is a template",
    )
    not_secret: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="metadata that are named as secrets are and are none, such as"
        " [etcd-cluster-token]",
    )
    unlisted: bool = Field(
        default=False, description="true if a zone is newer than the zones that Bakehouse knows"
    )
    strategy: Literal["swap", "recreate", "mig"] = Field(
        default="swap",
        description="swap: replace the boot disk; recreate: and where a member differs from the"
        " template, delete its instance and create it again with its data disks; mig: give a"
        " managed instance group a new template",
    )
    stages: Annotated[tuple[Stage, ...], AfterValidator(check_stages)] = Field(
        default=(1, "50%", "100%"),
        max_length=10,
        description="members on the new image after each stage, such as [1, 50%, 100%]",
    )
    order_by: OrderKey | None = Field(
        default=None,
        description="in which order: by name, zone, labels.KEY or metadata.KEY; default: as listed,"
        " or by name",
    )
    max_unavailable: Limit = Field(
        default=1, description="members that may be down at the same time, such as 1 or 20%"
    )
    max_surge: Stage | Literal[0] = Field(
        default=0, description="of a group: instances above its size during an update, such as 1"
    )
    soak: Duration | None = Field(
        default=None, description="how long a stage is watched before the next one, such as 10m"
    )
    compare: dict[NumberName, Literal["lower", "higher"]] = Field(
        default={},
        max_length=20,
        description="numbers of the health report that the soak compares with members not replaced"
        " yet, and which values are better, such as {p99_ms: lower}",
    )
    health_deadline: Duration = Field(
        default=timedelta(minutes=10), description="time from start to healthy, such as 10m"
    )
    busy_limit: Duration = Field(
        default=timedelta(hours=1),
        description="time from start to healthy of a member that says busy: n of m, such as 2h",
    )
    progress_deadline: Duration | None = Field(
        default=None,
        description="how long a stage goes on without a further member that has passed, such as 4h;"
        " default: what one member may take by the other deadlines",
    )
    gate: Gate = Field(
        default=Gate(), description="what must agree before a member is stopped, and how long"
    )
    drain: Step = Field(
        default=DRAIN, description="the image's `drain`, before the stop: {deadline: 10m}"
    )
    resume: Step = Field(
        default=RESUME, description="the image's `resume`, once it is healthy: {deadline: 10m}"
    )
    wait_for_fleet: Duration = Field(
        default=timedelta(hours=2),
        description="how long to wait for another rollout to end, such as 2h",
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        max_length=20,
        description="when members may be stopped, such as [{days: mon-thu, hours: 09:00-16:00,"
        " timezone: Europe/Berlin}]; none: at any time",
    )
    approval: Approval | None = Field(
        default=None,
        description="after which stages a person is asked, such as {after: [1], timeout: 24h}",
    )
    held_at_most: Duration = Field(
        default=timedelta(days=8),
        description="how long a rollout waits for a window, or for the end of a freeze, such as 8d",
    )
    rollout: Literal["with_bake", "follow", "manual"] = Field(
        default="manual", description="with_bake, follow or manual"
    )
    max_days_since_fix: Annotated[int, Field(ge=1, le=365)] | None = Field(
        default=None,
        description="days for which a member may lack a security update before housekeeping asks"
        " for a rebake or a rollout, such as 7; none: it only tells",
    )
    on_failure: Literal["roll_back", "halt"] = Field(
        default="roll_back", description="roll_back or halt"
    )
    halt_after: Stage | None = Field(
        default=None,
        description="members on the new image beyond which nothing goes back by itself, such as"
        " 50%; none: it always does",
    )
    owner: str = Field(
        default="bakehouse", min_length=1, description="the owner of the DAG and its tasks"
    )
    sla: dict[RolloutTask, Duration] = Field(
        default={}, description="for a task, such as {replace: 3h}"
    )
    retries: dict[RolloutTask, Annotated[int, Field(ge=1, le=20)]] = Field(
        default={}, description="for a task, such as {replace: 5}"
    )

    notify: tuple[Channel, ...] = Field(
        default=(), description="notifiers, such as [{notifier: smtp, arguments: {to: x@y.z}}]"
    )

    @property
    def creates_missing(self) -> bool:
        """Whether a rollout creates the members that do not exist."""
        return self.template is not None and self.create_missing

    def most_at_once(self) -> int | None:
        """Return `max_unavailable` as a number; None for a share of members that labels select."""
        if isinstance(self.max_unavailable, str) and self.members.names is None:
            return None
        return at_most(self.max_unavailable, len(self.members.names or ()))

    def tasks_at_once(self) -> int | None:
        """Return how many members' tasks of a stage run at once; None as for `most_at_once`."""
        most = self.most_at_once()
        return None if most is None else TASKS_FOR_ONE * most

    def sla_of(self, task_id: str) -> timedelta:
        """Time from the run's start within which a task of the rollout should have succeeded."""
        return self.sla.get(task_id, task_spec(Flow.ROLLOUT, task_id).sla)

    def retries_of(self, task_id: str) -> int:
        """How often Airflow retries a task of the rollout."""
        return self.retries.get(task_id, task_spec(Flow.ROLLOUT, task_id).retries)
