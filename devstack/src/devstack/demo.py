"""`make demo`: a bake and a rollout on this computer, checked from outside; nothing is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bakehouse.config.airflow_settings import SettingsError
from bakehouse.recipe.git.errors import SourceError
from bakehouse.recipe.git.open import open_repository
from devstack import demo_fleet, machines, processes
from devstack.airflow_api import Airflow, AirflowError, Run, Task
from devstack.availability import AvailabilityProbe
from devstack.demo_checks import check_image, check_members, check_nothing_left
from devstack.demo_model import DAG, RECIPE, ROLL_OUT, Demo, DemoFailed
from devstack.follow import Follower, error_lines, name
from devstack.gce_api import Compute, ComputeError
from devstack.report import seconds_of
from devstack.stack import StackError
from devstack.startup import Unhealthy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

RUN_DEADLINE = {"qemu": 2400.0, "instant": 300.0}  # seconds
SLA_WATCHER = "sla_watch"
OLDER = {"page": "Baked the day before"}
PARSE_DEADLINE = 90.0


def name_commit(demo: Demo) -> None:
    """HEAD is baked; uncommitted changes are named and not baked."""
    with open_repository(demo.project) as repository:
        demo.commit = repository.resolve("HEAD")
    demo.report.line(f"commit {demo.commit.sha} ({demo.commit.subject})")
    if demo.commit.dirty:
        shown = ", ".join(demo.commit.dirty[:8])
        more = len(demo.commit.dirty) - 8
        rest = f" and {more} more" if more > 0 else ""
        demo.report.line(f"HEAD is baked, without what is not committed: {shown}{rest}", "yellow")


def start_stack(demo: Demo) -> None:
    """Start localgce and Airflow, and connect to both; make the public image beside.

    The recipe is based on that image; instant machines need none, since they have no disk.
    """
    if demo.real:
        with machines.public_image_in_the_making() as made:
            demo.stack.start()
            made(demo.report.line)
    else:
        demo.stack.start()
    record = demo.stack.record
    demo.airflow = Airflow(record.airflow_url, demo.stack.user, demo.stack.password)
    demo.compute = Compute(record.gce_url, record.gce_project)


def bake_older(demo: Demo) -> None:
    """The image that the fleet runs at first: the same commit with another page."""
    demo.airflow.wait_for_dag(DAG, PARSE_DEADLINE)
    conf = {"git_ref": demo.commit.sha, "vars": OLDER, "roll_out": False}
    run = run_dag(demo, DAG, conf)
    demo.older = demo.airflow.xcom(DAG, run.run_id, "plan_bake")["image_name"]


def begin_bake(demo: Demo) -> None:
    """Trigger the bake of HEAD, which ends with the rollout of the image to the fleet."""
    demo.run_id = trigger(demo, DAG, {"git_ref": demo.commit.sha})


def create_fleet(demo: Demo) -> None:
    """Roll out the older image, beside the builder: the members of the file do not exist yet.

    The rollout at the end of the bake waits for the fleet's lease until this one has ended.
    """
    run_dag(demo, ROLL_OUT, {"image": demo.older})
    demo.before = demo_fleet.observe(demo.compute, demo.real)
    for member, state in demo.before.items():
        page = f", its page: {state.page['page']!r}" if state.page else ""
        demo.report.line(f"{member} runs {state.boot_image} at {state.internal_ip}{page}")


def follow_bake(demo: Demo) -> None:
    """Until the rollout has ended; the members' pages are requested all the time."""
    probe = AvailabilityProbe(demo_fleet.page_urls(demo.compute)) if demo.real else None
    if probe:
        probe.start()
    try:
        demo.run = follow(demo, DAG, demo.run_id)
    finally:
        demo.downtimes = probe.stop() if probe else {}


def run_dag(demo: Demo, dag_id: str, conf: dict[str, Any], deadline: float | None = None) -> Run:
    """Trigger a run and follow it until it succeeds; raises DemoFailed with its errors."""
    return follow(demo, dag_id, trigger(demo, dag_id, conf), deadline)


def trigger(demo: Demo, dag_id: str, conf: dict[str, Any]) -> str:
    """Trigger a run; returns its id."""
    run_id = demo.airflow.trigger(dag_id, conf)
    demo.report.line(f"{dag_id} runs as {run_id}")
    return run_id


def follow(
    demo: Demo,
    dag_id: str,
    run_id: str,
    deadline: float | None = None,
    watch: Callable[[list[Task]], None] = lambda _: None,
) -> Run:
    """Show a run until it succeeds, as follow_to_end; raises DemoFailed with its errors."""
    run = follow_to_end(demo, dag_id, run_id, deadline, watch)
    if run.state != "success":
        raise DemoFailed("\n".join([f"{dag_id} has failed", *failures(demo, run)]))
    return run


