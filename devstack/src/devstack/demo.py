"""`make demo`: bake and roll out on this machine, look from outside, leave nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bakehouse.recipe.commit import Commit
from bakehouse.recipe.git.errors import SourceError
from bakehouse.recipe.git.open import open_repository
from devstack import demo_fleet, machines, processes
from devstack.airflow_api import Airflow, AirflowError, Run, Task
from devstack.demo_fleet import Seen
from devstack.follow import Follower, error_lines, name
from devstack.gce_api import Compute, ComputeError
from devstack.health import Unhealthy
from devstack.machines import Choice
from devstack.report import Report, seconds_of
from devstack.settings import SettingsError
from devstack.stack import Stack, StackError

RECIPE = "web"
DAG = f"bake__{RECIPE}"
RUN_DEADLINE = {"qemu": 2400.0, "instant": 300.0}  # seconds
WATCHER = "sla_watch"
OLDER = {"page": "Baked the day before"}
PARSE_DEADLINE = 90.0


class DemoFailed(RuntimeError):
    """The demo did not show what it claims; the message says which claim, and why."""


@dataclass
class Demo:
    """What one step leaves for the next."""

    project: Path
    state: Path
    choice: Choice
    report: Report
    stack: Stack = field(init=False)
    commit: Commit = field(init=False)
    airflow: Airflow = field(init=False)
    compute: Compute = field(init=False)
    run: Run = field(init=False)
    image: dict[str, Any] = field(init=False)
    older: str = field(init=False)
    before: dict[str, Seen] = field(init=False)
    silent: dict[str, float] = field(init=False, default_factory=dict)

    @property
    def real(self) -> bool:
        """The machines are real, so they serve pages."""
        return self.choice.machines == "qemu"

    def __post_init__(self) -> None:
        self.stack = Stack(
            self.project,
            self.state,
            self.choice.machines,
            self.choice.guest,
            progress=self.report.line,
        )


def name_commit(demo: Demo) -> None:
    """HEAD is what is baked; what is not committed is named, and stays out."""
    with open_repository(demo.project) as repository:
        demo.commit = repository.resolve("HEAD")
    demo.report.line(f"commit {demo.commit.sha} ({demo.commit.subject})")
    if demo.commit.dirty:
        shown = ", ".join(demo.commit.dirty[:8])
        more = len(demo.commit.dirty) - 8
        rest = f" and {more} more" if more > 0 else ""
        demo.report.line(f"HEAD is baked, without what is not committed: {shown}{rest}", "yellow")


def make_image(demo: Demo) -> None:
    """The public image that the recipe stands on; instant machines need none."""
    if demo.choice.machines == "qemu":
        machines.make_public_image(demo.report.line)
    else:
        demo.report.line("none is needed: instant machines have no disk")


def start_stack(demo: Demo) -> None:
    demo.stack.start()
    record = demo.stack.record
    demo.airflow = Airflow(record.airflow_url, demo.stack.user, demo.stack.password)
    demo.compute = Compute(record.gce_url, record.gce_project)


def bake_older(demo: Demo) -> None:
    """What the fleet runs at first: the same commit with another page, not rolled out."""
    demo.airflow.wait_for_dag(DAG, PARSE_DEADLINE)
    conf = {"git_ref": demo.commit.sha, "vars": OLDER, "roll_out": False}
    run = run_dag(demo, DAG, conf)
    demo.older = demo.airflow.xcom(DAG, run.run_id, "plan_bake")["image_name"]


def make_fleet(demo: Demo) -> None:
    """The instances of include/fleets/web.yaml, from the older image, as their owner makes them."""
    demo_fleet.create(demo.compute, demo.older, demo.choice.machines)
    demo.before = demo_fleet.look(demo.compute, demo.real)
    for member, seen in demo.before.items():
        page = f", its page: {seen.page['page']!r}" if seen.page else ""
        demo.report.line(f"{member} runs {seen.boot_image} at {seen.internal_ip}{page}")


def bake(demo: Demo) -> None:
    """The bake of HEAD, which ends by rolling the image out over the fleet."""
    watcher = demo_fleet.Watcher(demo.compute) if demo.real else None
    if watcher:
        watcher.start()
    try:
        demo.run = run_dag(demo, DAG, {"git_ref": demo.commit.sha})
    finally:
        demo.silent = watcher.stop() if watcher else {}


def run_dag(demo: Demo, dag_id: str, conf: dict[str, Any]) -> Run:
    """Trigger it and follow it to its good end; raises DemoFailed with its errors."""
    run_id = demo.airflow.trigger(dag_id, conf)
    demo.report.line(f"{dag_id} runs as {run_id}")
    follower = Follower(demo.airflow, demo.report, dag_id, run_id)
    try:
        run = demo.airflow.wait(dag_id, run_id, RUN_DEADLINE[demo.choice.machines], follower)
    finally:
        demo.report.quiet()
    if run.state != "success":
        raise DemoFailed("\n".join([f"{dag_id} has failed", *failures(demo, run)]))
    return run


def failures(demo: Demo, run: Run) -> list[str]:
    """The error lines of each failed task."""
    said = []
    for task in demo.airflow.tasks(run.dag_id, run.run_id):
        if task.state == "failed":
            lines = demo.airflow.log(
                run.dag_id, run.run_id, task.task_id, task.try_number, task.map_index
            )
            said += [f"{name(task)}: {text}" for text in error_lines(lines)]
    return said


def check_image(demo: Demo) -> None:
    """The claims of the table, each asked of Compute Engine."""
    plan = demo.airflow.xcom(DAG, demo.run.run_id, "plan_bake")
    demo.image = demo.compute.image(plan["image_name"])
    labels = demo.image.get("labels", {})
    claim(demo.image["status"] == "READY", f"the image is {demo.image['status']}, not READY")
    claim(
        labels.get("git-sha") == demo.commit.sha,
        f"the image is labelled {labels.get('git-sha')}, not {demo.commit.sha}",
    )
    claim(labels.get("bakehouse-state") == "promoted", f"the image's labels say {labels}")
    newest = demo.compute.newest_of(plan["family"])
    claim(
        newest["name"] == demo.image["name"],
        f"the newest image of {plan['family']} is {newest['name']}, not {demo.image['name']}",
    )
    demo.report.line(f"{demo.image['name']} is READY and the newest of {plan['family']}", "green")


def check_members(demo: Demo) -> None:
    """Each member, from outside: the new image and page, and all else as it was."""
    after = demo_fleet.look(demo.compute, demo.real)
    for member, now in after.items():
        image, sha = demo.image["name"], demo.commit.sha
        wrong = demo_fleet.changed(demo.before[member], now, image, sha, demo.real)
        claim(not wrong, f"{member}: {'; '.join(wrong)}")
        page = f", its page: {now.page['page']!r}, {now.page['greeting']!r}" if now.page else ""
        kept = "id, address, metadata and data as before"
        demo.report.line(f"{member} runs {now.boot_image}{page}; {kept}", "green")
    for member, seconds in demo.silent.items():
        demo.report.line(f"{member} served no page for {seconds:.0f} s at the longest")


def check_nothing_left(demo: Demo) -> None:
    """The runs cleaned up by themselves: only the fleet and its own disks stand."""
    left = demo_fleet.leftovers(demo.compute)
    claim(not left, f"the runs left {', '.join(left)} behind")
    demo.report.line("the runs left no instance and no disk besides the fleet's", "green")


def show_table(demo: Demo) -> None:
    tasks = demo.airflow.tasks(DAG, demo.run.run_id)
    demo.report.table(
        f"{RECIPE}, baked and rolled out on {demo.choice.machines} machines",
        [
            ("image", demo.image["name"]),
            ("git hash", demo.image["labels"]["git-sha"]),
            ("family", demo.image["family"]),
            ("fleet", ", ".join(demo.before)),
            ("packages", demo.image["labels"].get("packages", "not told")),
            ("seconds per step", seconds_of(steps_of(tasks))),
        ],
    )


def steps_of(tasks: list[Task]) -> dict[str, float]:
    """Seconds of each task, and of a task group as a whole, in the order of their starts."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for task in tasks:
        if task.task_id == WATCHER:
            continue  # it lasts as long as the run
        if task.start is not None and task.end is not None and task.state != "skipped":
            step = task.task_id.split(".")[0]
            start, end = spans.get(step, (task.start, task.end))
            spans[step] = (min(start, task.start), max(end, task.end))
    ordered = sorted(spans.items(), key=lambda item: item[1])
    return {step: (end - start).total_seconds() for step, (start, end) in ordered}


