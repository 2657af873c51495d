"""DAGs of Airflow's own classes, for a scheduler that loads no plugin."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from bakehouse.dag_factory.bake import bake_dag
from bakehouse.dag_factory.housekeeping import housekeeping_dag
from bakehouse.recipe.load import load_recipe
from bakehouse.schedule.classes import only_builtin
from bakehouse.schedule.jitter import offset_of
from bakehouse.schedule.shift import shifted

if TYPE_CHECKING:
    from pathlib import Path

BASE = "base: debian-cloud/debian-12\n"
CHILD = "base: {recipe: web}\n"
NIGHTS = "schedule: 0 3 * * *\ntimezone: Europe/Berlin\njitter: 20m\n"


@pytest.fixture
def builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__BAKEHOUSE__TIMETABLE", "builtin")


def serialised(text: str) -> dict[str, Any]:
    dag = bake_dag(load_recipe(text, "web.yaml"))
    found: dict[str, Any] = DagSerialization.to_dict(dag)["dag"]
    return found


@pytest.mark.usefixtures("builtin")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BASE, "NullTimetable"),
        (BASE + NIGHTS, "CronTriggerTimetable"),
        (CHILD, "PartitionedAssetTimetable"),
        (CHILD + NIGHTS, "CronTriggerTimetable"),
    ],
)
def test_every_schedule_is_one_of_airflows_own(text: str, kind: str) -> None:
    dag = serialised(text)
    path = str(dag["timetable"]["__type"])
    assert path.startswith("airflow.")
    assert path.endswith(f".{kind}")
    assert not dag.get("deadline")
    assert "bakehouse.sla.reference" not in json.dumps(dag)


@pytest.mark.usefixtures("builtin")
def test_the_jitter_is_in_the_minute_and_no_start_date_makes_up_for_last_night() -> None:
    dag = serialised(BASE + NIGHTS)
    late = offset_of("web", timedelta(minutes=20))
    told = dag["timetable"]["__var"]
    assert told["expression"] == shifted("0 3 * * *", late) != "0 3 * * *"
    assert told["timezone"] == "Europe/Berlin"
    assert "start_date" not in dag
    assert f"`{told['expression']}` (Europe/Berlin)" in dag["doc_md"]


@pytest.mark.usefixtures("builtin")
def test_housekeeping_has_a_builtin_schedule_too(tmp_path: Path) -> None:
    dag = DagSerialization.to_dict(housekeeping_dag(tmp_path, "0 6 * * *", "UTC", "ops"))["dag"]
    assert dag["timetable"]["__type"].startswith("airflow.")


def test_ours_is_used_unless_a_person_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serialised(BASE + NIGHTS)["timetable"]["__type"].startswith("bakehouse.")
    monkeypatch.setenv("AIRFLOW__BAKEHOUSE__TIMETABLE", "built-in")
    with pytest.raises(ValueError, match="is 'built-in': write bakehouse or builtin"):
        only_builtin()