def follow_to_end(
    demo: Demo,
    dag_id: str,
    run_id: str,
    deadline: float | None = None,
    watch: Callable[[list[Task]], None] = lambda _: None,
) -> Run:
    """Show a run until it ends, well or not; `watch` gets its tasks about once a second."""
    follower = Follower(demo.airflow, demo.report, dag_id, run_id)

    def both(tasks: list[Task]) -> None:
        follower(tasks)
        watch(tasks)

    try:
        seconds = deadline or RUN_DEADLINE[demo.choice.machines]
        return demo.airflow.wait(dag_id, run_id, seconds, both)
    finally:
        demo.report.quiet()


def failures(demo: Demo, run: Run) -> list[str]:
    """The error lines of each failed task."""
    errors = []
    for task in demo.airflow.tasks(run.dag_id, run.run_id):
        if task.state == "failed":
            lines = demo.airflow.log(
                run.dag_id, run.run_id, task.task_id, task.try_number, task.map_index
            )
            errors += [f"{name(task)}: {text}" for text in error_lines(lines)]
    return errors


def show_table(demo: Demo) -> None:
    """Print the image, the fleet, and where the time went."""
    tasks = demo.airflow.tasks(DAG, demo.run.run_id)
    demo.report.table(
        f"{RECIPE}, baked and rolled out on {demo.choice.machines} machines",
        [
            ("image", demo.image["name"]),
            ("git hash", demo.image["labels"]["git-sha"]),
            ("family", demo.image["family"]),
            ("fleet", ", ".join(demo.before)),
            ("packages", demo.image["labels"].get("packages", "unknown")),
            ("seconds of the demo", seconds_of(demo.spent)),
            ("of the bake's tasks", seconds_of(steps_of(tasks))),
        ],
    )


def steps_of(tasks: list[Task]) -> dict[str, float]:
    """Seconds of each task, and of a task group as a whole, in the order of their starts."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for task in tasks:
        if task.task_id == SLA_WATCHER:
            continue  # it lasts as long as the run
        if task.start is not None and task.end is not None and task.state != "skipped":
            step = task.task_id.split(".")[0]
            start, end = spans.get(step, (task.start, task.end))
            spans[step] = (min(start, task.start), max(end, task.end))
    ordered = sorted(spans.items(), key=lambda item: item[1])
    return {step: (end - start).total_seconds() for step, (start, end) in ordered}


# What ends a demo with its message alone.
EXPECTED: tuple[type[Exception], ...] = (
    AirflowError, ComputeError, KeyError, RuntimeError, SettingsError, SourceError, StackError,
    Unhealthy,
)  # fmt: skip
AnyDemo = TypeVar("AnyDemo", bound=Demo)


@dataclass(frozen=True)
class Step(Generic[AnyDemo]):
    """One step of a demo, with its headline."""

    title: str
    run: Callable[[AnyDemo], None]


STEPS = (
    Step("what is baked", name_commit),
    Step("localgce, Airflow and the public image", start_stack),
    Step("the older image", bake_older),
    Step("the bake begins", begin_bake),
    Step("the fleet is created, beside the builder", create_fleet),
    Step("the bake, and the rollout", follow_bake),
    Step("the image, from outside", check_image),
    Step("the members, from outside", check_members),
    Step("what the runs left", check_nothing_left),
    Step("the result", show_table),
)


def play(demo: AnyDemo, steps: tuple[Step[AnyDemo], ...]) -> None:
    """All steps, then the same clean-up however they ended. Raises DemoFailed."""
    try:
        for step in steps:
            demo.report.headline(step.title)
            began = demo.report.seconds
            step.run(demo)
            demo.spent[step.title] = demo.report.seconds - began
    except EXPECTED + demo.errors as error:
        if isinstance(error, DemoFailed):
            raise
        raise DemoFailed(_message(error)) from error
    finally:
        demo.report.quiet()
        finish(demo)


def finish(demo: Demo) -> None:
    """Stop everything, and check that nothing is left."""
    demo.report.headline("stopping")
    left = demo.stack.stop()
    left += [processes.describe(p) for p in processes.marked(demo.stack.layout.state)]
    if left or demo.stack.layout.gce.exists():
        raise DemoFailed(f"still existing: {'; '.join(left) or demo.stack.layout.gce}")
    demo.report.line("nothing is left: no process, no instance, no disk", "green")


def _message(error: BaseException) -> str:
    return f"{error} is missing in a response" if isinstance(error, KeyError) else str(error)
