"""One Airflow DAG that takes an image out of use, with all that is built upon it."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import chain

from bakehouse.dag_factory.housekeeping import revoke_dag
from bakehouse.dag_factory.housekeeping_tasks import channels, step
from bakehouse.housekeeping.revoke_operators import (
    FindImage,
    MarkDescendants,
    NameMembers,
    RevokeImage,
)
from bakehouse.sla.operators import watch_slas

# Ours to choose, yours to change. A revocation itself is told to the recipe's and fleets' own.
OWNER = "bakehouse"
NOTIFY: list[dict[str, object]] = []  # of a run that is late or fails, as in a recipe

include = str(Path(__file__).parent.parent / "include")

with revoke_dag(OWNER) as dag:
    find_image = FindImage(**step("find_image", include))
    revoke_image = RevokeImage(**step("revoke_image", include))
    mark_descendants = MarkDescendants(**step("mark_descendants", include))
    name_members = NameMembers(**step("name_members", include))

    chain(find_image, revoke_image, mark_descendants, name_members)
    watch_slas(dag, "revoke", channels(NOTIFY))
