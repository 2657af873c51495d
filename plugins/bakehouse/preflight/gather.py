"""Read the facts of a set-up. A fact that cannot be read stops no other."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow.sdk.configuration import conf

from bakehouse.bake import base_image
from bakehouse.bake.image_reads import ImageReads
from bakehouse.bake.recipe_source import RecipeSource
from bakehouse.cloud.permissions import Resource, service_accounts
from bakehouse.cloud.policy_calls import PolicyCalls
from bakehouse.cloud.setup_calls import SetupCalls
from bakehouse.core.errors import BakehouseError, PermanentError
from bakehouse.images.links import path_of, project_of
from bakehouse.lease.lease import Owner, UnsafeStore
from bakehouse.lease.store import lease_of
from bakehouse.preflight.decisions import CONSTRAINT
from bakehouse.preflight.facts import (
    AirflowFacts,
    CloudFacts,
    GitFacts,
    Nat,
    Place,
    Quota,
    StoreFacts,
    Subnet,
    Unread,
)
from bakehouse.preflight.quota import ALL_REGIONS
from bakehouse.recipe.base import parse_base
from bakehouse.schedule.classes import OWN
from bakehouse.triggers.base import FIRST_LOOK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from bakehouse.preflight.needs import Needs

Fact = TypeVar("Fact")
Key = TypeVar("Key", str, tuple[str, str], Place)

COMPUTE = "compute.googleapis.com"
RESOURCE_MANAGER = "cloudresourcemanager.googleapis.com"
IAM = "iam.googleapis.com"


def cloud_facts(connection: str, needs: Needs) -> CloudFacts:
    """Ask Google Cloud by a connection of Airflow. Raises nothing that a person could mend."""
    hook, policies = SetupCalls(gcp_conn_id=connection), PolicyCalls(gcp_conn_id=connection)
    account = _read(hook.authenticate)
    if isinstance(account, Unread):
        return CloudFacts(connection=connection, project=account)
    project = _read(hook.project_resource)
    asked = service_accounts().orchestrator.on(Resource.PROJECT)
    granted = _read(lambda: policies.granted([name for use in asked for name in use.names]))
    machines = needs.machines
    accounts = _each({one.service_account for one in machines} - {""}, policies.may_act_as)
    regions = {region for one in machines for region in one.regions}
    places = {one.place(region, hook.project) for one in machines for region in one.regions}
    types = {(zone, one.machine_type) for one in machines for zone in one.zones}
    answers: dict[str, object] = {COMPUTE: project, RESOURCE_MANAGER: granted}
    if accounts:
        answers[IAM] = next(iter(accounts.values()))
    of_project = project if isinstance(project, Unread) else quotas_in(project)
    return CloudFacts(
        connection=connection,
        project=hook.project,
        account=account,
        apis={api: why if isinstance(why, Unread) else None for api, why in answers.items()},
        granted=granted,
        accounts=accounts,
        quotas={
            ALL_REGIONS: of_project,
            **_each(regions, lambda region: quotas_in(hook.region(region))),
        },
        cpus=_each(types, lambda at: _cpus(hook, *at)),
        subnets=_each(places, lambda at: subnets_in(hook.subnetworks(at.project, at.region))),
        nats=_each(places, lambda at: nats_in(hook.routers(at.project, at.region))),
        bases=_each(needs.bases, lambda base: _base(hook, base)),
        guest_attributes_denied=_read(lambda: policies.is_enforced(CONSTRAINT)),
    )


def quotas_in(resource: Mapping[str, Any]) -> dict[str, Quota]:
    """Return the quotas of a region or a project, by metric."""
    return {
        str(quota["metric"]): Quota(float(quota.get("limit", 0)), float(quota.get("usage", 0)))
        for quota in resource.get("quotas", [])
    }


def subnets_in(resources: Iterable[Mapping[str, Any]]) -> tuple[Subnet, ...]:
    """Return the subnetworks of a list."""
    return tuple(
        Subnet(
            name=str(one["name"]),
            path=path_of(one["selfLink"]),
            network=path_of(one["network"]),
            private_google_access=bool(one.get("privateIpGoogleAccess")),
        )
        for one in resources
    )


def nats_in(routers: Iterable[Mapping[str, Any]]) -> tuple[Nat, ...]:
    """Return the Cloud NATs of the routers of a list."""
    return tuple(
        Nat(
            router=str(router["name"]),
            network=path_of(router["network"]),
            subnets=tuple(path_of(one["name"]) for one in nat.get("subnetworks", [])),
        )
        for router in routers
        for nat in router.get("nats", [])
    )


def store_facts(url: str) -> StoreFacts:
    """Try the ledger's store with a lease of its own: two writers, one of whom must lose."""
    name = f"check-setup/{uuid.uuid4().hex}"
    now, long = datetime.now(UTC), timedelta(minutes=1)
    mine, other = (Owner(dag_id="check_setup", run_id=run) for run in ("first", "second"))
    try:
        lease = lease_of(url, name)
        problem = ""
        if not lease.take(mine, None, now, long):
            problem = "a lease could not be taken"
        elif lease.take(other, None, now, long):
            problem = "two writers have created the same object: leases would not hold"
        elif not (lease.held_by(mine) and lease.release(mine, now)):
            problem = "what was written is not read back"
        lease.discard()
    except UnsafeStore as unsafe:
        return StoreFacts(url, str(unsafe))
    except Exception as error:  # whatever a store's library makes of a refusal
        return StoreFacts(url, f"{type(error).__name__}: {error}".splitlines()[0])
    return StoreFacts(url, problem)


def git_facts(connection: str, recipes: Iterable[str]) -> GitFacts:
    """Read the newest commit of the repository, and the recipes in it."""
    found = _read(lambda: RecipeSource(connection).newest(recipes))
    if isinstance(found, Unread):
        return GitFacts(connection, found)
    return GitFacts(connection, found[0].sha, tuple(found[1]))


def airflow_facts() -> AirflowFacts:
    """Read the settings of this process, which are those of the workers in a task."""
    scheme = str(conf.get("database", "sql_alchemy_conn", fallback="")).partition(":")[0]
    return AirflowFacts(
        executor=conf.get("core", "executor").rpartition(".")[2],
        heartbeat_seconds=conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0),
        triggerer_capacity=conf.getint("triggerer", "capacity", fallback=1000),
        first_look_seconds=FIRST_LOOK,
        database=scheme.partition("+")[0],
        is_composer="COMPOSER_ENVIRONMENT" in os.environ,
        timetable=conf.get("bakehouse", "timetable", fallback=OWN),
    )


def _each(keys: Iterable[Key], ask: Callable[[Key], Fact]) -> dict[Key, Fact | Unread]:
    return {key: _read(partial(ask, key)) for key in sorted(keys)}


def _read(ask: Callable[[], Fact]) -> Fact | Unread:
    try:
        return ask()
    except BakehouseError as error:
        return Unread(" ".join(str(error).split()))


def _cpus(hook: SetupCalls, zone: str, machine_type: str) -> int | None:
    found = hook.machine_type(zone, machine_type)
    return None if found is None else int(found.get("guestCpus", 0))


def _base(hook: SetupCalls, base: str) -> str:
    parsed = parse_base(base)
    image = base_image.resolve(ImageReads(hook), parsed, None)
    project = project_of(image.self_link) or hook.project
    if not hook.may_use_image(project, image.name):
        raise PermanentError(
            f"Required 'compute.images.useReadOnly' permission for '{path_of(image.self_link)}'"
        )
    return image.name
