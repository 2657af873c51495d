"""How the API shows a managed instance group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.ids import fingerprint
from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups.plan import Action

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record

_COUNTED = (*Action, "CREATING_WITHOUT_RETRIES")


def group_body(core: Core, group: Record) -> Json:
    """A group, with what is derived from its members."""
    facts = group_members.facts(core, group)
    counts = {_camel(action): 0 for action in _COUNTED}
    for member in facts.members:
        counts[_camel(member.action)] += 1
    stateful = bool(group.body.get("statefulPolicy")) or group_members.has_configs(core, group)
    status: Json = {
        "isStable": group_plan.is_stable(facts),
        "versionTarget": {"isReached": group_plan.is_reached(facts)},
        "allInstancesConfig": {"effective": True},
        "stateful": {
            "hasStatefulConfig": stateful,
            "perInstanceConfigs": {"allEffective": True},
        },
    }
    body = {**group.body, "currentActions": counts, "status": status}
    body["versions"] = [_with_number(v, facts.size) for v in group.body["versions"]]
    policy = dict(group.body["updatePolicy"])
    for key in ("maxSurge", "maxUnavailable"):
        number = group_plan.absolute(policy[key], facts.size)
        policy[key] = {**policy[key], "calculated": number}
    return {**body, "updatePolicy": policy, "fingerprint": fingerprint(group.body)}


def _with_number(version: Json, size: int) -> Json:
    if "targetSize" not in version:
        return version
    number = group_plan.absolute(version["targetSize"], size)
    return {**version, "targetSize": {**version["targetSize"], "calculated": min(number, size)}}


def _camel(action: str) -> str:
    first, *rest = action.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)
