"""Managed instance groups: made, changed, resized, deleted; `groups` does the rest."""

from __future__ import annotations

from localgce import errors
from localgce.clock import stamp
from localgce.errors import Json
from localgce.groups import body as group_body
from localgce.groups import members as group_members
from localgce.groups import plan as group_plan
from localgce.groups import works as group_works
from localgce.groups.plan import Action
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.operations import Work, work
from localgce.resources import catalog, links
from localgce.resources.ids import fingerprint, numeric_id
from localgce.state.store import Record

KIND = "instanceGroupManagers"


def insert(call: Call) -> Json:
    """A group, whose instances come after the operation."""
    name = str(call.body["name"])
    call.refuse_existing(KIND, name)
    fields = group_body.checked(call, call.body, {})
    now = call.service.clock.now()
    body: Json = {
        "kind": "compute#instanceGroupManager",
        "id": numeric_id(),
        "creationTimestamp": stamp(now),
        "name": name,
        "baseInstanceName": group_body.base_name(call.body),
        "zone": links.url(f"projects/{call.project}/{call.scope}"),
        "selfLink": links.url(f"projects/{call.project}/{call.scope}/{KIND}/{name}"),
        **group_body.new_fields(call, name),
        **fields,
    }
    group = Record(KIND, call.project, call.scope, name, {}, {"at": now}).changed(**body)
    call.service.store.put(group)
    return call.begin(group, "instanceGroupManagers.kick")


def get(call: Call) -> Json:
    """One group, with how it stands."""
    return shown(call, call.record())


def list_(call: Call) -> Json:
    """Those of a zone."""
    found = call.service.store.all(KIND, call.project, call.scope)
    return list_of(call, "instanceGroupManager", [shown(call, record) for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    found = [shown(call, record) for record in call.service.store.all(KIND, call.project)]
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    return aggregated(call, "instanceGroupManager", found, scopes)


def delete(call: Call) -> Json:
    """The group with its instances."""
    group = call.record()
    call.service.store.put(group.kept(deleting=True))
    return call.begin(group, "instanceGroupManagers.delete")


def patch(call: Call) -> Json:
    """Versions, sizes and policies; a changed version begins a rollout where the policy says so."""
    group = call.record()
    given = call.body.get("fingerprint")
    if given and given != _fingerprint(group):
        text = "Supplied fingerprint does not match current fingerprint."
        raise errors.condition_not_met(text)
    return _change(call, group, group_body.checked(call, call.body, group.body))


def set_instance_template(call: Call) -> Json:
    """One version for all from now on."""
    given = {"instanceTemplate": call.body.get("instanceTemplate")}
    return _change(call, call.record(), group_body.checked(call, given, call.record().body))


def resize(call: Call) -> Json:
    """Another size; done when it is noted, as the API says."""
    group = call.record()
    size = group_body.check_size(call.query["size"])
    return _change(call, group, {"targetSize": size})


def _change(call: Call, group: Record, changes: Json) -> Json:
    changed = group.changed(**changes)
    call.service.store.put(changed)
    return call.begin(changed, "instanceGroupManagers.kick")


@work("instanceGroupManagers.kick")
def kick(task: Work) -> None:
    """Let the group look what is to be done, and keep what a new policy preserves."""
    for member in group_members.all_of(task.service, task.target):
        group_works.keep_state(task.service, task.target, member)
    task.service.groups.kick(task.target)


@work("instanceGroupManagers.delete", takes_over=True)
async def remove(task: Work) -> None:
    """Instances first."""
    await task.service.groups.forget(task.target)


def shown(call: Call, group: Record) -> Json:
    """A group with what is counted and decided from its members."""
    facts = group_members.facts(call.service, group)
    counts = {_camel(action): 0 for action in _COUNTED}
    for member in facts.members:
        counts[_camel(member.action)] += 1
    stateful = bool(group.body.get("statefulPolicy"))
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
    return {**body, "updatePolicy": policy, "fingerprint": _fingerprint(group)}


def _with_number(version: Json, size: int) -> Json:
    if "targetSize" not in version:
        return version
    number = group_plan.absolute(version["targetSize"], size)
    return {**version, "targetSize": {**version["targetSize"], "calculated": min(number, size)}}


def _fingerprint(group: Record) -> str:
    return fingerprint(group.body)


_COUNTED = (
    *Action,
    "CREATING_WITHOUT_RETRIES",
    "RESUMING",
    "STARTING",
    "STOPPING",
    "SUSPENDING",
)


def _camel(action: str) -> str:
    first, *rest = action.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)
