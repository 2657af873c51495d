"""From the body of insert and patch to the fields of a group, and from those to `plan`'s input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from localgce.core import catalog, errors, limits, links
from localgce.groups import plan as group_plan
from localgce.groups.plan import Policy, Version
from localgce.instances import templates

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record

MAX_SIZE = 2000
ZONES_BY_DEFAULT = 3  # of a regional group that names none
_BASE = re.compile(r"^[a-z](?:[-a-z0-9]{0,57})\Z")
COPIED = (
    "allInstancesConfig",
    "autoHealingPolicies",
    "description",
    "instanceLifecyclePolicy",
    "listManagedInstancesResults",
    "namedPorts",
    "standbyPolicy",
    "targetSizePolicy",
)

_KNOWN = {
    *COPIED,
    *("name", "zone", "region", "baseInstanceName", "instanceTemplate", "versions", "targetSize"),
    *("statefulPolicy", "distributionPolicy", "updatePolicy", "fingerprint"),
    # of a body that was read before
    *("kind", "id", "creationTimestamp", "selfLink", "instanceGroup", "status", "currentActions"),
    *("targetStoppedSize", "targetSuspendedSize"),
}


def checked(context: Context, given: Json, now: Json, *, has_configs: bool = False) -> Json:
    """The fields that insert or patch sets; raises Compute Engine's 400s and 404s."""
    limits.refuse_others(given, _KNOWN, "resource")
    result: Json = {key: given[key] for key in COPIED if key in given}
    _check_pools(given, now)
    size = given.get("targetSize", now.get("targetSize"))
    if size is None:
        raise errors.required("resource.targetSize")
    result["targetSize"] = check_size(size)
    result["versions"] = _versions(context, given, now)
    result["instanceTemplate"] = main_version(result["versions"])["instanceTemplate"]
    result["statefulPolicy"] = _stateful(given.get("statefulPolicy", now.get("statefulPolicy")))
    stateful = bool(result["statefulPolicy"]) or has_configs
    zones = 0
    if not context.zone:
        result["distributionPolicy"] = _distribution(context, given, now)
        zones = len(result["distributionPolicy"]["zones"])
    elif "distributionPolicy" in given:
        text = "Only a regional managed instance group has a distribution policy."
        raise errors.invalid("resource.distributionPolicy", given["distributionPolicy"], text)
    result["updatePolicy"] = _policy(given, now, stateful, zones)
    return result


def _check_pools(given: Json, now: Json) -> None:
    """The sizes of the standby pools are counted here: a client may only send them back."""
    for field in ("targetStoppedSize", "targetSuspendedSize"):
        if given.get(field, now.get(field, 0)) != now.get(field, 0):
            text = "It is changed by stopping, suspending, starting and resuming instances only."
            raise errors.invalid(f"resource.{field}", given[field], text)


def zones_of(body: Json) -> list[str]:
    """The zones that a group has instances in."""
    if "zone" in body:
        return [links.last(body["zone"])]
    return [links.last(each["zone"]) for each in body["distributionPolicy"]["zones"]]


def base_name(given: Json) -> str:
    """The prefix of the instances' names."""
    base = str(given.get("baseInstanceName") or str(given["name"])[:58].rstrip("-"))
    if not _BASE.match(base):
        text = "Must be a match of regex '[a-z](?:[-a-z0-9]{0,57})'"
        raise errors.invalid("resource.baseInstanceName", base, text)
    return base


def check_size(size: int) -> int:
    """Raise 400 for an invalid group size."""
    if not 0 <= size <= MAX_SIZE:
        text = f"Must be between 0 and {MAX_SIZE}."
        raise errors.invalid("resource.targetSize", size, text)
    return size


def template_of(context: Context, value: str | None, where: str) -> Record:
    """The template at a link; raises 400 or 404."""
    if not value:
        raise errors.required(where)
    link = context.link(value, where)
    if link.collection != "instanceTemplates":
        raise errors.invalid(where, value, "The URL is malformed.")
    templates.check_region(context, link.scope, value, where)
    return context.at(link)


