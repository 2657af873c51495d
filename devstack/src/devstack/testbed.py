"""A stack on a throw-away copy of the project, in which tests may add, change and commit."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.airflow_api import Airflow, AirflowError, Line, Run
from devstack.gce_api import Compute
from devstack.machines import GUEST
from devstack.stack import Stack
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from devstack.record import Machines
    from devstack.topology import Topology

SOON = 300.0  # seconds for what takes a few on an idle machine
RUN = 1200.0  # for a run on instant machines
LOOKS_A_REQUEST = 12  # of half a second each
AUTHOR = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")


@dataclass(frozen=True)
class Testbed:
    """The copy is a git repository of its own with one commit, the tree as it was."""

    __test__ = False  # the name does not make it one of pytest's

    project: Path
    stack: Stack
    airflow: Airflow
    compute: Compute

    @property
    def head(self) -> str:
        """The hash of the current commit."""
        return git(self.project, "rev-parse", "HEAD").strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the project, without a commit."""
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def commit(self, why: str) -> str:
        """All that was written; returns the new commit's hash."""
        git(self.project, "add", "-A")
        git(self.project, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", why)
        return self.head

    def declare_members(self, names: list[str], deadline: float = SOON) -> None:
        """Let the fleet `web` have these members, and wait for its DAG to know them."""
        write_members(self.project, names)
        self.commit(f"The fleet has the members {names}")
        dag = "roll_out__web"
        self.parse_until(
            dag,
            lambda: (
                self.airflow.call("GET", f"/dags/{dag}/details")["params"]["members"]["schema"]
                .get("items", {})
                .get("enum", [])
                == names
            ),
            f"the members of {dag}",
            deadline,
        )

    def add_recipe(self, name: str, files: dict[str, str], deadline: float = SOON) -> str:
        """Commit the files (paths from the project's root) and wait for the DAG of the recipe.

        Executable are those without an ending, and `.sh`. Returns the commit's hash.
        """
        for path, text in files.items():
            executable = Path(path).suffix in {"", ".sh"}
            self.write(path, text, 0o755 if executable else 0o644)
        sha = self.commit(f"Add the recipe {name}")
        self.see_changes(f"bake__{name}", deadline)
        return sha

    def add_web(self, name: str, recipe: str, deadline: float = SOON) -> str:
        """A recipe of this text with the scripts of `web`."""
        folder = "include/startup_scripts"
        scripts = self.project / folder / "web"
        files = {
            f"{folder}/{name}/{file.relative_to(scripts)}": file.read_text(encoding="utf-8")
            for file in sorted(scripts.rglob("*"))
            if file.is_file()
        }
        return self.add_recipe(name, {**files, f"include/recipes/{name}.yaml": recipe}, deadline)

    def see_changes(self, dag_id: str, deadline: float = SOON) -> None:
        """Have the file of the bakes parsed until the DAG is there."""
        known = [dag for dag in self.airflow.dags() if dag.startswith("bake__")]
        self.parse_until(
            known[0], lambda: dag_id in self.airflow.dags(), f"{dag_id} to be parsed", deadline
        )

    def parse_until(
        self, dag_id: str, condition: Callable[[], bool], what: str, deadline: float = SOON
    ) -> None:
        """Have the file of this DAG parsed until the condition is true.

        Airflow forgets a request that comes while it parses the file, so it is repeated.
        """
        looks = count()

        def is_true() -> bool:
            if next(looks) % LOOKS_A_REQUEST == 0:
                with suppress(AirflowError):  # the request before is still there
                    self.airflow.reparse(dag_id)
            return condition()

        try:
            wait_until(is_true, deadline, what)
        except DeadlineExceeded as error:
            details = [str(error), *self.airflow.import_errors()]
            raise DeadlineExceeded("\n".join(details)) from error

    def bake(self, dag_id: str, deadline: float = RUN, **conf: object) -> Run:
        """Trigger the DAG and wait until its run has ended, well or not."""
        return self.airflow.wait(dag_id, self.airflow.trigger(dag_id, conf), deadline)

    def explain(self, run: Run) -> str:
        """Why a run ended as it did, for the message of an assertion."""
        return self.airflow.explain(run.dag_id, run.run_id)

    def left(self) -> list[str]:
        """The instances and disks that exist now, as `kind name`."""
        return [f"instance {item['name']}" for item in self.compute.instances()] + [
            f"disk {item['name']}" for item in self.compute.disks()
        ]

    def log(self, run: Run, task_id: str) -> str:
        """The text of all tries of a task."""
        return "\n".join(line.text for lines in self._tries(run, task_id) for line in lines)

    def errors(self, run: Run, task_id: str) -> list[str]:
        """Why tries of a task failed, as their logs end: the reason, then its details."""
        ends = [
            [line.text.splitlines() for line in lines if "\nWhat to do: " in line.text]
            for lines in self._tries(run, task_id)
        ]
        words = [found[-1] for found in ends if found]
        return ["\n".join([reason, *details]) for *details, reason, _ in words]

    def _tries(self, run: Run, task_id: str) -> list[list[Line]]:
        task = next(t for t in self.airflow.tasks(run.dag_id, run.run_id) if t.task_id == task_id)
        return [
            self.airflow.log(run.dag_id, run.run_id, task_id, number)
            for number in range(1, task.try_number + 1)
        ]


@contextmanager
def testbed(
    source: Path,
    folder: Path,
    machines: Machines,
    topology: Topology | None = None,  # ruff: ignore[pytest-parameter-with-default-argument]  no test
) -> Generator[Testbed]:
    """A copy of the tree at `source` below `folder`, its stack started, and stopped at the end.

    No instance exists yet, so that the fleet `web` has no members: see `declare_members`.
    """
    project = folder / "project"
    copy_tree(source, project)
    write_members(project, [])
    git(project, *AUTHOR, "commit", "--quiet", "--all", "-m", "A fleet without members")
    guest = GUEST if machines == "instant" else None
    stack = Stack(project, folder / "state", machines, guest, topology=topology, progress=print)
    stack.start(deadline=900)
    record = stack.record
    airflow = Airflow(record.airflow_url, stack.user, stack.password)
    compute = Compute(record.gce_url, record.gce_project)
    try:
        airflow.wait_for_dag("bake__web", deadline=SOON)
        yield Testbed(project, stack, airflow, compute)
    finally:
        airflow.close()
        compute.close()
        left = stack.stop()
        if left:
            raise RuntimeError(f"the stack left processes: {'; '.join(left)}")


def write_members(project: Path, names: list[str]) -> None:
    """Write the members of the fleet `web` into its file, as instances that somebody else makes."""
    file = project / "include/fleets/web.yaml"
    text = re.sub(
        r"^members:\n.*?^  zones:",
        f"members:\n  instances: [{', '.join(names)}]\n  zones:",
        file.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    text = re.sub(r"^template:\n(?:[ #].*\n)*", "", text, flags=re.MULTILINE)
    file.write_text(text.replace("max_unavailable: 2", "max_unavailable: 1"), "utf-8")


def copy_tree(source: Path, target: Path) -> None:
    """What git tracks or would add, as it is in the work tree now, as one commit."""
    names = git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, names.split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    git(target, "init", "--quiet", "--initial-branch", "main")
    git(target, "add", "-A")
    git(target, *AUTHOR, "commit", "--quiet", "-m", "The tree under test")


def git(folder: Path, *arguments: str) -> str:
    """Raises subprocess.CalledProcessError."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={folder}", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
