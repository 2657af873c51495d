"""Resources that are recorded and answered again, without further effect.

Clients that describe their whole project (Terraform, gcloud) make them and read them back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import crud, errors, links
from localgce.disks import snapshot_schedules
from localgce.http.listing import (
    aggregated,
    list_of,
    page_of,
    regional,
    zonal,
    zonal_and_regional,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from localgce.core.errors import Json
    from localgce.core.store import Record

_FIXED = {
    *("kind", "id", "creationTimestamp", "selfLink", "name", "region", "zone", "status"),
    *("labels", "labelFingerprint"),
}


def _unchecked(call: Call, body: Json) -> Json:
    """The body as it is."""
    del call
    return body


@dataclass(frozen=True)
class Recorded:
    """One resource; `defaults` is what Compute Engine shows where the client has said nothing."""

    resource: str  # as in the ids of methods
    kind: str
    verbs: tuple[str, ...]  # besides insert, get, list and delete
    defaults: dict[str, object] = field(default_factory=dict)
    check: Callable[[Call, Json], Json] = _unchecked
    listed_as: str = ""  # the kind of its list, where that is not of `kind`

    def register(self) -> None:
        """Register the handlers of the resource's methods."""
        handlers = {
            "insert": self.insert,
            "get": self.get,
            "list": self.list,
            "delete": self.delete,
            "aggregatedList": self.aggregated_list,
            "patch": self.patch,
            "update": self.update,
        }
        for verb in ("insert", "get", "list", "delete", *self.verbs):
            method(f"compute.{self.resource}.{verb}")(handlers[verb])

    def insert(self, call: Call) -> Json:
        """Create the record."""
        body = {**self.defaults, **self.check(call, call.body)}
        record = crud.new(call.context, self.kind, call.method.collection, body)
        return crud.begin_insert(call.context, record).body

    def get(self, call: Call) -> Json:
        """One record."""
        return _record(call).body

    def list(self, call: Call) -> Json:
        """The records of the scope."""
        return list_of(
            call, self.listed_as or self.kind, [record.body for record in _records(call)]
        )

    def delete(self, call: Call) -> Json:
        """Delete the record."""
        return crud.begin_delete(call.context, _record(call)).body

    def aggregated_list(self, call: Call) -> Json:
        """The records of all scopes."""
        bodies = [record.body for record in _records(call, everywhere=True)]
        if self.resource == "autoscalers":
            return zonal_and_regional(call, self.kind, bodies)
        if self.resource == "reservations":
            return zonal(call, self.kind, bodies)
        if self.resource in {"resourcePolicies", "routers"}:
            return regional(call, self.kind, bodies)
        return aggregated(call, self.kind, bodies, ["global"])

    def patch(self, call: Call) -> Json:
        """Replace the given fields, one level deep, and clear those that are null."""
        record, given = _record(call), _changeable(self.check(call, call.body))
        merged: Json = {key: _merged(record.body.get(key), value) for key, value in given.items()}
        for path in call.cleared - _FIXED:
            outer, _, inner = path.partition(".")
            if not inner:
                merged[outer] = None
            elif isinstance(merged.get(outer), dict):
                merged[outer] = {k: v for k, v in merged[outer].items() if k != inner}
        return crud.begin_patch(call.context, record, merged).body

    def update(self, call: Call) -> Json:
        """Replace everything that can change."""
        record, given = _record(call), _changeable(self.check(call, call.body))
        gone = dict.fromkeys(set(record.body) - _FIXED)
        return crud.begin_patch(call.context, record, {**gone, **self.defaults, **given}).body


def _record(call: Call) -> Record:
    """The resource of the path; of autoscalers, that which the query or the body names."""
    subject = call.method.subject
    if subject is not None and subject in call.path:
        name = call.path[subject]
    else:
        name = call.query.get("autoscaler") or call.body.get("name", "")
    return call.context.find(call.method.collection, name)


def _records(call: Call, *, everywhere: bool = False) -> list[Record]:
    context = call.context
    scope = None if everywhere else context.scope
    return context.store.all(call.method.collection, context.project, scope)


def _changeable(body: Json) -> Json:
    return {key: value for key, value in body.items() if key not in _FIXED}


