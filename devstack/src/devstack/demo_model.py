"""What the steps of the demo share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from devstack.stack import Stack
from devstack.topology import NO_SCHEDULE, Topology

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bakehouse.recipe.commit import Commit
    from devstack.airflow_api import Airflow, Run
    from devstack.demo_fleet import Member
    from devstack.gce_api import Compute
    from devstack.machines import Choice
    from devstack.report import Report

RECIPE = "web"
DAG, ROLL_OUT = f"bake__{RECIPE}", f"roll_out__{RECIPE}"  # of the recipe; of the fleet
# No file changes while a demo runs, and to parse all of them takes a tenth of a core: each once.
PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}


class DemoFailed(RuntimeError):
    """A claim of the demo does not hold; the message says which one, and why."""


def claim(true: bool, otherwise: str) -> None:
    """Raise DemoFailed with the message `otherwise`, unless it is true."""
    if not true:
        raise DemoFailed(otherwise)


@dataclass
class Demo:
    """The state of the demo; each step sets what later ones read."""

    # errors of the demo's own clients: they end it with their message
    errors: ClassVar[tuple[type[Exception], ...]] = ()
    # of Airflow, over those of the stack
    settings: ClassVar[Mapping[str, str]] = {**NO_SCHEDULE, **PARSED_ONCE}

    project: Path
    state: Path
    choice: Choice
    report: Report
    stack: Stack = field(init=False)
    commit: Commit = field(init=False)
    airflow: Airflow = field(init=False)
    compute: Compute = field(init=False)
    run_id: str = field(init=False)  # of the bake that ends with the rollout
    run: Run = field(init=False)
    image: dict[str, Any] = field(init=False)
    older: str = field(init=False)
    before: dict[str, Member] = field(init=False)
    downtimes: dict[str, float] = field(init=False, default_factory=dict)
    spent: dict[str, float] = field(init=False, default_factory=dict)  # seconds of each step

    @property
    def real(self) -> bool:
        """Whether the machines are real: only these serve pages."""
        return self.choice.machines == "qemu"

    def __post_init__(self) -> None:
        self.stack = Stack(
            self.project,
            self.state,
            self.choice.machines,
            self.choice.guest,
            topology=Topology(settings=dict(self.settings)),
            progress=self.report.line,
        )
