"""Whether the quotas allow the builders of all recipes at a time. Pure.

Source: https://cloud.google.com/compute/resource-usage. A metric that a region does not list has no
limit there that regions.get would know.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

from bakehouse.core.check import Check, failed, passed
from bakehouse.preflight.facts import Unread, unread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bakehouse.preflight.facts import CloudFacts, Quota
    from bakehouse.preflight.needs import MachineNeed

NAME = "quotas"
ALL_REGIONS = ""  # the quotas of the whole project
_OWN_CPUS = ("a2", "c2", "c2d", "c3", "m1", "m2", "m3", "n2", "n2d", "t2a", "t2d")
_DISKS = {
    "pd-standard": "DISKS_TOTAL_GB",
    "pd-balanced": "SSD_TOTAL_GB",
    "pd-ssd": "SSD_TOTAL_GB",
    "hyperdisk-balanced": "HDB_TOTAL_GB",
}


@dataclass(frozen=True)
class Shortage:
    """A quota that is smaller than what the builders need at a time."""

    region: str
    metric: str
    needed: float
    free: float

    def __str__(self) -> str:
        """The text of the table."""
        where = self.region or "all regions"
        return f"{self.metric} in {where}: {self.needed:g} needed, {self.free:g} free"


def check_quotas(facts: CloudFacts, builders: Sequence[MachineNeed], at_a_time: int) -> Check:
    """Compare the quotas of all regions with the builders that run at a time.

    Args:
        facts: The quotas, and the CPUs of the machine types.
        builders: Those of all recipes.
        at_a_time: The Variable `bakehouse_builders`.
    """
    short, missing = shortages(facts, builders, at_a_time)
    count = min(len(builders), at_a_time)
    if short:
        return failed(NAME, "; ".join(map(str, short)), _remedy(facts, builders, at_a_time))
    if missing:
        return missing[0]
    regions = ", ".join(region for region in facts.quotas if region)
    return passed(NAME, f"enough for {count} builders at a time in {regions}")


def shortages(
    facts: CloudFacts, builders: Sequence[MachineNeed], at_a_time: int
) -> tuple[list[Shortage], list[Check]]:
    """Return the quotas that are too small, and why others are not known."""
    short, missing = list[Shortage](), list[Check]()
    for region, quotas in facts.quotas.items():
        if isinstance(quotas, Unread):
            missing.append(unread(NAME, f"the quotas of {region or 'the project'}", quotas))
            continue
        here = [one for one in builders if region in {ALL_REGIONS, *one.regions}]
        needed = [_needed(facts, one, region, quotas) for one in here]
        for metric in sorted({metric for each in needed for metric in each}):
            total = sum(nlargest(at_a_time, (each.get(metric, 0.0) for each in needed)))
            if total > quotas[metric].free:
                short.append(Shortage(region, metric, total, quotas[metric].free))
    return short, missing


def _needed(
    facts: CloudFacts, builder: MachineNeed, region: str, quotas: Mapping[str, Quota]
) -> dict[str, float]:
    """Return what one builder counts for, of the metrics that have a quota."""
    known = [facts.cpus.get((zone, builder.machine_type)) for zone in builder.zones]
    cpus = float(max((one for one in known if isinstance(one, int)), default=0))
    if region == ALL_REGIONS:
        found = {"CPUS_ALL_REGIONS": cpus}
    else:
        found = {
            _cpus_metric(builder, quotas): cpus,
            "INSTANCES": 1.0,
            _DISKS.get(builder.disk_type, ""): float(builder.disk_gb),
            "IN_USE_ADDRESSES": 1.0 if builder.external_ip else 0.0,
        }
    return {metric: value for metric, value in found.items() if value and metric in quotas}


def _cpus_metric(builder: MachineNeed, quotas: Mapping[str, Quota]) -> str:
    """A spot VM counts for its own quota where the project has one, else for the ordinary one."""
    spot = quotas.get("PREEMPTIBLE_CPUS")
    if builder.spot and spot is not None and spot.limit > 0:
        return "PREEMPTIBLE_CPUS"
    series = builder.machine_type.partition("-")[0]
    return f"{series.upper()}_CPUS" if series in _OWN_CPUS else "CPUS"


def _remedy(facts: CloudFacts, builders: Sequence[MachineNeed], at_a_time: int) -> str:
    most = min(len(builders), at_a_time)
    fits = [n for n in range(1, most) if not shortages(facts, builders, n)[0]]
    page = f"https://console.cloud.google.com/iam-admin/quotas?project={facts.project}"
    if not fits:
        return f"ask for more: {page}"
    return f"airflow variables set bakehouse_builders {fits[-1]}   # or ask for more: {page}"