def _versions(context: Context, given: Json, now: Json) -> list[Json]:
    versions: list[Json] = given.get("versions", [])
    if not versions and given.get("instanceTemplate"):
        versions = [{"instanceTemplate": given["instanceTemplate"]}]
    if not versions:
        versions = now.get("versions", [])
    if not versions:
        raise errors.required("resource.instanceTemplate")
    shown = [_version(context, v, f"resource.versions[{i}]") for i, v in enumerate(versions)]
    if len([v for v in shown if "targetSize" not in v]) != 1:
        text = "Exactly one version must have no target size."
        raise errors.invalid("resource.versions", len(shown), text)
    if len(shown) > 2:
        raise errors.invalid("resource.versions", len(shown), "At most two versions.")
    if len({(v.get("name", ""), v["instanceTemplate"]) for v in shown}) < len(shown):
        raise errors.invalid("resource.versions", len(shown), "Two versions are the same.")
    return shown


def main_version(versions: list[Json]) -> Json:
    """The one without a target size, which has all instances that the others leave."""
    return next(version for version in versions if "targetSize" not in version)


def _version(context: Context, version: Json, where: str) -> Json:
    template = template_of(context, version.get("instanceTemplate"), f"{where}.instanceTemplate")
    shown: Json = {"instanceTemplate": template.link}
    if version.get("name"):
        shown["name"] = version["name"]
    if version.get("targetSize"):
        shown["targetSize"] = _number(version["targetSize"], f"{where}.targetSize")
    return shown


def _number(given: Json, where: str) -> Json:
    found: Json = {key: given[key] for key in ("fixed", "percent") if key in given}
    if len(found) != 1:
        raise errors.invalid(where, found, "Exactly one of fixed and percent must be given.")
    if min(found.values()) < 0 or found.get("percent", 0) > 100:
        raise errors.invalid(where, found, "Must not be negative, nor above 100 percent.")
    return found


def _distribution(context: Context, given: Json, now: Json) -> Json:
    """The zones of a regional group, which do not change, and its shape."""
    where = "resource.distributionPolicy"
    asked: Json = given.get("distributionPolicy") or {}
    known = now.get("distributionPolicy")
    region = context.scope.partition("/")[2]
    there = [zone for zone in catalog.zones() if catalog.region_of(zone) == region]
    names = [links.last(each.get("zone", "")) for each in asked.get("zones", [])]
    for index, name in enumerate(names):
        if name not in there or names.count(name) > 1:
            text = f"Must be zones of {region}, each of them once."
            raise errors.invalid(f"{where}.zones[{index}].zone", name, text)
    if known and names and sorted(names) != sorted(zones_of(now)):
        text = "The zones of a managed instance group cannot be changed."
        raise errors.invalid(f"{where}.zones", ", ".join(names), text)
    if known:
        names = zones_of(now)
    shape = asked.get("targetShape") or (known or {}).get("targetShape", "EVEN")
    if shape not in {"EVEN", "BALANCED"}:
        text = "localgce has the shapes EVEN and BALANCED, and takes both for EVEN."
        raise errors.invalid(f"{where}.targetShape", shape, text)
    base = f"projects/{context.project}/zones"
    chosen = names or there[:ZONES_BY_DEFAULT]
    return {
        "zones": [{"zone": links.url(f"{base}/{name}")} for name in chosen],
        "targetShape": shape,
    }


def _policy(given: Json, now: Json, stateful: bool, zones: int) -> Json:
    """The update policy; `zones` is how many a regional group has, and 0 of a zonal one."""
    policy: Json = {**now.get("updatePolicy", {}), **given.get("updatePolicy", {})}
    method = policy.setdefault("replacementMethod", "RECREATE" if stateful else "SUBSTITUTE")
    policy.setdefault("type", "OPPORTUNISTIC")
    policy.setdefault("minimalAction", "REPLACE")
    surge = {"fixed": 0 if method == "RECREATE" else zones or 1}
    where = "resource.updatePolicy"
    policy["maxSurge"] = _number(policy.get("maxSurge", surge), f"{where}.maxSurge")
    unavailable = policy.get("maxUnavailable", {"fixed": zones or 1})
    policy["maxUnavailable"] = _number(unavailable, f"{where}.maxUnavailable")
    if not 0 <= policy.get("minReadySec", 0) <= 3600:
        text = "Must be between 0 and 3600."
        raise errors.invalid(f"{where}.minReadySec", policy["minReadySec"], text)
    if zones:
        policy.setdefault("instanceRedistributionType", "NONE" if stateful else "PROACTIVE")
        _check_regional(policy, stateful, zones, where)
    _check_policy(policy, stateful, where)
    return policy


