"""One Airflow DAG that keeps house: sweeps what was left behind, retires images, shows drift."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import chain

from bakehouse.dag_factory.housekeeping import housekeeping_dag
from bakehouse.dag_factory.housekeeping_tasks import channels, step
from bakehouse.housekeeping.operators import PlanRetire, PlanSweep, Retire, ShowDrift, Sweep
from bakehouse.sla.operators import watch_slas

# Ours to choose, yours to change.
SCHEDULE, TIMEZONE, OWNER = "0 6 * * *", "UTC", "bakehouse"
NOTIFY: list[dict[str, object]] = []  # as in a recipe: [{"notifier": "smtp", "arguments": …}]

include = Path(__file__).parent.parent / "include"

with housekeeping_dag(include, SCHEDULE, TIMEZONE, OWNER) as dag:
    files = str(include)
    plan_sweep = PlanSweep(**step("plan_sweep", files))
    sweep = Sweep(**step("sweep", files))
    plan_retire = PlanRetire(**step("plan_retire", files))
    retire = Retire(**step("retire", files))
    show_drift = ShowDrift(**step("show_drift", files))

    # beside each other: what one cannot do stops none of the others
    chain(plan_sweep, sweep)
    chain(plan_retire, retire)
    watch_slas(dag, "housekeeping", channels(NOTIFY))