def _merged(old: object, new: object) -> object:
    return {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new


def _health_check(call: Call, body: Json) -> Json:
    """A check names its protocol, and has the settings of no other one."""
    if call.method.verb == "insert" and "type" not in body:
        raise errors.required("resource.type")
    return body


def _autoscaler(call: Call, body: Json) -> Json:
    """An autoscaler scales a group that exists."""
    if "target" in body:
        call.context.at(call.context.link(body["target"], "resource.target"))
    elif call.method.verb == "insert":
        raise errors.required("resource.target")
    return body


def _resource_policy(call: Call, body: Json) -> Json:
    """A snapshot schedule runs at full hours."""
    policy = body.get("snapshotSchedulePolicy")
    if policy is not None and ("schedule" in policy or call.method.verb == "insert"):
        snapshot_schedules.check(policy.get("schedule", {}))
    return body


def _route(call: Call, body: Json) -> Json:
    """A route is of a network that exists."""
    network = call.context.at(call.context.link(body["network"], "resource.network"))
    return {**body, "network": network.link}


def _nat(nat: Json, index: int) -> Json:
    """A NAT, without the `initialNatIps` that only Terraform's provider has, and sends empty."""
    if nat.get("initialNatIps"):
        field = f"resource.nats[{index}].initialNatIps"
        raise errors.invalid(field, nat["initialNatIps"], "Its addresses are in natIps.")
    return {key: value for key, value in nat.items() if key != "initialNatIps"}


def _router(call: Call, body: Json) -> Json:
    """A router is of a network that exists."""
    if "nats" in body:
        body = {**body, "nats": [_nat(nat, index) for index, nat in enumerate(body["nats"])]}
    if "network" not in body:
        if call.method.verb == "insert":
            raise errors.required("resource.network")
        return body
    network = call.context.at(call.context.link(body["network"], "resource.network"))
    return {**body, "network": network.link}


def _health_checks(resource: str, *verbs: str) -> Recorded:
    defaults: dict[str, object] = {
        "checkIntervalSec": 5,
        "timeoutSec": 5,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    return Recorded(resource, "healthCheck", (*verbs, "patch", "update"), defaults, _health_check)


def _autoscalers(resource: str, *verbs: str, listed_as: str = "") -> Recorded:
    defaults: dict[str, object] = {"status": "ACTIVE"}
    changes = (*verbs, "patch", "update")
    return Recorded(resource, "autoscaler", changes, defaults, _autoscaler, listed_as)


RECORDED = (
    _autoscalers("autoscalers", "aggregatedList"),
    _autoscalers("regionAutoscalers", listed_as="regionAutoscaler"),
    _health_checks("healthChecks", "aggregatedList"),
    _health_checks("regionHealthChecks"),
    Recorded("reservations", "reservation", ("aggregatedList", "update"), {"status": "READY"}),
    Recorded(
        "resourcePolicies",
        "resourcePolicy",
        ("aggregatedList", "patch"),
        {"status": "READY"},
        _resource_policy,
    ),
    Recorded("routers", "router", ("aggregatedList", "patch", "update"), {}, _router),
    Recorded("routes", "route", (), {"priority": 1000}, _route),
)

for _resource in RECORDED:
    _resource.register()


@method("compute.reservations.resize")
def resize(call: Call) -> Json:
    """Change how many machines a reservation is for."""
    record = _record(call)
    own = record.body.get("specificReservation", {})
    count = call.body.get("specificSkuCount", own.get("count", "0"))
    changes = {"specificReservation": {**own, "count": count}}
    return crud.begin_patch(call.context, record, changes).body


@method("compute.reservationBlocks.list")
def list_reservation_blocks(call: Call) -> Json:
    """The blocks of a reservation: none, since no machine here is reserved."""
    reservation = call.context.find("reservations", call.path["reservation"])
    page_of(call, [])  # a wrong filter or page token is refused all the same
    path = f"{reservation.path}/reservationBlocks"
    return {"kind": "compute#reservationBlock", "id": path, "selfLink": links.url(path)}


@method("compute.routers.getRouterStatus")
def router_status(call: Call) -> Json:
    """What a router does: nothing; guests reach the outside without its NAT."""
    router = _record(call)
    nats = [
        {"name": nat.get("name", ""), "numVmEndpointsWithNatMappings": 0, "minExtraNatIpsNeeded": 0}
        for nat in router.body.get("nats", [])
    ]
    status: Json = {"network": router.body["network"], **({"natStatus": nats} if nats else {})}
    return {"kind": "compute#routerStatusResponse", "result": status}


@method("compute.routers.getNatMappingInfo")
def nat_mappings(call: Call) -> Json:
    """The machines that a NAT maps: none."""
    router = _record(call)
    return {
        "kind": "compute#vmEndpointNatMappingsList",
        "id": f"{router.path}/getNatMappingInfo",
        "result": [],
    }
