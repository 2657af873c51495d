"""`python -m localgce.coverage`: which methods are real, recorded only, or not there.

From the routing table, so that no method can be missing in it.
"""

from __future__ import annotations

from localgce.api.recorded import RECORDED
from localgce.api.routing import TABLE
from localgce.http.discovery import Discovery

# What is kept and answered again, and has no effect on any machine.
_RESOURCES = {*(one.resource for one in RECORDED), "firewalls"} - {"resourcePolicies"}
# of resource policies, snapshot schedules of disks run
_SCHEDULES = {
    f"compute.{disks}.{verb}ResourcePolicies"
    for disks in ("disks", "regionDisks")
    for verb in ("add", "remove")
}
_VERBS = {
    *("getIamPolicy", "setIamPolicy", "addResourcePolicies", "removeResourcePolicies"),
    *("setNamedPorts", "updateShieldedInstanceConfig", "setShieldedInstanceIntegrityPolicy"),
    *("setMinCpuPlatform", "updateKmsKey", "setDefaultNetworkTier"),
}


def is_recorded_only(method_id: str) -> bool:
    """Whether a method that is there keeps what it is given, and does nothing else."""
    _, resource, verb = method_id.split(".")
    if method_id in _SCHEDULES:
        return False
    return verb in _VERBS or (resource in _RESOURCES and verb != "testIamPermissions")


def table() -> str:
    """A Markdown table of the resources of which something is there, with all their methods."""
    methods = Discovery.load().methods
    lines = ["| resource | real | recorded only | not there |", "| --- | --- | --- | --- |"]
    for resource in sorted({method_id.split(".")[1] for method_id in TABLE}):
        own = sorted(name for name in methods if name.split(".")[1] == resource)
        columns = (
            [name for name in own if name in TABLE and not is_recorded_only(name)],
            [name for name in own if name in TABLE and is_recorded_only(name)],
            [name for name in own if name not in TABLE],
        )
        shown = (", ".join(name.split(".")[2] for name in column) for column in columns)
        lines.append(f"| {' | '.join([resource, *shown])} |".replace("|  ", "| "))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
