"""Quotas of a region: settable, counted from what is there, checked when something is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.errors import ApiError, Json
from localgce.instances.addresses import held_by
from localgce.resources import catalog, links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

DEFAULTS = {
    "CPUS": 100_000.0,
    "DISKS_TOTAL_GB": 10_000_000.0,
    "INSTANCES": 50_000.0,
    "IN_USE_ADDRESSES": 4_000.0,
}


class Quotas:
    """Limits by region and metric; those set by tests last as long as the server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits: dict[tuple[str, str], float] = {}

    def set(self, region: str, metric: str, limit: float) -> None:
        """Raises 400 for a region or metric that is not there."""
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
        """Raises 403 quotaExceeded when what is wanted does not fit beside what is there.

        Usage is counted only where a limit was set: nothing else could run out.
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
        store = self._service.store
        instances = [r for r in store.all("instances", project) if _in(region, r)]
        disks = [r for r in store.all("disks", project) if _in(region, r)]
        external = {a for r in instances for a in held_by(r) if a.startswith("127.")}
        on = [r for r in instances if r.body["status"] != "TERMINATED"]
        return {
            "CPUS": float(sum(cpus(r.body["machineType"]) for r in on)),
            "DISKS_TOTAL_GB": float(sum(int(r.body["sizeGb"]) for r in disks)),
            "INSTANCES": float(len(instances)),
            "IN_USE_ADDRESSES": float(len(external)),
        }


def cpus(machine_type: str) -> int:
    """Processors of a machine type's link."""
    found = catalog.machine_type(links.last(machine_type))
    return found.cpus if found else 0


def _in(region: str, record: Record) -> bool:
    return catalog.region_of(links.last(record.scope)) == region