def _check_regional(policy: Json, stateful: bool, zones: int, where: str) -> None:
    for key in ("maxSurge", "maxUnavailable"):
        fixed = policy[key].get("fixed", 0)
        if 0 < fixed < zones:
            text = (
                f"Fixed updatePolicy.{key} for regional managed instance group has to be either 0"
                f" or at least equal to the number of zones ({zones})."
            )
            raise errors.invalid(f"{where}.{key}", fixed, text)
    if stateful and policy["instanceRedistributionType"] != "NONE":
        text = "A stateful regional group needs the instance redistribution type NONE."
        raise errors.invalid(f"{where}.instanceRedistributionType", "PROACTIVE", text)


def _check_policy(policy: Json, stateful: bool, where: str) -> None:
    surge, unavailable = (max(policy[key].values()) for key in ("maxSurge", "maxUnavailable"))
    if not surge and not unavailable:
        text = "maxSurge and maxUnavailable cannot both be zero."
        raise errors.invalid(f"{where}.maxUnavailable", 0, text)
    recreates = policy["replacementMethod"] == "RECREATE"
    if recreates and surge:
        text = "maxSurge must be 0 when the replacement method is RECREATE."
        raise errors.invalid(f"{where}.maxSurge", surge, text)
    if stateful and policy["type"] == "PROACTIVE" and not recreates:
        text = "A group with a stateful policy is updated by the replacement method RECREATE."
        raise errors.invalid(f"{where}.replacementMethod", policy["replacementMethod"], text)


def merged_stateful_policy(now: Json, given: Json, cleared: frozenset[str]) -> Json:
    """The stateful policy after a patch: what it does not name stays, what it sets to null goes."""
    field = "statefulPolicy"
    before = (now.get(field) or {}).get("preservedState", {})
    if {field, f"{field}.preservedState"} & cleared:
        before = {}
    asked = (given.get(field) or {}).get("preservedState", {})
    state: Json = {}
    for kind in {*before, *asked}:
        path = f"{field}.preservedState.{kind}"
        rules = {**({} if path in cleared else before.get(kind, {})), **asked.get(kind, {})}
        state[kind] = {k: rule for k, rule in rules.items() if f"{path}.{k}" not in cleared}
    return {"preservedState": state}


def _stateful(given: Json | None) -> Json | None:
    """A stateful policy with its defaults; None when it preserves nothing."""
    kinds = ("disks", "internalIPs", "externalIPs")
    state = (given or {}).get("preservedState", {})
    for kind in kinds[1:]:
        for nic in state.get(kind, {}):
            if nic != "nic0":
                where = f"resource.statefulPolicy.preservedState.{kind}"
                raise errors.invalid(where, nic, "Instances have one interface, nic0.")
    kept = {kind: _with_rule(state[kind]) for kind in kinds if state.get(kind)}
    return {"preservedState": kept} if kept else None


def _with_rule(given: dict[str, Any]) -> Json:
    return {key: {"autoDelete": "NEVER", **(rule or {})} for key, rule in given.items()}


def targets(body: Json) -> list[tuple[Version, int]]:
    """The versions with their target sizes; the last one has the remaining instances."""
    size = left = int(body["targetSize"])
    found = []
    for raw in sorted(body["versions"], key=lambda version: "targetSize" not in version):
        version = Version(raw.get("name", ""), raw["instanceTemplate"])
        wanted = group_plan.absolute(raw["targetSize"], size) if "targetSize" in raw else left
        number = min(wanted, left)
        left -= number
        found.append((version, number))
    return found


def policy(body: Json) -> Policy:
    """The update policy, with numbers of instances."""
    given, size = body["updatePolicy"], int(body["targetSize"])
    unavailable = group_plan.absolute(given["maxUnavailable"], size)
    surge = group_plan.absolute(given["maxSurge"], size)
    if not surge and not unavailable:  # a small percentage of a small group
        unavailable = 1
    lifecycle = body.get("instanceLifecyclePolicy", {})
    return Policy(
        proactive=given["type"] == "PROACTIVE",
        recreate=given["replacementMethod"] == "RECREATE",
        surge=surge,
        unavailable=unavailable,
        minimal=given["minimalAction"],
        allowed=given.get("mostDisruptiveAllowedAction", "REPLACE"),
        repair=lifecycle.get("defaultActionOnFailure", "REPAIR") == "REPAIR",
    )
