"""How real builders and a real candidate end that do not end well.

The recipe `ends` does what its instance's metadata says under the key `end`, once it is set.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.bake.shutdown import classify_shutdown
from bakehouse.bake.triggers import ShutdownTrigger
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.core.reasons import Reason
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

RECIPE = """\
base: debian-cloud/debian-12
builder: {zones: [us-central1-a, us-central1-b]}
image: {keep: {failed: 3d}}
"""
INSTALL = """\
attribute=http://169.254.169.254/computeMetadata/v1/instance/attributes/end
until end=$(curl --silent --fail --header 'Metadata-Flavor: Google' "$attribute"); do
  sleep 1
done
case $end in
  fail) echo "about to fail"
    cp /etc/no-such-file /tmp ;;
esac
"""
HANG = "[[ $(hostname) != *-1 ]] || systemctl halt --force --force\n"  # the first builder only
FAILS = 'check "the earth is flat" "ask a sailor" false\n'
BOOTED = 900  # seconds until a builder's script has begun
ENDED = 3600

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def hung(stack_of_session: Testbed) -> Run:
    """A run whose builder hangs and has five minutes to live: they pass beside the other tests."""
    bed = stack_of_session
    patient = RECIPE.replace("builder: {", "builder: {max_run_minutes: 5, ")
    add(bed, "hangs", patient, HANG)
    return begun(bed, "hangs")


@pytest.fixture(scope="module", autouse=True)
def ends(stack_of_session: Testbed, hung: Run) -> None:  # ruff: ignore[unused-function-argument]  requested for its effect
    add(stack_of_session, "ends", RECIPE, INSTALL)


def test_one_that_is_deleted_is_made_elsewhere_and_one_that_failed_is_kept(
    bed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(bed, "ends", keep_builder=True)
    first = at_work(bed, run)
    assert silent(bed, first, monkeypatch) is Reason.SILENT
    bed.compute.call("DELETE", path(first))

    second = at_work(bed, run, but=first)
    assert second["zone"] != first["zone"]
    tell(bed, second, "fail")
    run = bed.airflow.wait(run.dag_id, run.run_id, ENDED)

    assert run.state == "failed", bed.explain(run)
    lost, failed = bed.errors(run, "wait_for_shutdown")
    assert Reason.VANISHED.text in lost
    assert "(delete by " in lost
    told, last, tail = failed.partition(f"\nThe last 50 lines of {second['name']}:\n")
    assert "install.sh line 7: `cp /etc/no-such-file /tmp` exited with 1: " in told
    assert told.endswith("cp: cannot stat '/etc/no-such-file': No such file or directory")
    assert last
    assert len(tail.splitlines()) == 50
    assert "about to fail" in tail
    assert [name for name in names(bed) if name.startswith("bake-ends")] == [second["name"]]
    kept = bed.compute.call("GET", path(second))["labels"]
    assert kept["bakehouse-state"] == "failed"
    assert datetime.fromtimestamp(int(kept["expires"]), UTC) > datetime.now(UTC)
    bed.compute.call("DELETE", path(second))


def test_one_that_somebody_stops_is_not_taken_for_one_that_has_finished(bed: Testbed) -> None:
    run = begun(bed, "ends", keep_builder=True)
    machine = at_work(bed, run)
    bed.compute.call("POST", f"{path(machine)}/stop")
    run = bed.airflow.wait(run.dag_id, run.run_id, ENDED)
    assert run.state == "failed", bed.explain(run)
    (error,) = bed.errors(run, "wait_for_shutdown")
    assert Reason.STOPPED_BY_SOMEBODY.text in error
    bed.compute.call("DELETE", path(machine))


def test_one_that_hangs_is_deleted_by_compute_engine_and_the_next_candidate_fails(
    bed: Testbed, hung: Run
) -> None:
    run = bed.airflow.wait(hung.dag_id, hung.run_id, ENDED)
    assert run.state == "failed", bed.explain(run)
    (over,) = bed.errors(run, "wait_for_shutdown")
    assert Reason.RUN_TIME_OVER.text in over

    (failed,) = bed.errors(run, "smoke_test")
    assert "the earth is flat" in failed
    assert "FAILED  the earth is flat (hint: ask a sailor)" in bed.log(run, "smoke_test")
    image = bed.compute.image(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])
    assert image["labels"]["bakehouse-state"] == "failed"
    assert "family" not in image
    left = datetime.fromtimestamp(int(image["labels"]["expires"]), UTC) - datetime.now(UTC)
    assert timedelta(days=2) < left < timedelta(days=4)
    assert bed.left() == []


def add(bed: Testbed, name: str, recipe: str, install: str) -> None:
    scripts = f"include/startup_scripts/{name}"
    files = {f"include/recipes/{name}.yaml": recipe, f"{scripts}/install.sh.j2": install}
    bed.add_recipe(name, {**files, f"{scripts}/smoke_test.sh": FAILS})


def begun(bed: Testbed, recipe: str, **conf: object) -> Run:
    """A run whose builder is waited for."""
    dag_id = f"bake__{recipe}"
    run_id = bed.airflow.trigger(dag_id, {"force": True, **conf})
    bed.airflow.wait_for_task(dag_id, run_id, "wait_for_shutdown", ["deferred"], BOOTED)
    return bed.airflow.run(dag_id, run_id)


def at_work(bed: Testbed, run: Run, but: Resource | None = None) -> Resource:
    """The run's builder, another than that, once its script has begun."""
    found: list[Resource] = []

    def begins() -> bool:
        recipe = run.dag_id.removeprefix("bake__")
        others = [m for m in bed.compute.instances() if m["name"].startswith(f"bake-{recipe}-")]
        found[:] = [m for m in others if but is None or m["id"] != but["id"]]
        return bool(found) and '"stage": "boot"' in bed.compute.serial_output(path(found[0]))

    wait_until(begins, BOOTED, f"a builder of {run.run_id} to be at work")
    return found[0]


def tell(bed: Testbed, machine: Resource, end: str) -> None:
    """`install.sh` on the machine how to end."""
    metadata = bed.compute.call("GET", path(machine))["metadata"]
    items = [*metadata["items"], {"key": "end", "value": end}]
    body = {"fingerprint": metadata["fingerprint"], "items": items}
    bed.compute.call("POST", f"{path(machine)}/setMetadata", json=body)


def silent(bed: Testbed, machine: Resource, monkeypatch: pytest.MonkeyPatch) -> Reason | None:
    """The verdict over a machine that is at work, had its deadline passed."""
    google = {"is_anonymous": True, "project": bed.compute.project}
    google["api_endpoint"] = bed.stack.record.gce_url
    connection = {"conn_type": "google_cloud_platform", "extra": google}
    monkeypatch.setenv("AIRFLOW_CONN_ENDS", json.dumps(connection))
    where = {"conn_id": "ends", "zone": path(machine).split("/")[1], "name": machine["name"]}
    trigger = ShutdownTrigger(**where, nonce="of another", deadline=0.0)
    verdict = classify_shutdown(
        MachineObservation.model_validate(asyncio.run(_first(trigger))["observed"])
    )
    return verdict.reason if verdict else None


async def _first(trigger: ShutdownTrigger) -> dict[str, Any]:
    events: Any = trigger.run()
    async with aclosing(events):
        payload: dict[str, Any] = (await asyncio.wait_for(anext(events), 60)).payload["event"]
        return payload


def path(machine: Resource) -> str:
    return f"zones/{machine['zone'].rpartition('/')[2]}/instances/{machine['name']}"


def names(bed: Testbed) -> list[str]:
    return [machine["name"] for machine in bed.compute.instances()]
