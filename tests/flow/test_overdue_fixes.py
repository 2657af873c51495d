"""A fleet that lacks a security update for too long asks for its rollout, on a real scheduler."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import ZONE
from tests.support.apt import serving
from tests.support.deadlines import RUN
from tests.support.ledger import of_kind, read_ledger

from bakehouse.history.fleet_events import MissingFixesEvent
from bakehouse.history.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flow.fleet import Members

    from devstack.testbed import Testbed

RECIPE = """\
base: debian-cloud/debian-12
vars: {{page: lacking, instant_packages: openssl=1.0-1, instant_sources: '{source}'}}
services: [nginx]
smoke: {{metadata: {{greeting: hello}}}}
"""
FLEET = f"""\
recipe: lacking
members: {{instances: [lacking-1], zones: [{ZONE}]}}
max_days_since_fix: 7
"""


@pytest.fixture
def images(bed: Testbed) -> Iterator[tuple[str, str]]:
    """An image that lacks a security update, and a newer one that has it."""
    with serving() as apt:
        apt.publish("debian", "bookworm", {"openssl": "1.0-2"}, Label="Debian-Security")
        bed.write("include/fleets/lacking.yaml", FLEET)
        bed.add_web("lacking", RECIPE.format(source=f"{apt.url}/debian bookworm main"))
        roll_out = "roll_out__lacking"
        bed.parse_until("roll_out__web", lambda: roll_out in bed.airflow.dags(), roll_out)
        yield bake(bed, "1.0-1"), bake(bed, "1.0-2")


def bake(bed: Testbed, openssl: str) -> str:
    wanted = {"instant_packages": f"openssl={openssl}"}
    run = bed.bake("bake__lacking", vars=wanted, roll_out=False, force=True)
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])


def test_the_night_rolls_out_the_image_that_has_the_fix(
    bed: Testbed, images: tuple[str, str], members: Members
) -> None:
    lacks, has = images
    members.create(lacks, ["lacking-1"])
    ledger = bed.stack.layout.airflow_home / "ledger"
    new = bed.bake("housekeeping", dry_run=False, recipe="lacking")
    assert new.state == "success", bed.explain(new)
    assert bed.airflow.states(new.dag_id, new.run_id)["ask_for_fixes"] == "skipped", "it is new"
    (look,) = [
        event
        for event in of_kind(MissingFixesEvent, read_ledger(ledger, new.run_id))
        if event.image == lacks
    ]
    moment = look.happened - timedelta(days=8)
    earlier = look.model_copy(update={"time": moment, "at": moment, "run_id": "earlier"})
    Ledger(ledger.as_uri()).write(earlier)

    night = bed.bake("housekeeping", dry_run=False, recipe="lacking")
    assert night.state == "success", bed.explain(night)
    (asked,) = bed.airflow.xcom(night.dag_id, night.run_id, "ask_for_fixes")
    dag_id, run_id = asked.split()
    assert dag_id == "roll_out__lacking"
    rollout = bed.airflow.wait(dag_id, run_id, RUN)
    assert rollout.state == "success", bed.explain(rollout)
    assert members.facts().images == {"lacking-1": has}
    note = bed.airflow.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["note"]
    assert "lacking-1 lacks openssl 1.0-2" in note
    assert "max_days_since_fix of lacking is 7" in note

    again = bed.bake("housekeeping", dry_run=False, recipe="lacking")
    assert bed.airflow.states(again.dag_id, again.run_id)["ask_for_fixes"] == "skipped"
    assert bed.airflow.runs(dag_id) == [run_id]