@dataclass(frozen=True)
class Step:
    title: str
    act: Callable[[Demo], None]


STEPS = (
    Step("what is baked", name_commit),
    Step("the public image", make_image),
    Step("localgce and Airflow", start_stack),
    Step("the older image", bake_older),
    Step("the fleet", make_fleet),
    Step("the bake, and the rollout", bake),
    Step("the image, from outside", check_image),
    Step("the members, from outside", check_members),
    Step("what the runs left", check_nothing_left),
    Step("the result", show_table),
)


def play(demo: Demo, steps: tuple[Step, ...] = STEPS) -> None:
    """All steps, then the end, which is the same however the steps went. Raises DemoFailed."""
    try:
        for step in steps:
            demo.report.headline(step.title)
            step.act(demo)
    except (
        AirflowError, ComputeError, KeyError, RuntimeError, SettingsError, SourceError,
        StackError, Unhealthy,
    ) as error:  # fmt: skip
        if isinstance(error, DemoFailed):
            raise
        raise DemoFailed(_words(error)) from error
    finally:
        demo.report.quiet()
        finish(demo)


def finish(demo: Demo) -> None:
    """Stop everything, and look whether that is so."""
    demo.report.headline("stopping")
    left = demo.stack.stop()
    left += [processes.describe(p) for p in processes.marked(demo.stack.layout.state)]
    if left or demo.stack.layout.gce.exists():
        raise DemoFailed(f"still there: {'; '.join(left) or demo.stack.layout.gce}")
    demo.report.line("nothing is left: no process, no instance, no disk", "green")


def claim(true: bool, otherwise: str) -> None:
    if not true:
        raise DemoFailed(otherwise)


def _words(error: BaseException) -> str:
    return f"{error} is missing in an answer" if isinstance(error, KeyError) else str(error)
