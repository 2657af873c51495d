"""Removes what a failed test of a stack has left.

The next test, and the next try, begin where it began.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devstack.testbed import Testbed

UNDER_WAY = {"running", "queued", "deferred"}
DEADLINE = 600  # seconds, for what was made to be gone


@dataclass(frozen=True)
class Snapshot:
    """What stands in the project, in Airflow and in Compute Engine."""

    head: str
    runs: frozenset[tuple[str, str]]
    resources: frozenset[str]  # paths below the project

    @staticmethod
    def of(bed: Testbed) -> Snapshot:
        found = bed.airflow.call("GET", "/dags/~/dagRuns", params={"limit": 100})
        total, runs = found["total_entries"], found["dag_runs"]
        while len(runs) < total:
            page = {"limit": 100, "offset": len(runs)}
            more = bed.airflow.call("GET", "/dags/~/dagRuns", params=page)["dag_runs"]
            if not more:
                break
            runs += more
        compute = bed.compute
        own = f"/projects/{compute.project}/"
        whole = compute.listed("global/machineImages")
        resources = [*compute.instances(), *compute.disks(), *compute.images(), *whole]
        return Snapshot(
            bed.head,
            frozenset((run["dag_id"], run["dag_run_id"]) for run in runs),
            frozenset(str(one["selfLink"]).split(own, 1)[1] for one in resources),
        )

    def restore(self, bed: Testbed) -> None:
        """End and delete the runs that have begun since.

        Then delete what they have made, and take back what was committed.
        """
        from devstack.gce_api import ComputeError
        from devstack.testbed import git
        from devstack.waiting import wait_until

        new = sorted(Snapshot.of(bed).runs - self.runs)
        for dag, run in new:
            if bed.airflow.run(dag, run).state in UNDER_WAY:
                path = f"/dags/{dag}/dagRuns/{run}"
                bed.airflow.call("PATCH", path, json={"state": "failed"})
        wait_until(
            lambda: not any(_under_way(bed, *run) for run in new),
            DEADLINE,
            f"the runs {new} and their tasks to end",
        )
        for dag, run in new:
            bed.airflow.call("DELETE", f"/dags/{dag}/dagRuns/{run}")
        git(bed.project, "reset", "--quiet", "--hard", self.head)
        bed.compute.forget()
        for kind in ("instances/", "disks/", "images/", "machineImages/"):
            for resource in self._made(bed, kind):
                with suppress(ComputeError):  # it goes by itself; whether it has gone is seen below
                    bed.compute.call("DELETE", resource)
            gone = partial(self._gone, bed, kind)
            wait_until(gone, DEADLINE, f"the {kind} of a failed test to be gone")

    def _made(self, bed: Testbed, kind: str) -> set[str]:
        return {path for path in Snapshot.of(bed).resources - self.resources if kind in path}

    def _gone(self, bed: Testbed, kind: str) -> bool:
        return not self._made(bed, kind)


def _under_way(bed: Testbed, dag: str, run: str) -> bool:
    """The teardown, which a run that was ended still does, has the run go on."""
    states = {bed.airflow.run(dag, run).state, *bed.airflow.states(dag, run).values()}
    return bool(UNDER_WAY & states)
