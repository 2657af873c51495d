"""All checks of a set-up, in the order in which they are mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.cloud.permissions import service_accounts
from bakehouse.config.project import read_project
from bakehouse.core.errors import BakehouseError
from bakehouse.history.location import ledger_url
from bakehouse.lease.builder_slots import DEFAULT_LIMIT, limit
from bakehouse.preflight.airflow_checks import check_git, check_settings
from bakehouse.preflight.decisions import check_store, cloud_checks
from bakehouse.preflight.gather import airflow_facts, cloud_facts, git_facts, store_facts
from bakehouse.preflight.needs import needs_of

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.core.check import Check


def setup_checks(include: Path, connection: str, git_connection: str) -> list[Check]:
    """Look at all that a bake and a rollout need, and change nothing but a record in the ledger.

    Args:
        include: The folder with recipes/ and fleets/; what is not valid there is left out.
        connection: Of Google Cloud.
        git_connection: Of the repository.
    """
    project = read_project(include)
    needs, accounts = needs_of(project), service_accounts()
    at_a_time = _builders()
    cloud = cloud_facts(connection, needs)
    recipes = [recipe.name for recipe in project.recipes]
    return [
        *cloud_checks(cloud, needs, accounts, at_a_time),
        check_store(store_facts(ledger_url()), cloud.account, accounts, str(cloud.project)),
        check_git(git_facts(git_connection, recipes)),
        *check_settings(airflow_facts(), needs, at_a_time),
    ]


def _builders() -> int:
    try:
        return limit()
    except BakehouseError:  # `bakehouse doctor` names a wrong Variable
        return DEFAULT_LIMIT
