"""Programs of Airflow that have Bakehouse from the wheel, as on a managed Airflow.

`plugins/` is empty and on no sys.path, `include/` lies below `dags/`, since only that folder is
mapped, and the timetables are Airflow's own.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.support.connections import commit_all
from tests.support.deadlines import RUN, SOON
from tests.support.nights import NIGHTLY

from bakehouse.images.labels import STATE

from .conftest import connect, deployed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.wheel.conftest import Installed

    from devstack.airflow_api import Airflow

NIGHTS = f"schedule: {NIGHTLY}\njitter: 15m\n"
NAT = {
    "name": "nat",
    "network": "global/networks/default",
    "nats": [{"name": "n", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}],
}


def test_a_project_is_checked_and_baked_where_only_dags_is_mapped(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    shutil.move(project / "include", project / "dags" / "include")
    for file in (project / "dags").glob("*.py"):
        file.write_text(file.read_text().replace("parent.parent", "parent"))
    with (project / "dags/include/recipes/web.yaml").open("a") as recipe:
        recipe.write(NIGHTS)
    connect(project, "dags")
    commit_all(project, "only dags/")
    with deployed(
        installed,
        project,
        tmp_path / "state",
        AIRFLOW__BAKEHOUSE__TIMETABLE="builtin",
        AIRFLOW__BAKEHOUSE__FIRST_LOOK="5",  # long enough to be seen deferred
    ) as up:
        up.airflow.wait_for_dag("bake__web", deadline=SOON)
        assert up.airflow.import_errors() == []
        refused = check_the_set_up(up.airflow, "failed")
        wrong = next(number for number, one in enumerate(refused) if one.startswith("✗"))
        told = [one for one in refused if one.startswith("✗")]  # in the table, and in the error
        assert all(one.startswith("✗ network  ") for one in told), told
        assert "→ gcloud compute routers" in refused[wrong + 1]
        assert any(one.startswith("1 wrong, ") for one in refused)
        up.compute.call("POST", "regions/us-central1/routers", json=NAT)
        lines = check_the_set_up(up.airflow, "success")
        assert any(one.endswith(" fine") and "wrong" not in one for one in lines), lines
        assert [one for one in lines if one.startswith("✗")] == []
        assert any(one.startswith("✓ triggerer  has the triggers of Bakehouse") for one in lines)
        baked = up.airflow.wait("bake__web", up.airflow.trigger("bake__web"), RUN)
        assert baked.state == "success", up.airflow.explain("bake__web", baked.run_id)
        (image,) = up.compute.images()
        assert (image["family"], image["labels"][STATE]) == ("web", "promoted")
        (dag,) = up.airflow.call("GET", "/dags?dag_id_pattern=bake__web")["dags"]
        assert dag["timetable_summary"] not in {NIGHTLY, None}, "its jitter is in the minute"
        assert not dag["timetable_summary"].endswith("s later")


def check_the_set_up(airflow: Airflow, ends: str) -> list[str]:
    """Run the DAG, which defers once -> what it wrote for people."""
    run = airflow.trigger("check_setup")
    airflow.wait_for_task("check_setup", run, "check_setup", ["deferred"], RUN)
    ended = airflow.wait("check_setup", run, RUN)
    assert ended.state == ends, airflow.explain("check_setup", run)
    (task,) = (one for one in airflow.tasks("check_setup", run) if one.task_id == "check_setup")
    assert task.try_number == 1, "what is wrong is not tried again"
    return [line.text for line in airflow.log("check_setup", run, "check_setup")]
