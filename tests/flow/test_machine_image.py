"""A recipe whose images are machine images, on a real scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devstack.testbed import Testbed

WHOLE = """
base: debian-cloud/debian-12
vars: {page: whole}
smoke: {metadata: {greeting: hello}}
image: {kind: machine_image}
"""


def test_a_machine_image_is_baked_and_proves_itself(bed: Testbed) -> None:
    bed.add_web("whole", WHOLE)
    run = bed.bake("bake__whole")
    assert run.state == "success", bed.explain(run)
    name = bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"]
    image = bed.compute.call("GET", f"global/machineImages/{name}")
    assert (image["status"], image["labels"]["bakehouse-state"]) == ("READY", "promoted")
    assert "check passed" in bed.log(run, "smoke_test")
    assert name not in {one["name"] for one in bed.compute.images()}
    assert bed.left() == []
