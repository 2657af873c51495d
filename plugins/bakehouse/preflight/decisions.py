"""What is wrong with a set-up, and the command that mends it. Pure: facts in, lines out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.cloud.permissions import Resource
from bakehouse.core.check import Check, failed, passed
from bakehouse.images.links import resource_name
from bakehouse.preflight.facts import Unread, unread
from bakehouse.preflight.network import check_networks
from bakehouse.preflight.quota import check_quotas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bakehouse.cloud.permissions import ServiceAccounts, Use
    from bakehouse.preflight.facts import CloudFacts, StoreFacts
    from bakehouse.preflight.needs import Needs

CONSTRAINT = "compute.disableGuestAttributesAccess"
SHOWN = 4  # names of a list in a line; the command has all


def cloud_checks(
    facts: CloudFacts, needs: Needs, accounts: ServiceAccounts, at_a_time: int
) -> list[Check]:
    """Return the lines of Google Cloud, in the order in which they are mended.

    Without credentials there is one line only: nothing else could be asked.
    """
    credentials = check_credentials(facts)
    if not credentials.ok:
        return [credentials]
    return [
        credentials,
        check_apis(facts),
        *check_permissions(facts, needs, accounts),
        *check_service_accounts(facts, accounts),
        check_machine_types(facts, needs),
        check_quotas(facts, needs.builders, at_a_time),
        *check_networks(facts, needs.machines),
        *check_bases(facts, needs),
        check_guest_attributes(facts),
    ]


def check_credentials(facts: CloudFacts) -> Check:
    """Whether the connection gives a token and a project."""
    if isinstance(facts.project, Unread):
        return failed(
            "credentials",
            facts.project.problem,
            f"airflow connections delete {facts.connection}; airflow connections add"
            f" {facts.connection} --conn-type google_cloud_platform"
            """ --conn-extra '{"project": "PROJECT"}'""",
        )
    who = f" as {facts.account}" if facts.account else ""
    return passed("credentials", f"project {facts.project}{who}")


def check_apis(facts: CloudFacts) -> Check:
    """Whether the APIs that are needed are enabled, as their own answers say."""
    off = sorted(
        {answer.disabled_api for answer in facts.apis.values() if answer and answer.disabled_api}
    )
    if off:
        return failed(
            "APIs",
            f"not enabled: {', '.join(off)}",
            f"gcloud services enable {' '.join(off)} --project {facts.project}",
        )
    for api, answer in facts.apis.items():
        if answer and not answer.missing_permission:
            return unread("APIs", api, answer)
    return passed("APIs", ", ".join(api.partition(".")[0] for api in facts.apis))


def check_permissions(
    facts: CloudFacts, needs: Needs, accounts: ServiceAccounts
) -> Iterator[Check]:
    """Yield a line for each role of the project: what is missing of what is used."""
    name = "permissions"
    if isinstance(facts.granted, Unread):
        yield unread(name, "those of the project", facts.granted)
        return
    for grant in accounts.orchestrator.grants:
        if grant.resource is not Resource.PROJECT:
            continue
        needed = [use for use in grant.permissions if _is_used(use, needs)]
        missing = [p for use in needed for p in use.names if p not in facts.granted]
        count = sum(len(use.names) for use in needed)
        if missing:
            yield failed(
                name,
                f"{len(missing)} of {count} are missing: {_some(missing)}",
                f"gcloud iam roles update {grant.role} --project {facts.project}"
                f" --add-permissions {','.join(missing)}",
            )
            continue
        without = [use.purpose for use in grant.permissions if use not in needed]
        lacking = [p for p in without if _lacks(facts.granted, grant.permissions, p)]
        note = f"; not used and not granted: {', '.join(lacking)}" if lacking else ""
        yield passed(name, f"all {count} of {grant.role}{note}")


def check_service_accounts(facts: CloudFacts, accounts: ServiceAccounts) -> Iterator[Check]:
    """Yield a line for each service account of machines that the caller may not give them."""
    name = "service accounts"
    role = accounts.orchestrator.role_on(Resource.SERVICE_ACCOUNTS)
    refused = list[Check]()
    for email, may in facts.accounts.items():
        if isinstance(may, Unread):
            refused.append(unread(name, email, may))
        elif not may:
            refused.append(
                failed(
                    name,
                    f"iam.serviceAccounts.actAs is missing on {email}",
                    f"gcloud iam service-accounts add-iam-policy-binding {email}"
                    f" --member serviceAccount:{facts.account or 'ACCOUNT'}"
                    f" --role projects/{facts.project}/roles/{role} --project {facts.project}",
                )
            )
    yield from refused
    if facts.accounts and not refused:
        yield passed(name, f"machines may be given {_some(list(facts.accounts))}")


def check_machine_types(facts: CloudFacts, needs: Needs) -> Check:
    """Whether every machine type exists in the zones where it is wanted."""
    name = "machine types"
    missing = {key for key, cpus in facts.cpus.items() if cpus is None}
    wanted = [
        f"{machine.file}: there is no {machine.machine_type} in {zone}"
        for machine in needs.machines
        for zone in machine.zones
        if (zone, machine.machine_type) in missing
    ]
    if wanted:
        zone = next(zone for zone, _ in sorted(missing))
        listed = f"gcloud compute machine-types list --zones {zone} --project {facts.project}"
        return failed(name, "; ".join(wanted), f"{listed}   # and correct the file")
    for (zone, kind), cpus in facts.cpus.items():
        if isinstance(cpus, Unread):
            return unread(name, f"{kind} in {zone}", cpus)
    return passed(name, _some(sorted({kind for _, kind in facts.cpus})) or "none is needed")


def check_bases(facts: CloudFacts, needs: Needs) -> Iterator[Check]:
    """Yield a line for each base image that no builder could be made from."""
    name = "base images"
    wrong = [(base, why) for base, why in facts.bases.items() if isinstance(why, Unread)]
    for base, why in wrong:
        if why.missing_permission:
            project = resource_name(base.partition("/")[0])
            who = f"serviceAccount:{facts.account or 'ACCOUNT'}"
            yield failed(
                name,
                f"{needs.bases[base]}: {why.missing_permission} is missing on {base}",
                f"gcloud projects add-iam-policy-binding {project} --member {who}"
                " --role roles/compute.imageUser",
            )
        elif why.disabled_api:
            yield unread(name, base, why)
        else:
            project = base.partition("/")[0]
            yield failed(
                name,
                f"{needs.bases[base]}: {why.problem}",
                f"gcloud compute images list --project {project} --no-standard-images"
                "   # and correct base",
            )
    if not wrong:
        found = sorted(str(image) for image in facts.bases.values())
        yield passed(name, _some(found) or "no recipe has a base of its own")


def check_guest_attributes(facts: CloudFacts) -> Check:
    """Whether machines may write guest attributes, by which their results are told."""
    name, denied = "guest attributes", facts.guest_attributes_denied
    if isinstance(denied, Unread):
        line = unread(name, f"the policy {CONSTRAINT}", denied)
        look = f"gcloud resource-manager org-policies describe {CONSTRAINT} --effective"
        return line.model_copy(update={"remedy": f"{look} --project {facts.project}"})
    if denied:
        return failed(
            name,
            f"the organization's policy {CONSTRAINT} is enforced: no machine can report a result",
            f"gcloud resource-manager org-policies disable-enforce {CONSTRAINT}"
            f" --project {facts.project}",
        )
    return passed(name, "allowed")


def check_store(store: StoreFacts, account: str, accounts: ServiceAccounts, project: str) -> Check:
    """Whether the ledger's store creates, reads, lists and deletes as leases need it."""
    if not store.problem:
        return passed("ledger", f"{store.url}: creates an object once, reads, lists, deletes")
    scheme, _, rest = store.url.partition("://")
    if scheme not in {"gs", "gcs"}:
        remedy = "airflow variables set bakehouse_ledger gs://google_cloud_default@BUCKET/ledger"
        return failed("ledger", f"{store.url}: {store.problem}", remedy)
    bucket = rest.rpartition("@")[2].partition("/")[0]
    role = accounts.orchestrator.role_on(Resource.LEDGER)
    return failed(
        "ledger",
        f"{store.url}: {store.problem}",
        f"gcloud storage buckets add-iam-policy-binding gs://{bucket}"
        f" --member serviceAccount:{account or 'ACCOUNT'}"
        f" --role projects/{project}/roles/{role}",
    )


def _is_used(use: Use, needs: Needs) -> bool:
    return not use.optional or use.purpose in needs.purposes


def _lacks(granted: frozenset[str], uses: Sequence[Use], purpose: str) -> bool:
    return any(p not in granted for use in uses if use.purpose == purpose for p in use.names)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
