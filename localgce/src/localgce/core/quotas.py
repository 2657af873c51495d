"""Quotas of a region: counted from the store, checked before something is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, links
from localgce.core.addresses import addresses_of
from localgce.core.errors import ApiError, Json

if TYPE_CHECKING:
    from localgce.core.store import Record, Store

DEFAULTS = {
    "CPUS": 100_000.0,
    "DISKS_TOTAL_GB": 10_000_000.0,
    "INSTANCES": 50_000.0,
    "IN_USE_ADDRESSES": 4_000.0,
}


class Quotas:
    """Limits by region and metric; those that tests set last as long as the server."""

    def __init__(self, store: Store) -> None:
        """Begin with the default limits."""
        self._store = store
        self._limits: dict[tuple[str, str], float] = {}

    def set(self, region: str, metric: str, limit: float) -> None:
        """Set a limit; raises 400 for an unknown region or metric."""
        if region not in catalog.REGIONS or metric not in DEFAULTS:
            text = (
                f"a quota has a region of {sorted(catalog.REGIONS)} and one of {sorted(DEFAULTS)}"
            )
            raise ApiError(400, "invalid", text)
        self._limits[region, metric] = limit

    def shown(self, project: str, region: str) -> list[Json]:
        """The `quotas` of a region."""
        usage = self._usage(project, region)
        return [
            {"metric": metric, "limit": self._limit(region, metric), "usage": usage[metric]}
            for metric in DEFAULTS
        ]

    def check(self, project: str, region: str, wanted: dict[str, float]) -> None:
        """Raise 403 quotaExceeded when the usage and what is wanted exceed a limit.

        Usage is counted only where a limit was set: the defaults are never reached.
        """
        if not any((region, metric) in self._limits for metric in wanted):
            return
        usage = self._usage(project, region)
        for metric, more in wanted.items():
            limit = self._limit(region, metric)
            if usage[metric] + more > limit:
                text = f"Quota '{metric}' exceeded.  Limit: {limit} in region {region}."
                raise ApiError(403, "quotaExceeded", text)

    def _limit(self, region: str, metric: str) -> float:
        return self._limits.get((region, metric), DEFAULTS[metric])

    def _usage(self, project: str, region: str) -> dict[str, float]:
        instances = [r for r in self._store.all("instances", project) if _in(region, r)]
        disks = [r for r in self._store.all("disks", project) if _in(region, r)]
        external = {a for r in instances for a in addresses_of(r) if a.startswith("127.")}
        on = [r for r in instances if r.body["status"] != "TERMINATED"]
        return {
            "CPUS": float(sum(cpus(r.body["machineType"]) for r in on)),
            "DISKS_TOTAL_GB": float(sum(int(r.body["sizeGb"]) for r in disks)),
            "INSTANCES": float(len(instances)),
            "IN_USE_ADDRESSES": float(len(external)),
        }


def cpus(machine_type: str) -> int:
    """The number of CPUs of a machine type's link."""
    found = catalog.machine_type(links.last(machine_type))
    return found.cpus if found else 0


def _in(region: str, record: Record) -> bool:
    return catalog.region_of(links.last(record.scope)) == region
